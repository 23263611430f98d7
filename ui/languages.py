"""The names of documents' languages, for people."""

from collections.abc import Mapping
from typing import Final

from ui.texts import Language, text

_NAMES: Final[Mapping[str, str]] = {
    "": "unknown_language",
    "en": "english",
    "zh": "chinese_simplified",
    "zh-Hant": "traditional_chinese",
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "pt": "portuguese",
    "nl": "dutch",
    "ja": "japanese",
    "ko": "korean",
    "ru": "russian",
}


def name_of(code: str, language: Language) -> str:
    """The name of the language with this code; the code itself where we have no name."""
    return text(_NAMES[code], language) if code in _NAMES else code
