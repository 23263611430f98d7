"""The table of settings: for `answerdesk settings` and for `docs/settings.md`, which a test compares with it.

Owns how settings are listed and redacted. Knows no single setting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings

PREFIX = "ANSWERDESK_"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting: its name in the environment, its default, its value now (secrets hidden), what it is for."""

    name: str
    default: str
    value: str
    description: str


def setting_rows(settings: Settings) -> list[SettingRow]:
    """Every setting, in the order of `app.settings`."""
    return list(_rows(PREFIX, settings))


def settings_markdown(settings: Settings) -> str:
    """The table as it stands in `docs/settings.md`."""
    lines = ["| setting | default | what it is |", "|---|---|---|"]
    lines += [
        f"| `{row.name}` | {f'`{row.default}`' if row.default else ''} | {row.description} |"
        for row in setting_rows(settings)
    ]
    return "\n".join(lines)


def _rows(prefix: str, values: BaseModel) -> Iterator[SettingRow]:
    for name, field in type(values).model_fields.items():
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            yield from _rows(f"{prefix}{name.upper()}__", value)
        else:
            yield SettingRow(
                name=f"{prefix}{name.upper()}",
                default=_shown(field.default),
                value=_shown(value),
                description=_described(field),
            )


def _described(field: FieldInfo) -> str:
    return field.description or ""


def _shown(value: object) -> str:
    if value is None or value == () or value == "":
        return ""
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() != "none" else ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value)
