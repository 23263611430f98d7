"""Tells the language of a document: Chinese, English, or neither.

Owns one rule over the letters used. Knows no words, so that other languages in Latin letters count as English
unless their accented letters give them away.
"""

import re
from collections.abc import Iterable

LANGUAGE_SAMPLE = 50_000
"""Characters that are looked at."""

_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA_OR_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_LATIN = re.compile("[A-Za-z]")
_LETTER = re.compile(r"[^\W\d_]")


def language_of(texts: Iterable[str]) -> str:
    """ "zh", "en", or "" when it is another language or there is too little to tell."""
    sample = ""
    for text in texts:
        sample += text[: LANGUAGE_SAMPLE - len(sample)]
        if len(sample) >= LANGUAGE_SAMPLE:
            break
    letters = len(_LETTER.findall(sample))
    chinese = len(_CHINESE.findall(sample))
    if letters < 10 or len(_KANA_OR_HANGUL.findall(sample)) > 0.1 * letters:
        return ""
    # A Chinese character is worth several letters: product names and commands in Latin letters outnumber them.
    if chinese > 0.15 * letters:
        return "zh"
    return "en" if len(_LATIN.findall(sample)) > 0.97 * letters else ""
