"""Judges whether the text that a file gives for a page can be read, or the page's picture should be read instead.

Owns what broken text layers look like. Draws and recognises nothing, and knows no file format.
"""

import re
from functools import lru_cache

_NEVER_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U0010fffd\ufff0-\uffff]")
"""What a font without a character table leaves: controls, replacement signs, private use."""

_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
_LATIN_ACCENTED = re.compile("[\u00a1-\u00ff\u0100-\u017f]")
_LETTER = re.compile(r"[^\W\d_]")
_ASCII_WORD = re.compile(r"[A-Za-z]{4,}")
_COMMON_WORD = re.compile(r"\b(?:the|and|of|to|in|is|for|de|la|le|el|der|die|und|il|en|et)\b", re.IGNORECASE)
_VOWEL = re.compile(r"[aeiouyAEIOUY]")

TEXT_OF_PICTURE = 60
"""Characters that are not white space: a page with as many is no mere picture, however much of it pictures cover."""

_ENOUGH = 40
"""Characters that are not white space, below which nothing is said against a text."""

_NEVER_TEXT_SHARE = 0.1
_RARE_SHARE = 0.35
_ACCENTED_SHARE = 0.4
_WORDS = 10
_VOWEL_SHARE = 0.22
"""English has 0.38, and no language in Latin letters less than 0.3."""

_SMALLEST_TEXT = 20
_PICTURE_SHARE = 0.4
_FULL_PICTURE_SHARE = 0.85


def needs_ocr(text: str, picture_share: float) -> bool:
    """Whether a page had better be read from its picture.

    `text` is the page's own, `picture_share` the part of the page's area that pictures cover, 0 to 1. A page is when
    its text is garbled, or when it has next to none and pictures cover much of it: a scan, with or without a stamp
    or page number as real text. A page without pictures or text is blank, and is not.
    """
    letters = len("".join(text.split()))
    if letters < _SMALLEST_TEXT and picture_share >= _PICTURE_SHARE:
        return True
    if letters < TEXT_OF_PICTURE and picture_share >= _FULL_PICTURE_SHARE:
        return True
    return is_garbled(text)


def is_garbled(text: str) -> bool:
    """Whether a text is not what its page shows, as far as the text alone can tell.

    The signs: characters that stand for none; Chinese made of characters that nobody uses; the accented Latin that
    Chinese becomes when its bytes are misread; words of Latin letters with hardly a vowel. Never true for
    less than 40 characters.
    """
    letters = "".join(text.split())
    if len(letters) < _ENOUGH:
        return False
    if len(_NEVER_TEXT.findall(letters)) > _NEVER_TEXT_SHARE * len(letters):
        return True
    foreign = not letters.isascii() and (_rare_chinese(letters) or _misread_chinese(letters))
    return foreign or _shifted_latin(text)


def _rare_chinese(letters: str) -> bool:
    """Among 6,763 characters of GB 2312 are all that ordinary Chinese needs (and of Big5's first level, all others)."""
    ideographs = _IDEOGRAPH.findall(letters)
    if len(ideographs) < _ENOUGH:
        return False
    return sum(not _is_usual(each) for each in ideographs) > _RARE_SHARE * len(ideographs)


@lru_cache(maxsize=20_000)
def _is_usual(character: str) -> bool:
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        try:
            return character.encode("big5")[0] <= 0xC6  # the first level: characters in common use
        except UnicodeEncodeError:
            return False
    return True


def _misread_chinese(letters: str) -> bool:
    accented = _LATIN_ACCENTED.findall(letters)
    return len(accented) > _ACCENTED_SHARE * len(letters)


def _shifted_latin(text: str) -> bool:
    """Words of a font whose letters were renamed: few vowels in many different words, and not one that all texts have.

    Lists of a program's names have few vowels too, but seldom stand without any sentence.
    """
    found = _ASCII_WORD.findall(text)
    if len(found) < _WORDS or _COMMON_WORD.search(text):
        return False
    words = {word for word in found if not word.isupper()}
    if len(words) < _WORDS:
        return False
    letters = "".join(words)
    return len(_VOWEL.findall(letters)) < _VOWEL_SHARE * len(letters)
