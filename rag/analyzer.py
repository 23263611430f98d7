"""Text to words, the same way for passages and questions.

Owns what a word is: lower case and NFKC, English stems, Chinese words in simplified characters and the parts of long
ones, codes and model numbers whole and by their parts, no function words. Knows nothing of indexes.
`ANALYZER_VERSION` is written into every snapshot: words of one version are never compared with words of another.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import jieba
import snowballstemmer

from rag.chinese import simplified

ANALYZER_VERSION = 2

COMPOUND = 4
"""Characters from which on a Chinese word is also found by its parts. Counting 洗衣 again beside every 洗衣机 overrates
the word: xquad zh hit@1 .960 against .963, cmrc2018 .9925 against .9935."""

LONGEST_WORD = 64
"""Characters of a word that count; a longer run (base64, a hexadecimal dump) is cut."""

_CHINESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W_{_CHINESE}]"
_TOKEN = re.compile(rf"(?P<chinese>[{_CHINESE}]+)|{_LETTER}+(?:[-_./:+&,'’]{_LETTER}+)*")
_CHINESE_WORD = re.compile(f"[{_CHINESE}]")
_JOINT = re.compile(r"[-_./:+&,]")
_APOSTROPHE = re.compile(r"['’]")
_DIGITS_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")

_FUNCTION_WORDS = """
    a about am an and are as at be been being but by can could did do does for from had has have he her him his how
    i if in into is it its me my no not of on or our she so such than that the their then there these they this to too
    very was we were what when where which who whom why will with would you your
    的 了 是 在 和 与 及 或 吗 呢 吧 啊 我 你 您 他 她 它 们 这 那 有 也 就 都 而 被 把 对 于 为 以 之 个 什么 怎么 如何
    哪 哪个 哪些 哪里 多少 为什么 谁 几 怎样 请问 可以 能 会 要
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Function words. Without them word search alone gains 13 points of hit@1 on one manual and loses nothing elsewhere."""


def words(text: str) -> list[str]:
    """The words of `text` in order, repetitions kept; none is empty, holds white space or exceeds `LONGEST_WORD`."""
    found: list[str] = []
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text).lower()):
        if match["chinese"]:
            found.extend(word for word in _chinese_words(simplified(match[0])) if word not in STOP_WORDS)
        else:
            found.extend(_words_of_token(match[0]))
    return found


def warm_up() -> None:
    """Reads jieba's dictionary now (about 0.6 s, once a process) instead of at the first Chinese text."""
    _dictionary.initialize()


def is_chinese(word: str) -> bool:
    """Whether one of the words of a text is a Chinese one; a word is never of both writings."""
    return bool(_CHINESE_WORD.match(word))


def commonness(word: str) -> int:
    """How often jieba's corpus has a Chinese word, 0 for one that it does not know."""
    _dictionary.initialize()
    return int(_dictionary.FREQ.get(word, 0))


class _Dictionary(jieba.Tokenizer):  # type: ignore[misc]  # jieba has no types
    """jieba's own dictionary, read from the package: its cache file would lie in a folder that every user can write."""

    FREQ: dict[str, int]
    initialized: bool

    def initialize(self, dictionary: str | None = None) -> None:
        with self.lock:
            if not self.initialized:
                self.FREQ, self.total = self.gen_pfdict(self.get_dict_file())
                self.initialized = True


_dictionary = _Dictionary()


def _chinese_words(run: str) -> Iterator[str]:
    # Without the model for unknown words: it cuts a name one way in a question and another way in the passage.
    for word in _dictionary.cut(run, HMM=False):
        parts = _dictionary.cut_for_search(word, HMM=False) if len(word) >= COMPOUND else (word,)
        for part in parts:
            yield part[:LONGEST_WORD]


@lru_cache(maxsize=65_536)
def _words_of_token(token: str) -> tuple[str, ...]:
    """The words of a run of letters and digits: `e-42` is found as `e42`, `e` and `42`; `3.5` as `3.5`, `3` and `5`."""
    # "TV's" is "TV"; "don't" and "o'clock" are one word.
    stem, *rest = _APOSTROPHE.split(token)
    token = stem if rest in (["s"], ["ll"], ["re"], ["ve"], ["d"], ["m"]) else stem + "".join(rest)
    if _DIGITS_GROUPED.fullmatch(token):
        return (token.replace(",", "")[:LONGEST_WORD],)
    parts = [part for part in _JOINT.split(token) if part]
    found = [_stemmed(part) for part in parts if part not in STOP_WORDS]
    if len(parts) > 1:
        # Hyphens are written or not (Wi-Fi, WiFi), so the whole goes without; a dot or a colon makes another number.
        found.insert(0, re.sub("[-_]", "", token)[:LONGEST_WORD])
    return tuple(found)


def _stemmed(part: str) -> str:
    """The stem of an English word; other scripts and codes stay as they are."""
    part = part[:LONGEST_WORD]
    return stem(part) if part.isascii() and part.isalpha() else part


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The English stem of a word in lower case. A stemmer keeps state at work: none is shared between threads."""
    return str(snowballstemmer.stemmer("english").stemWord(word))
