"""The names of a catalogue's flags and values, as customers may say them in English or Chinese, found in a question.

Owns the names: the catalogue's own words, their synonyms (`vocabulary.yaml`), and what the dictionary calls them in the
other language. Whether one is wanted or not is `question`'s.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.service.catalogue.facts import Column, ColumnKind, Facts
from app.service.catalogue.vocabulary import vocabulary
from rag.analyzer import STOP_WORDS, is_chinese, stem, words
from rag.dictionary import Dictionary

Meaning = tuple[str, str]
"""A column, and the value of it that is meant; "" of a flag."""

_TOKEN = re.compile(r"[a-z0-9]+(?:[.'’][a-z0-9]+)*")
_CHINESE = re.compile(r"[㐀-鿿]")
_MOST_WORDS = 6
_MOST_LOOKED_UP = 5_000  # values that the dictionary is asked for
_HAVING = re.compile(
    r"\b(?:with|without|has|(?<!you )have|having|includ\w+|plus|no|built[ -]in|integrated)\b|[带含配]|内置"
)
_COLOUR_SIGNS = frozenset("色款")


@dataclass(frozen=True, slots=True)
class Named:
    """A place in a question that names values or flags."""

    start: int
    end: int
    means: tuple[Meaning, ...]


class Names:
    """Finds names in folded questions. Safe for threads."""

    def __init__(self, facts: Facts, dictionary: Dictionary | None = None) -> None:
        self._english: dict[tuple[str, ...], dict[Meaning, None]] = {}
        self._chinese: dict[str, dict[Meaning, None]] = {}
        self._facts = facts
        for column in facts.columns.values():
            if column.kind is ColumnKind.FLAG:
                self._add((column.name, ""), column.names)
            elif column.kind is ColumnKind.CHOICE:
                self._add_choices(column)
        if dictionary is not None:
            self._add_translations(dictionary)
        self._longest = max(map(len, self._chinese), default=0)

    def found_in(self, question: str) -> list[Named]:
        """Names in the order of the question; of those that overlap the longest."""
        found = sorted(
            (*self._english_in(question), *self._chinese_in(question)), key=lambda each: (-_length(each), each.start)
        )
        kept: list[Named] = []
        for each in found:
            if all(each.end <= other.start or each.start >= other.end for other in kept):
                kept.append(each)
        return [self._narrowed(each, question) for each in sorted(kept, key=lambda each: each.start)]

    def _narrowed(self, named: Named, question: str) -> Named:
        """A word that is a value of several columns means the one that most products have.

        What is a kind of product here, and in others a part ("grinder"), is the part only behind "with" and the like.
        """
        columns = list(dict.fromkeys(column for column, _ in named.means))
        if len(columns) == 1:
            return named
        kinds = [name for name in columns if self._facts.columns[name].is_kind_of_product]
        before, after = question[: named.start], question[named.end :]
        is_part = _HAVING.search(before) or (before.endswith("有") and after.startswith("的"))
        if kinds and not is_part:
            return Named(named.start, named.end, tuple(each for each in named.means if each[0] in kinds))
        best = max(
            columns, key=lambda name: (self._facts.columns[name].kind is ColumnKind.FLAG, self._rows(named, name))
        )
        return Named(named.start, named.end, tuple(each for each in named.means if each[0] == best))

    def _rows(self, named: Named, column: str) -> int:
        choices = self._facts.columns[column].choices
        return sum(len(choices.get(value, ())) for name, value in named.means if name == column)

    def _add_choices(self, column: Column) -> None:
        for value in column.choices:
            names = [value, *vocabulary().values.get(value, ())]
            if len(value) == 1 or re.fullmatch(r"[\d.]+|[a-z]{1,3}", value):
                # "M" and "42" name a value only beside the column's name: "size M", "42 码"
                own = [name for name in column.names if name != value]
                names = [f"{name} {value}" for name in own if name.isascii()]
                names += [made for name in own if not name.isascii() for made in (f"{value}{name}", f"{value} {name}")]
                if len(value) > 1 and value.isalpha() and value not in STOP_WORDS:
                    names.append(value)
            self._add((column.name, value), names)

    def _add(self, meaning: Meaning, names: Iterable[str]) -> None:
        for name in names:
            if _CHINESE.search(name):
                sign_alone = len(name.strip()) == 1 and name not in _COLOUR_SIGNS
                for form in (f"{name}色", f"{name}款") if sign_alone else (name,):
                    self._chinese.setdefault(form, {})[meaning] = None
            elif (key := tuple(word for _, _, word in _tokens(name))) and len(key) <= _MOST_WORDS:
                self._english.setdefault(key, {})[meaning] = None

    def _add_translations(self, dictionary: Dictionary) -> None:
        """What the dictionary calls values of one or two words in the other language."""
        asked: dict[str, list[Meaning]] = {}
        known = [(column, value) for column in self._facts.columns.values() for value in column.choices]
        for column, value in known[:_MOST_LOOKED_UP]:
            of_value = words(value)
            if 0 < len(of_value) <= 2 and value not in vocabulary().values:
                asked.setdefault(" ".join(of_value), []).append((column.name, value))
        for said, translations in dictionary.translations(asked).items():
            for translation in translations:
                for meaning in asked[said]:
                    self._add_translation(meaning, translation)

    def _add_translation(self, meaning: Meaning, translation: Sequence[str]) -> None:
        if all(map(is_chinese, translation)):
            name = "".join(translation)
            if len(name) > 1:
                self._chinese.setdefault(name, {})[meaning] = None
        elif not any(map(is_chinese, translation)) and not (len(translation) == 1 and len(translation[0]) < 3):
            self._english.setdefault(tuple(translation), {})[meaning] = None

    def _english_in(self, question: str) -> Iterator[Named]:
        tokens = _tokens(question)
        for first in range(len(tokens)):
            for last in range(first, min(first + _MOST_WORDS, len(tokens))):
                means = self._english.get(tuple(word for _, _, word in tokens[first : last + 1]))
                if means:
                    yield Named(tokens[first][0], tokens[last][1], tuple(means))

    def _chinese_in(self, question: str) -> Iterator[Named]:
        for match in _CHINESE.finditer(question):
            at = match.start()
            for length in range(1, self._longest + 1):
                means: Mapping[Meaning, None] | None = self._chinese.get(question[at : at + length])
                if means and at + length <= len(question):
                    yield Named(at, at + length, tuple(means))


def _tokens(text: str) -> list[tuple[int, int, str]]:
    """Start, end and stem of the words and numbers of a folded text."""
    found = []
    for match in _TOKEN.finditer(text):
        word = re.sub(r"['’]s?", "", match[0])
        found.append((match.start(), match.end(), stem(word) if word.isalpha() else word))
    return found


def _length(named: Named) -> int:
    return named.end - named.start
