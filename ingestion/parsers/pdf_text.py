"""Builds a page's text from runs of pdfium's characters, and remembers which is which.

Owns the source map, the clean-up of single characters, and how two lines are joined. What is copied stays the
very code point that pdfium gave; whatever differs (joined spaces, replaced bullets, ligatures) is outside the runs.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

CJK = (
    "\u2e80-\u2fdf\u3001-\u303f\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff"
)
IDEOGRAPHS = "\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
CJK_CHARACTER = re.compile(f"[{CJK}]")
SHARED_SIGN = re.compile("[“”‘’…—]")  # the same code points in Chinese and in English
CJK_STOP = re.compile("[\u3001-\u303f\uff01-\uff0f\uff1a-\uff20]")
SPACED_OUT = re.compile(f"(?<![^\\s])[{IDEOGRAPHS}](?: [{IDEOGRAPHS}]){{2,}}(?![^\\s])|^[{IDEOGRAPHS}] [{IDEOGRAPHS}]$")
PRIVATE = "\ue000-\uf8ff\U000f0000-\U0010fffd"
ODD = re.compile(
    f"[\x00-\x1f\x7f-\xa0\xad\u2000-\u200f\u2028-\u202f\u2060-\u2064\u3000\ufeff\ufffc-\uffff\ud800-\udfff"
    f"\ufb00-\ufb06\u2f00-\u2fd5\uf900-\ufaff{PRIVATE}]"
)
COMMON_FORM = re.compile("[\ufb00-\ufb06\u2f00-\u2fd5\uf900-\ufaff]")  # ligatures, radicals, compatibility forms
BULLET_PLACES = re.compile(f"[\x80-\x9f{PRIVATE}]")
"""Where symbol fonts without a character table leave their bullets, as they come first on a line."""


LONG_CAPITALS = 7
"""As many capitals are a word cut in two ("DEFEC-TIVE"), fewer a compound of short names ("MS-DOS")."""


class TextBuilder:
    """A text in the making. `copy` takes characters of the page as they are, `add` puts in our own."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.pieces: list[str] = []
        self.length = 0
        self.runs: list[tuple[int, int, int]] = []

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)

    def copy(self, start: int, end: int) -> None:
        """Characters [start, end) of the page, those that nobody can read left out or replaced."""
        for odd in ODD.finditer(self.characters, start, end):
            self._run(start, odd.start())
            self.add(readable(odd.group(), first=odd.start() == start and not self._open_line()))
            start = odd.end()
        self._run(start, end)

    def text(self) -> str:
        return "".join(self.pieces)

    def _open_line(self) -> bool:
        return bool(self.pieces) and not self.pieces[-1].endswith("\n")

    def _run(self, start: int, end: int) -> None:
        if start >= end:
            return
        if self.runs:
            text_start, first, length = self.runs[-1]
            if first + length == start and text_start + length == self.length:
                self.runs[-1] = (text_start, first, length + end - start)
            else:
                self.runs.append((self.length, start, end - start))
        else:
            self.runs.append((self.length, start, end - start))
        self.add(self.characters[start:end])


def readable(character: str, *, first: bool) -> str:
    """What stands in the text for an odd character: a bullet, a space, its common form, or nothing."""
    if BULLET_PLACES.match(character):
        return "•" if first else ""
    if unicodedata.category(character) == "Zs" or character == "\t":
        return " "
    if COMMON_FORM.match(character):
        return unicodedata.normalize("NFKC", character)
    return ""


def title_text(lines: Sequence[str]) -> str:
    """The lines of a title as one: odd characters and letter-spacing gone, white space squeezed."""
    title = ""
    for line in lines:
        clean = " ".join(ODD.sub(lambda odd: readable(odd.group(), first=False), line).split())
        clean = SPACED_OUT.sub(lambda spaced: spaced.group().replace(" ", ""), clean)
        title += joint(title, clean) + clean
    return title


def copy_line(builder: TextBuilder, start: int, end: int) -> None:
    """Copies a line, letter-spaced Chinese pulled together."""
    offset = start
    for spaced in SPACED_OUT.finditer(builder.characters[start:end]):
        first, last = start + spaced.start(), start + spaced.end()
        builder.copy(offset, first)
        for index in range(first, last, 2):
            builder.copy(index, index + 1)
        offset = last
    builder.copy(offset, end)


def joint(left: str, right: str) -> str:
    """What goes between two lines of a paragraph: nothing within Chinese, else a space."""
    if not left or not right or left[-1].isspace():
        return ""
    before, after = left[-1], right[0]
    chinese = [bool(CJK_CHARACTER.match(character)) for character in (before, after)]
    shared = SHARED_SIGN.match(before) or SHARED_SIGN.match(after)
    if all(chinese) or (any(chinese) and shared) or CJK_STOP.match(before) or CJK_STOP.match(after):
        return ""
    return " "


def keeps_hyphen(left: str, right: str, count: Callable[[str], int]) -> bool:
    """Whether a word broken at a line end has its hyphen in the middle of a line too: "MS-DOS", not "vec-tor".

    `left` and `right` are the lines' texts, `count` tells how often a lower-case word occurs unbroken. Counted
    use decides; then the look of the word; then whether both halves are words of their own.
    """
    before = re.search(r"[^\s]*$", left.rstrip("-"))
    after = re.match(r"[^\s]*", right)
    whole_left = before.group() if before else ""
    whole_right = after.group() if after else ""
    head = re.search(r"[^\W\d_]*$", whole_left)
    tail = re.match(r"[^\W\d_]*", whole_right)
    start, end = (head.group() if head else ""), (tail.group() if tail else "")
    if not start or not end:
        return True
    hyphenated, joined = count(f"{start}-{end}".lower()), count((start + end).lower())
    if hyphenated or joined:
        return hyphenated > joined
    if re.search(r"[/\\_@:.=-][^\W_]", whole_left) or "-" in whole_right or re.search(r"\d", whole_left):
        return True  # a path, an address, a package or part number, a longer compound
    if start.isupper() and end.isupper():
        return len(start + end) < LONG_CAPITALS
    if end[0].isupper():
        return True
    return len(start) > 2 and len(end) > 2 and count(start.lower()) > 1 and count(end.lower()) > 1


def counter(document: Counter[str], page: Counter[str]) -> Callable[[str], int]:
    """How often a word occurs unbroken in the document's sample and on the page at hand."""
    return lambda word: document[word] + page[word]
