"""Reads one HTML file.

Owns how elements become blocks. What of a page is navigation is `html_navigation`'s, tables are `html_tables`'s. Does
not follow links.
"""

import codecs
import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ingestion.errors import BrokenFile, PermanentError
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.html_navigation import is_furniture, names_of, navigation_of
from ingestion.parsers.html_tables import cell_text, is_data_table, table_rows
from ingestion.parsers.page_builder import PageBuilder, tidy
from ingestion.parsers.reading import decode, read_bytes
from ingestion.parsers.stated import stated_facets
from ingestion.parsers.tables import write_table
from ingestion.types import BlockKind, DocumentStart, ParsedPage

_CHARSET = re.compile(rb"<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252"}
_NESTING = re.compile(r"<(/?)(?:div|span|section|article|blockquote|[uod]l|table|font|[abi]|em|strong|code)\b", re.I)
_DEEPEST = 5_000
"""The parser's time grows with the square of the depth; browsers stop at 512."""

_NEVER_CONTENT = frozenset(
    [
        *("head", "script", "style", "noscript", "template", "nav", "footer", "aside", "form", "button"),
        *("select", "iframe", "object", "svg", "canvas", "audio", "video", "-comment"),
    ]
)
_INLINE = frozenset(
    [
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font"),
        *("i", "img", "ins", "kbd", "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strike"),
        *("strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    ]
)
_BOXES = re.compile(
    r"note|tip|hint|info|warning|caution|important|danger|attention|admonition|callout|alert|example|sidebar"
)
"""Classes of boxes whose heading names the box, not a section that would go on after it."""

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LINE_BREAK = "\u2028"


class HtmlParser:
    """HTML: headings with their anchors, paragraphs, lists, numbered steps, table rows, preformatted text."""

    media_type = "text/html"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document of one page: the main content, without navigation, page headers and footers, and scripts.

        A page that is nothing but navigation, as an index is, is read whole. Raises `BrokenFile` for what is no text
        or nested too deeply, `EmptyFile`, `TooLarge`.
        """
        title, facets, page = html_page(read_bytes(source.path, limits), source.path.name, limits)
        first = next((block for block in page.blocks if block.kind is BlockKind.HEADING), None)
        heading = page.text[first.start : first.end] if first else ""
        yield DocumentStart(source.external_id, source.title or title or heading or source.path.stem, 1, facets)
        yield page


def html_page(content: bytes, name: str, limits: Limits) -> tuple[str, dict[str, str], ParsedPage]:
    """The title of an HTML file, "" where it has none, what it says of the product, and its main content.

    Raises as `HtmlParser.parse` does.
    """
    html = _decode(content, name)
    if _depth(html) > _DEEPEST:
        raise BrokenFile(f"{name} is nested more than {_DEEPEST:,} levels deep: it is damaged, export it again")
    tree = LexborHTMLParser(html)
    title_node = tree.css_first("head title")
    title = tidy(title_node.text()) if title_node else ""
    page = _page(tree, title, PageBuilder(name, limits), everything=False)
    if not page.blocks:
        page = _page(tree, title, PageBuilder(name, limits), everything=True)
    return title, _stated_facets(tree), page


def _stated_facets(tree: LexborHTMLParser) -> dict[str, str]:
    described = {
        node.attributes.get("name") or "": node.attributes.get("content") or "" for node in tree.css("head meta")
    }
    return stated_facets(described, [described.get("keywords", "")])


def _page(tree: LexborHTMLParser, title: str, builder: PageBuilder, *, everything: bool) -> ParsedPage:
    root = tree.css_first("main, [role=main]") or tree.body
    articles = tree.css("article")
    if root is tree.body and len(articles) == 1:
        root = articles[0]
    if root is not None:
        is_whole_body = root.tag == "body"
        navigation = frozenset() if everything else navigation_of(root, unnamed=is_whole_body)
        _Blocks(builder, title, navigation, everything).read(root)
    return builder.page()


class _Blocks:
    """Walks the tree, without recursion, and hands each block to the builder."""

    def __init__(self, builder: PageBuilder, title: str, navigation: frozenset[int], everything: bool) -> None:
        self._builder = builder
        self._title = title
        self._navigation = navigation
        self._everything = everything
        self._text: list[str] = []
        self._preformatted = 0
        self._lists: list[int | None] = []  # the next number of each open list, None for bullets
        self._marks: list[str] = []  # the mark or term of each open item, "" once it has been written
        self._terms: list[str] = []  # terms of a definition list whose definition has not begun
        self._boxes = 0
        self._anchor: str | None = None
        self._has_heading = False

    def read(self, root: LexborNode) -> None:
        node, depth = root.first_child, 0
        while node is not None:
            goes_in = self._enter(node)
            child = node.first_child if goes_in else None
            if child is not None:
                node, depth = child, depth + 1
                continue
            if goes_in:
                self._leave(node)
            while node is not None and node.next is None and depth:
                node, depth = node.parent, depth - 1
                if node is not None:
                    self._leave(node)
            node = node.next if node is not None else None
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Takes in what stands at the beginning of an element; False when its inside is done or not wanted."""
        tag = node.tag or ""
        if node.is_text_node:
            self._text.append(node.text_content or "")
            return False
        if (
            tag in _NEVER_CONTENT
            or node.mem_id in self._navigation
            or (not self._everything and is_furniture(node, tag))
        ):
            return False
        anchor = node.attributes.get("id") or (node.attributes.get("name") if tag == "a" else None)
        self._anchor = anchor or self._anchor
        if tag == "br":
            self._text.append("\n" if self._preformatted else _LINE_BREAK)
        if tag in _INLINE or tag == "br":
            return True
        self._flush()
        if _is_box(node, tag):
            self._boxes += 1
        if tag in _HEADINGS and not self._boxes:
            self._heading(node, _HEADINGS[tag])
            return False
        if tag == "dt":
            self._terms.append(tidy(node.text()))
            return False
        if tag == "table" and is_data_table(node):
            self._write_mark()
            caption = node.css_first("caption")
            if caption is not None:
                self._builder.block(BlockKind.PARAGRAPH, tidy(caption.text()))
            write_table(self._builder, table_rows(node))
            return False
        if tag == "tr" and node.css_first("table, pre, ul, ol, h1, h2, h3, h4") is None:
            cells = [child for child in node.iter() if child.tag in ("td", "th")]
            self._write_mark()
            self._builder.row(map(cell_text, cells))
            return False
        if tag == "pre":
            self._preformatted += 1
        elif tag in ("ol", "ul", "menu", "dl"):
            self._lists.append(_number(node.attributes.get("start"), 1) if tag == "ol" else None)
        elif tag == "li":
            self._marks.append(self._next_mark(node))
        elif tag == "dd":
            self._marks.append("".join(f"{term}\n" for term in self._terms))
            self._terms = []
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in _INLINE or tag == "br":
            return
        self._flush()
        if _is_box(node, tag):
            self._boxes -= 1
        if tag == "pre":
            self._preformatted -= 1
        elif tag in ("li", "dd"):
            self._write_mark()
            self._marks.pop()
        elif tag in ("ol", "ul", "menu", "dl"):
            self._lists.pop()
            if tag == "dl":
                for term in self._terms:
                    self._builder.block(BlockKind.LIST_ITEM, term)
                self._terms = []

    def _heading(self, node: LexborNode, level: int) -> None:
        inner = node.css_first("[id], a[name]")
        own = node.attributes.get("id") or (inner and (inner.attributes.get("id") or inner.attributes.get("name")))
        text = tidy(node.text()).rstrip("¶#§ ")
        # The page's own title is above whatever follows, also where both are, say, h2.
        is_title = not self._has_heading and text == self._title
        self._builder.heading(0 if is_title else level, text, own or self._anchor)
        self._has_heading = True
        self._anchor = None

    def _next_mark(self, item: LexborNode) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        number = _number(item.attributes.get("value"), number)
        self._lists[-1] = number + 1
        return f"{number}. "

    def _flush(self) -> None:
        """Ends the block under way."""
        text, self._text = "".join(self._text), []
        if not text.strip():
            return
        self._anchor = None
        if self._preformatted:
            self._write_mark()
            self._builder.block(BlockKind.CODE, text.replace("\r\n", "\n"))
            return
        text = "\n".join(filter(None, map(tidy, text.split(_LINE_BREAK))))
        if not self._marks:
            self._builder.block(BlockKind.PARAGRAPH, text)
            return
        # Further paragraphs of an item are of its kind, so that they stay with it.
        self._builder.block(self._item_kind(), self._marks[-1] + text)
        self._marks[-1] = ""

    def _write_mark(self) -> None:
        """Writes a step's number or a term that stands before something other than a paragraph, or before nothing."""
        if self._marks and self._marks[-1].strip(" -\n"):
            self._builder.block(self._item_kind(), self._marks[-1])
        if self._marks:
            self._marks[-1] = ""

    def _item_kind(self) -> BlockKind:
        return BlockKind.STEP if self._lists and self._lists[-1] is not None else BlockKind.LIST_ITEM


def _is_box(node: LexborNode, tag: str) -> bool:
    if tag in ("li", "dd", "blockquote"):
        return True
    return tag == "div" and any(_BOXES.fullmatch(name) for name in names_of(node))


def _number(value: str | None, default: int) -> int:
    digits = (value or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else default


def _depth(html: str) -> int:
    """The deepest nesting of the elements that must be closed, at most."""
    depth = deepest = 0
    for match in _NESTING.finditer(html):
        depth = max(depth - 1, 0) if match[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _decode(content: bytes, name: str) -> str:
    """Text in UTF-8, whatever is declared, else as declared, else as found, else Windows-1252, the default of HTML."""
    declared = _CHARSET.search(content[:4096])
    if b"\x00" not in content:
        candidates = ["utf-8", *([declared[1].decode("ascii", "replace")] if declared else [])]
        for candidate in candidates:
            try:
                encoding = codecs.lookup(candidate).name
                return content.decode(_WIDER.get(encoding, encoding)).removeprefix("\ufeff")
            except (LookupError, UnicodeError):
                continue  # declared wrongly
    try:
        return decode(content, name)
    except PermanentError:
        if b"\x00" in content:
            raise
        return content.decode("cp1252", "replace")
