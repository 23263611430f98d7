"""In which language a customer is spoken to.

Owns how that follows from a message, the conversation so far and the page. An order number says nothing of a language.
"""

import re
from collections.abc import Mapping
from typing import Any

from rag.language import Language, language_of

_WORD = re.compile(r"[a-z]{3,}", re.IGNORECASE)
_LEAST_WORDS = 2
"""So many words of Latin letters make a message English."""


def language_here(text: str, state: Mapping[str, Any], context: Mapping[str, Any]) -> Language:
    """The message's own language where it has one, else the conversation's, else the page's."""
    own = language_of(text)
    if own == "zh" or len(_WORD.findall(text)) >= _LEAST_WORDS:
        return own
    for known in (state.get("language"), context.get("language"), (state.get("context") or {}).get("language")):
        if isinstance(known, str) and known[:2].lower() in ("en", "zh"):
            return "zh" if known[:2].lower() == "zh" else "en"
    return own
