"""What a file says of itself: product, version and audience, where its properties name them.

Owns the names under which files say so. Never looks into a document's text: what is said there may be about another
product.
"""

import re
from collections.abc import Iterable, Mapping

PROPERTIES: Mapping[str, str] = {
    "product": "product",
    "product name": "product",
    "model": "product",
    "产品": "product",
    "产品名称": "product",
    "型号": "product",
    "version": "version",
    "product version": "version",
    "document version": "version",
    "版本": "version",
    "版本号": "version",
    "audience": "audience",
    "target audience": "audience",
    "读者": "audience",
    "受众": "audience",
}
"""Names of properties, in lower case and with blanks between their words, and the facets that they mean."""

_LONGEST = 200
_NAMES = "|".join(sorted(PROPERTIES, key=len, reverse=True))
_LABELLED = re.compile(rf"(?:^|[;,；，|\n])\s*({_NAMES})\s*[:=：]\s*([^;,；，|\n]+)", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[\s_.:-]+")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def stated_facets(properties: Mapping[str, str], labelled: Iterable[str] = ()) -> dict[str, str]:
    """The facets among a file's properties, by name, and in those of its texts that list such (keywords, subject).

    A text lists `product: LT-300; version: 2.1`. A property by that name goes before a list.
    """
    found: dict[str, str] = {}
    listed = [match.groups() for text in labelled for match in _LABELLED.finditer(text)]
    for name, value in [*properties.items(), *listed]:
        facet = PROPERTIES.get(_NOT_IN_NAMES.sub(" ", name).strip().lower())
        cleaned = " ".join(_CONTROLS.sub(" ", value).split())
        if facet is not None and cleaned and len(cleaned) <= _LONGEST:
            found.setdefault(facet, cleaned)
    return found
