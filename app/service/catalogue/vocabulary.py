"""What shops call columns, attributes and values in English and Chinese (`vocabulary.yaml`).

Owns looking them up. An entry says nothing about any product: it only joins names for one thing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from app.service.catalogue.quantities import MONEY, folded, unit_of
from rag.language import Language

NAMES_IN: Mapping[Language, tuple[str, ...]] = {
    "en": ("name en", "english name", "英文名", "英文名称"),
    "zh": ("name zh", "chinese name", "中文名", "中文名称", "名称"),
}
"""Attributes that are a product's name in a language."""

_CHINESE = re.compile(r"[㐀-鿿]")


@dataclass(frozen=True, slots=True)
class Concept:
    """An attribute as shops have it. `names` and superlatives are folded (`quantities.folded`)."""

    name: str
    names: tuple[str, ...]
    measures: str = ""
    less: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """columns: the standard column by each of its names; concepts: attributes by name; values: groups of synonyms."""

    columns: Mapping[str, str]
    concepts: Mapping[str, Concept]
    concept_by_name: Mapping[str, Concept]
    values: Mapping[str, tuple[str, ...]]
    yes: frozenset[str]
    no: frozenset[str]

    def column(self, header: str) -> str | None:
        """The standard column that a header is (also `price_eur`), None for an attribute of its own."""
        name = plain(header)
        first, _, last = name.rpartition(" ")
        unit = unit_of(last) if first else None
        return self.columns.get(first if unit is not None and unit.kind == MONEY else name)

    def concept(self, header: str) -> Concept | None:
        """What an attribute's header means, as far as it is known."""
        return self.concept_by_name.get(plain(header))

    def label(self, header: str, language: Language) -> str:
        """A column's name for readers of a language: its own, or what shops call it there, as far as that is known."""
        if _CHINESE.search(header) and language == "zh":
            return header
        own = header.replace("_", " ")
        if language == "en" and not _CHINESE.search(header):
            return own[:1].upper() + own[1:]
        concept = self.concept(header)
        names = (*(concept.names if concept else ()), *(name for name in self.columns if self.columns[name] == header))
        known = [name for name in names if bool(_CHINESE.search(name)) == (language == "zh")]
        label = known[0] if known else own
        return label[:1].upper() + label[1:]


def is_name(header: str) -> bool:
    """Whether an attribute is a product's name in some language."""
    return any(plain(header) in names for names in NAMES_IN.values())


def plain(header: str) -> str:
    """A header as names are compared: without its unit in brackets, `_` and case."""
    text = folded(header).replace("_", " ").replace("（", "(")
    return " ".join(text.split("(")[0].split("/")[0].split())


@cache
def vocabulary() -> Vocabulary:
    raw: dict[str, Any] = yaml.safe_load(
        resources.files(__package__).joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    )
    concepts = {
        name: Concept(
            name,
            tuple(map(folded, each["names"])),
            each.get("measures", ""),
            tuple(map(folded, each.get("less", ()))),
            tuple(map(folded, each.get("more", ()))),
        )
        for name, each in raw["attributes"].items()
    }
    groups = [tuple(dict.fromkeys(map(folded, map(str, group)))) for group in raw["values"]]
    values: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for name in group:
            values[name] = tuple(dict.fromkeys((*values.get(name, ()), *group)))
    return Vocabulary(
        {folded(name): column for column, names in raw["columns"].items() for name in names},
        concepts,
        {name: concept for concept in concepts.values() for name in reversed(concept.names)},
        values,
        frozenset(map(folded, raw["yes"])),
        frozenset(map(folded, raw["no"])),
    )
