"""Which of the product's two languages a text is in, and the product's own words in each.

Owns every word that an answer contains and that is in no manual. None of them states a fact about a product.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]

_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_OR_HANGUL = re.compile(r"[\u3041-\u30ff\uac00-\ud7af]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{2,}")


def language_of(text: str) -> Language:
    """`zh` when at least a quarter of the words are Chinese (two characters count as a word), else `en`.

    A Chinese question full of English product names is Chinese; an English one that quotes a menu is English.
    """
    if _KANA_OR_HANGUL.search(text):
        return "en"
    chinese = len(_CHINESE.findall(text)) / 2
    return "zh" if chinese and chinese * 3 >= len(_LATIN_WORD.findall(text)) else "en"


def word_count(text: str) -> float:
    """The length of a text in words, two Chinese characters counting as one word."""
    return len(_CHINESE.findall(text)) / 2 + len(re.findall(r"[^\W_]+", _CHINESE.sub(" ", text)))


@dataclass(frozen=True, slots=True)
class Phrases:
    """The product's own words in one language. `{}` is filled by the methods."""

    not_in_manuals: str
    nearest_pages: str
    may_help: str
    doubt_missing: str
    doubt_rivals: str
    doubt_far: str
    doubt_language: str
    from_here: str
    page: str
    pages: str
    in_file: str
    colon: str
    not_found: str
    not_found_named: str
    comma: str
    only_manuals: str

    def not_found_in_pages(self, parts: Sequence[str]) -> str:
        """The note behind a sentence that says what its pages do not; `parts` are the words that are not there."""
        return self.not_found_named.format(self.comma.join(parts)) if parts else self.not_found

    def lead(self, place: str) -> str:
        """The line in front of what is quoted from `place`."""
        return self.from_here.format(place) + self.colon

    def place(self, name: str, pages: Sequence[tuple[str | None, int]]) -> str:
        """A place in a manual for people: a heading, and the pages from the first to the last where there are any.

        A page is the number printed on it, None where none is known, and its number in the file.
        """
        if not pages:
            return f"*{name}*"
        first, last = pages[0], pages[-1]
        printed = _from_to(first[0] or str(first[1]), last[0] or str(last[1]))
        in_file = _from_to(str(first[1]), str(last[1]))
        named = (self.page if first == last else self.pages).format(f"*{name}*", printed)
        return named if printed == in_file else named + self.in_file.format(in_file)


def _from_to(first: str, last: str) -> str:
    return first if first == last else f"{first}–{last}"


PHRASES: dict[Language, Phrases] = {
    "en": Phrases(
        not_in_manuals="I could not find an answer to this in the manuals.",
        nearest_pages="The nearest pages are:",
        may_help="I am not sure that this answers the question, but it may help.",
        doubt_missing="It does not mention {}.",
        doubt_rivals="Other places are about as near to the question.",
        doubt_far="It has little of what was asked.",
        doubt_language="It is in another language than the question.",
        from_here="From {}",
        page="{}, page {}",
        pages="{}, pages {}",
        in_file=" ({} in the file)",
        colon=":",
        not_found=" (not found in the cited pages)",
        not_found_named=" (not found in the cited pages: {})",
        comma=", ",
        only_manuals="I can only look things up in the manuals. What would you like to know from them?",
    ),
    "zh": Phrases(
        not_in_manuals="手册中没有找到这个问题的答案。",
        nearest_pages="最接近的页面：",
        may_help="不确定以下内容是否回答了您的问题，仅供参考。",
        doubt_missing="其中没有提到{}。",
        doubt_rivals="另有其他内容与问题同样接近。",
        doubt_far="其中与问题相关的内容不多。",
        doubt_language="其语言与问题的语言不同。",
        from_here="摘自{}",
        page="{}，第 {} 页",
        pages="{}，第 {} 页",
        in_file="（文件第 {} 页）",
        colon="：",
        not_found="（所引页面中未找到）",
        not_found_named="（所引页面中未找到：{}）",
        comma="、",
        only_manuals="我只能在手册中查找内容。您想从手册中了解什么？",
    ),
}
