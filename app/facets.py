"""What a document is about: title, language and facets, as its file says, its upload, and an admin.

Owns which of them goes before which. What an admin has said stays when a new version of the document comes, until an
upload names the same facet. Knows no tables; what a filter makes of facets is `app.filters`'.
"""

import re
from collections.abc import Mapping
from typing import Any

LANGUAGE = "language"
"""A column of documents and no facet, wherever it is given as one."""

PUBLIC = "is_public"
"""A column of documents, too: in filters it is that, whatever facet of the name a document may have."""

_LANGUAGE_CODE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


def language_code(text: str) -> str | None:
    """The code by which documents are filtered: `en` for `en-US`, `zh-Hant` for `zh_TW`; None for what is no code."""
    if not _LANGUAGE_CODE.fullmatch(text):
        return None
    first, *rest = re.split("[-_]", text.lower())
    return "zh-Hant" if first == "zh" and _TRADITIONAL.intersection(rest) else first


def described(
    edits: Mapping[str, Any], title: str, language: str, read: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns `title`, `language`, `facets` and `edits` of a document whose content is being stored.

    `read` are the facets that its file states, `given` those of its upload, which go before what an admin has said.
    """
    said = {name: value for name, value in edits.get("facets", {}).items() if name not in given}
    taken_away = {name for name, value in said.items() if value is None}
    facets = {name: value for name, value in {**read, **said, **given}.items() if name not in taken_away}
    kept = {name: edits[name] for name in ("title", LANGUAGE) if name in edits and name not in given}
    stated = facets.get(LANGUAGE)
    if isinstance(stated, str) and (code := language_code(stated)):
        language = code
        del facets[LANGUAGE]
    return {
        "title": kept.get("title", title),
        LANGUAGE: kept.get(LANGUAGE, language),
        "facets": facets,
        "edits": {**kept, **({"facets": said} if said else {})},
    }
