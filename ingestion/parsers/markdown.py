"""Reads Markdown (CommonMark and tables).

Owns how its elements become blocks. The grammar is markdown-it-py's.
"""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser

from ingestion.parsers.base import Limits, Source
from ingestion.parsers.page_builder import PageBuilder, tidy
from ingestion.parsers.reading import decode, read_bytes
from ingestion.types import BlockKind, DocumentStart, ParsedPage

_FRONT_MATTER = re.compile(
    r"---[^\S\n]*\n(?=[\w-]+[^\S\n]*:)(?P<fields>(?:(?!---|\.\.\.).*\n)*)(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)"
)
_TITLE = re.compile(r"^title[^\S\n]*:[^\S\n]*(['\"]?)(?P<title>.+?)\1[^\S\n]*$", re.MULTILINE | re.IGNORECASE)


class MarkdownParser:
    """Markdown: headings, paragraphs, lists, numbered steps, table rows, code; inline mark-up is taken off."""

    media_type = "text/markdown"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        """One document of one page; its title is the front matter's, or that of the first heading."""
        text = decode(read_bytes(source.path, limits), source.path.name)
        title = source.title or ""
        if front_matter := _FRONT_MATTER.match(text):
            found = _TITLE.search(front_matter["fields"])
            title = title or (found["title"] if found else "")
            text = text[front_matter.end() :]
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        builder = PageBuilder(source.path.name, limits)
        _Blocks(builder).read(tokens)
        page = builder.page()
        first = next((block for block in page.blocks if block.kind is BlockKind.HEADING), None)
        heading = page.text[first.start : first.end] if first else ""
        yield DocumentStart(source.external_id, title or heading or source.path.stem, 1)
        yield page


class _Blocks:
    """Walks the flat list of tokens and hands each block to the builder."""

    def __init__(self, builder: PageBuilder) -> None:
        self._builder = builder
        self._lists: list[int | None] = []  # the next number of each open list, None for bullets
        self._marks: list[str] = []  # the mark of each open item, "" once it has been written
        self._row: list[str] = []
        self._inside = "paragraph"

    def read(self, tokens: list[Token]) -> None:
        for token in tokens:
            match token.type:
                case "ordered_list_open":
                    self._lists.append(int(token.attrs.get("start", 1)))
                case "bullet_list_open":
                    self._lists.append(None)
                case "ordered_list_close" | "bullet_list_close":
                    self._lists.pop()
                case "list_item_open":
                    self._marks.append(self._next_mark())
                case "list_item_close":
                    self._marks.pop()
                case "heading_open" | "th_open" | "td_open" | "paragraph_open":
                    self._inside = token.tag
                case "tr_open":
                    self._row = []
                case "tr_close":
                    self._builder.row(self._row)
                case "inline":
                    self._inline(_plain(token.children or []))
                case "fence" | "code_block":
                    self._builder.block(BlockKind.CODE, token.content)
                case "html_block":
                    self._paragraph(_without_tags(token.content))

    def _next_mark(self) -> str:
        number = self._lists[-1]
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "

    def _inline(self, text: str) -> None:
        if self._inside in ("th", "td"):
            self._row.append(text)
        elif self._inside.startswith("h"):
            self._builder.heading(int(self._inside[1:]), tidy(text), _slug(text))
        else:
            self._paragraph(text)

    def _paragraph(self, text: str) -> None:
        if not self._marks:
            self._builder.block(BlockKind.PARAGRAPH, _lines(text))
            return
        # Further paragraphs of an item are of its kind, so that they stay with it.
        kind = BlockKind.LIST_ITEM if self._lists[-1] is None else BlockKind.STEP
        self._builder.block(kind, self._marks[-1] + _lines(text))
        self._marks[-1] = ""


def _plain(children: list[Token]) -> str:
    """The text of inline tokens: a soft break is a space, a hard one a newline, a picture its description."""
    parts: list[str] = []
    for child in children:
        match child.type:
            case "softbreak":
                parts.append("\n")
            case "hardbreak":
                parts.append("\u2028")
            case "html_inline":
                parts.append("\u2028" if child.content.lower().startswith("<br") else "")
            case _:
                parts.append(child.content)
    return "".join(parts)


def _without_tags(html: str) -> str:
    tree = LexborHTMLParser(html)
    tree.strip_tags(["script", "style"])
    return tree.body.text(separator=" ") if tree.body else ""


def _lines(text: str) -> str:
    return "\n".join(tidy(line) for line in text.split("\u2028"))


def _slug(heading: str) -> str:
    """The fragment that common renderers give a heading: lower case, words joined by hyphens."""
    return "-".join(re.findall(r"[\w-]+", heading.lower()))
