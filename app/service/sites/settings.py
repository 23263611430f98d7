"""What is set for a site: which origins may show the widget, how it looks, what it says, and how much it takes.

Owns names, forms and bounds. What is set here goes into web pages of others, so every form is narrow. Knows no SQL.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MOST_ORIGINS = 50

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:.]+\]")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_THEME_NAME = re.compile(r"--answerdesk-[a-z][a-z0-9-]{0,40}")
_THEME_VALUE = re.compile(r"[#A-Za-z0-9 .,%()'\"_/+-]{1,100}")
_THEME_FUNCTION = re.compile(r"([A-Za-z-]*)\s*\(")
_FUNCTIONS = frozenset({"", "rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "calc", "min", "max"})


def as_origin(text: str) -> str:
    """An origin as browsers send it: https://shop.example, with a port unless it is the scheme's own.

    Raises `ValueError`. Plain HTTP is for this machine alone: elsewhere anyone on the way could be the site.
    """
    said = f"{text!r} is no origin: give one like https://shop.example"
    parts = urlsplit(text.strip().lower())
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(said) from error
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc or "*" in text
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or has_more or port == 0:
        raise ValueError(f"{said} (scheme, host and port, nothing else; each host by itself)")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ValueError(f"{text!r} must be https: with http, anyone on the way could pose as the site")
    own_port = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, own_port) else "")


def _themed(theme: dict[str, str]) -> dict[str, str]:
    for name, value in theme.items():
        if not _THEME_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no variable of the widget's: they are named like --answerdesk-accent")
        functions = {each.lower() for each in _THEME_FUNCTION.findall(value)}
        if not _THEME_VALUE.fullmatch(value) or "//" in value or not functions <= _FUNCTIONS:
            raise ValueError(f"the value of {name!r} must be a colour, a length or a font's name")
    return theme


Origin = Annotated[str, StringConstraints(max_length=300), AfterValidator(as_origin)]
SiteName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/]*$")
]
_Said = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")]
Theme = Annotated[dict[str, Annotated[str, StringConstraints(max_length=100)]], AfterValidator(_themed)]


class SiteSettings(BaseModel):
    """What differs from the defaults is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["auto", "en", "zh"] = Field("auto", description="Of the widget; auto is the page's.")
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80, pattern=r"^[^\x00]*$")] = Field(
        "", description="At the widget's head."
    )
    greeting: dict[Literal["en", "zh"], _Said] = Field({}, description="What the widget says first, by language.")
    theme: Theme = Field({}, max_length=40, description='CSS variables, such as {"--answerdesk-accent": "#0a5"}.')
    per_visitor_per_minute: int | None = Field(
        None, ge=1, le=10_000, description="Messages of one visitor; null is ANSWERDESK_WIDGET__MESSAGES_PER_MINUTE."
    )
    per_minute: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Messages of all visitors; null is ANSWERDESK_WIDGET__SITE_MESSAGES_PER_MINUTE.",
    )

    def changed(self, sent: Self) -> Self:
        """These with those fields that were sent."""
        return self.model_copy(update={name: getattr(sent, name) for name in sent.model_fields_set})

    def greeting_in(self, language: str) -> str:
        """In that language, or else in any."""
        return self.greeting.get("zh" if language == "zh" else "en") or next(iter(self.greeting.values()), "")
