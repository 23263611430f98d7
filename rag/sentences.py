"""Where sentences begin and end, in English and in Chinese.

Owns the borders of sentences, found by rules. Knows nothing of passages, windows or answers. A list item, a
numbered step and a table row are sentences of their own, whether or not a stop ends them.
"""

import re

_CJK = "\u2e80-\u2fff\u3005-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff21-\uff5a\U00020000-\U0003ffff"
_OPENERS = "\"'“‘«「『（(\\[【《〈"
_CLOSERS = "\"'”’»」』）)\\]】》〉"
_STOPS = ".!?…。！？；｡"
_FULL_STOPS = frozenset("。！？；｡")

_MARKER = (
    r"(?:[-*+•◦▪●○■□·‣–—►➢✓]|\d{1,3}[.)．]|[A-Za-z][.)])[^\S\n]"
    r"|\d{1,3}、|[一二三四五六七八九十]{1,3}、|[①-⑳⑴-⒇]"
    r"|[(（](?:\d{1,3}|[A-Za-z]|[一二三四五六七八九十]{1,3})[)）]"
)
"""What a list item or a step begins with."""

# A stop is looked at once, at the beginning of its run, and the run is possessive: a line of a million dots
# costs linear time. A newline is looked at for what follows it, a line for whether it is a table row.
_CANDIDATE = re.compile(
    rf"(?<![{_STOPS}])(?P<stop>[{_STOPS}]++)[{_CLOSERS}]*+"
    rf"|\n(?=[^\S\n]*+(?:\n|{_MARKER}))"
    r"|(?<![^\n])(?P<row>[^\n|]{0,200}+(?<!\S)\| [^\n]{0,800}+)(?=\n|\Z)"
)
_FOLLOWING = re.compile(rf"\s*+[{_OPENERS}]*+(\S{{0,40}})")
_NON_SPACE = re.compile(r"\S")
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_WORD_BEFORE = re.compile(r"(?:[^\W\d_]|\.)+\Z")
_LETTERS_WITH_DOTS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]\Z")
_ONLY_A_MARKER = re.compile(r"[(（\[]?(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z]|[ivxIVX]{1,4})[)）\]]?\Z")
_IDENTIFIER = re.compile(r"[^\W\d_]+(?:[\d_(\[/\\:@]|[^\W\d_]*[A-Z])")

_NEVER_LAST = re.compile(
    r"e\.g|i\.e|cf|vs|figs?|dr|mrs?|ms|prof|approx|eqns?|eqs|resp|incl|viz|et|al|esp|fn|refs?", re.IGNORECASE
)
"""Abbreviations after which a sentence goes on, whatever follows."""

_BEFORE_A_NUMBER = re.compile(
    r"no|nos|nr|sect?|chap|ch|vol|pp?|art|ver|max|min|ca|tab|eq|ed|est|tel|ext", re.IGNORECASE
)
"""Abbreviations only in front of a number: "No. 5", but "The answer is no. Then"."""


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of `text` as (start, end) offsets, in order.

    Spans neither overlap nor begin or end with white space, and cover every other character. A newline is
    white space, unless an empty line or a list marker follows it. A table row (a line of cells divided by
    " | ", at most about 1,000 characters) is one sentence, whatever stops its cells contain.
    Time is linear in the length of the text.
    """
    spans: list[tuple[int, int]] = []
    start = _next_non_space(text, 0)
    for candidate in _CANDIDATE.finditer(text):
        if candidate["stop"] is not None and not _ends_sentence(text, start, candidate):
            continue
        borders = candidate.span() if candidate["row"] is not None else (candidate.end(),)
        for end in borders:
            if sentence := text[start:end].rstrip():
                spans.append((start, start + len(sentence)))
                start = _next_non_space(text, end)
    if rest := text[start:].rstrip():
        spans.append((start, start + len(rest)))
    return spans


def _next_non_space(text: str, position: int) -> int:
    found = _NON_SPACE.search(text, position)
    return found.start() if found else len(text)


def _ends_sentence(text: str, start: int, candidate: re.Match[str]) -> bool:
    """Whether the stop at `candidate` ends the sentence that began at `start`."""
    stop = candidate["stop"]
    if not _FULL_STOPS.isdisjoint(stop) or "……" in stop:
        return True
    if candidate.end() == len(text):
        return True
    touching = text[candidate.end()]
    if not touching.isspace() and not _CJK_CHARACTER.match(touching):
        return False  # inside a number, a version, an address or a file name
    match = _FOLLOWING.match(text, candidate.end())
    following = match[1] if match else ""
    if stop == "." and _is_abbreviation(text, start, candidate.start(), following):
        return False
    # Manuals begin sentences with names of functions and files, which are written as they are.
    return not following[:1].islower() or _IDENTIFIER.match(following) is not None


def _is_abbreviation(text: str, start: int, position: int, following: str) -> bool:
    """Whether the single full stop at `position` belongs to an abbreviation, an initial or a list marker."""
    if position - start <= 12 and _ONLY_A_MARKER.match(text[start:position]):
        return True
    before = _WORD_BEFORE.search(text[max(start, position - 16) : position])
    if before is None:
        return False
    word = before[0]
    if _NEVER_LAST.fullmatch(word):
        return True
    if _BEFORE_A_NUMBER.fullmatch(word):
        return following[:1].isdigit()
    if len(word) == 1 and word.isupper() and word.isascii():
        return following[:1].isupper()
    return _LETTERS_WITH_DOTS.match(word) is not None and word.lower() not in ("a.m", "p.m")
