"""Tells the navigation of a web page from its content.

Owns the rules: elements, roles, the names that sites give such parts, and how much of a part is links. Does not
know blocks.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

_ROLES = frozenset(["navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar"])
_NAVIGATION = re.compile(
    r"(?:nav|navbar|navigation|nav-?(?:header|footer|panel|bar|menu)|breadcrumbs?|menu|sidebar|(?:mini-?|table-of-)?toc"
    r"|table-of-contents|contents|skip-?link|headerlink|cookie-?(?:banner|notice))"
)
_LIKE_NAVIGATION = re.compile(
    r"(?:nav|navigation|breadcrumb|menu|sidebar|toc|contents|footer|header|related|pagination|pager|prevnext|skip|tags"
    r"|share|social|cookie|promo|banner|language|switcher)"
)
"""Words in the names of parts that are navigation when they are mostly links, and may be anything otherwise."""

_HOLDERS = frozenset(["ul", "ol", "div", "table", "section", "td", "dl", "p", "menu"])
_OUTSIDE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
_LINKS_OF_NAMED = 2
_LINKS_OF_UNNAMED = 6
_SHARE_OF_NAMED = 0.6
_SHARE_OF_UNNAMED = 0.9
_LEVELS = 6
"""How far above its links a part's root may be."""


def is_furniture(node: LexborNode, tag: str) -> bool:
    """Whether an element says by itself that it is no content."""
    attributes = node.attributes
    if "hidden" in attributes or attributes.get("aria-hidden") == "true" or attributes.get("role") in _ROLES:
        return True
    if tag == "header":
        return node.css_first("h1, h2") is None
    return any(_NAVIGATION.fullmatch(name) for name in names_of(node))


def navigation_of(root: LexborNode, *, unnamed: bool) -> frozenset[int]:
    """The `mem_id` of each part inside `root` that is navigation by its links.

    A part whose class or id speaks of navigation is, when most of its text is links within the site; any other list
    of at least six is, when it is nothing else. The latter only where `unnamed` is set: on a page whose main content
    is not marked, for a list of links inside the content is worth keeping.
    """
    links: dict[int, int] = {}
    characters: dict[int, int] = {}
    parts: dict[int, LexborNode] = {}
    for link in root.css("a[href]"):
        if _OUTSIDE.match(link.attributes.get("href") or ""):
            continue
        length = _length(link)
        for part in _above(link, root):
            if part.tag in _HOLDERS:
                identity = part.mem_id
                parts[identity] = part
                links[identity] = links.get(identity, 0) + 1
                characters[identity] = characters.get(identity, 0) + length
    return frozenset(
        identity
        for identity, part in parts.items()
        if _is_mostly_links(part, links[identity], characters[identity], unnamed)
    )


def names_of(node: LexborNode) -> list[str]:
    """The element's classes and id, in lower case."""
    attributes = node.attributes
    return f"{attributes.get('class') or ''} {attributes.get('id') or ''}".lower().split()


def _is_mostly_links(part: LexborNode, links: int, characters: int, unnamed: bool) -> bool:
    is_named = any(_LIKE_NAVIGATION.search(name) for name in names_of(part))
    enough, share = (_LINKS_OF_NAMED, _SHARE_OF_NAMED) if is_named else (_LINKS_OF_UNNAMED, _SHARE_OF_UNNAMED)
    if links < enough or not (is_named or unnamed):
        return False
    return characters >= share * max(_length(part), 1)


def _above(node: LexborNode, root: LexborNode) -> Iterator[LexborNode]:
    part = node.parent
    for _ in range(_LEVELS):
        if part is None or part.mem_id == root.mem_id:
            return
        yield part
        part = part.parent


def _length(node: LexborNode) -> int:
    return len("".join(node.text().split()))
