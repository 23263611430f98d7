"""The decision tables of an installation: a folder of files, and what they say of given features.

Owns the folder, reading changed files anew, and the bounds of what goes into a table. A file that comes to have
mistakes is reported, and what it said before goes on deciding. What a table must be is `checks`'. Knows no
conversation.
"""

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

from app.errors import NotFound
from app.service.decisions.checks import LARGEST, Table, checked, first_line
from app.service.decisions.errors import BadTable, TableProblem, Undecided

_LOG = logging.getLogger(__name__)

SUFFIX = ".json"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_MOST_FILES = 200
_MOST_FEATURES = 50
_MOST_MEMBERS = 100
_LONGEST_TEXT = 2_000
_LARGEST_NUMBER = 1e15
_DEEPEST = 3

_Seen = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a table says, with all that is needed to see later why.

    table, version: its name, and the SHA-256 of its file.
    result: its output `result`; score: its output `score`, None where it has none; values: all of its output.
    fired: the rules that led to it, in their order: {table, rule, number, description, conditions}.
    inputs: the features that it was given.
    """

    table: str
    version: str
    result: object
    score: float | None
    fired: tuple[Mapping[str, Any], ...]
    inputs: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: the table that decides, if any does, and what is wrong with the file as it is now."""

    name: str
    table: Table | None
    problems: tuple[TableProblem, ...] = ()


class Decisions:
    """Safe for threads."""

    def __init__(self, folder: Path) -> None:
        """A folder that is not there holds no tables."""
        self.folder = folder
        self._lock = RLock()
        self._seen: _Seen | None = None
        self._entries: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """One a file, by name, as the folder is now."""
        with self._lock:
            seen = self._files()
            if seen != self._seen:
                before = dict(zip((each[0] for each in self._seen or ()), self._seen or (), strict=True))
                self._entries = {
                    each[0]: self._entries[each[0]] if before.get(each[0]) == each else self._entry(each[0])
                    for each in seen
                }
                self._seen = seen
            return [self._entries[name] for name in sorted(self._entries)]

    def names(self) -> tuple[str, ...]:
        """Those that can decide."""
        return tuple(entry.name for entry in self.entries() if entry.table is not None)

    def evaluate(self, name: str, features: Mapping[str, Any]) -> Decision:
        """What the table says of `features`: numbers, texts, truth values, lists and objects of them; None is missing.

        Raises `NotFound` when there is no such table, `BadTable` when it never had a file without mistakes, and
        `Undecided` when an input is missing, unknown or not usable, or when no rule fired.
        """
        table = self._table(name)
        inputs = _bounded(features)
        unknown = inputs.keys() - table.inputs["properties"].keys()
        if unknown:
            raise Undecided(
                f"The table {name} has no input {min(unknown)!r}; it has {', '.join(table.inputs['properties'])}.",
                {"table": name, "inputs": sorted(unknown)},
            )
        try:
            response = table.decision.evaluate(inputs, {"trace": True, "max_depth": 1})
        except RuntimeError as error:  # which is all that the engine raises
            raise Undecided(
                f"The table {name} cannot decide: {_reason(first_line(error))}.", {"table": name}
            ) from error
        fired = _fired(table, response["trace"])
        output = response["result"]
        if not isinstance(output, dict) or output.get("result") is None or not fired:
            raise Undecided(f"No rule of the table {name} fits these inputs.", {"table": name, "inputs": inputs})
        stated = output.get("score")
        score = float(stated) if isinstance(stated, int | float) and not isinstance(stated, bool) else None
        return Decision(name, table.version, output["result"], score, fired, inputs, output)

    def _table(self, name: str) -> Table:
        entry = next((each for each in self.entries() if each.name == name), None)
        if entry is None:
            raise NotFound(f"There is no decision table {name!r} in {self.folder}.", {"table": name})
        if entry.table is None:
            raise BadTable(entry.problems)
        return entry.table

    def _files(self) -> _Seen:
        """The files by name, with what changes when they are written."""
        found = []
        try:
            with os.scandir(self.folder) as folder:
                for each in folder:
                    if each.name.endswith(SUFFIX) and not each.name.startswith(".") and each.is_file():
                        stat = each.stat()
                        found.append((each.name.removesuffix(SUFFIX), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except FileNotFoundError:
            return ()
        return tuple(sorted(found)[:_MOST_FILES])

    def _entry(self, name: str) -> Entry:
        try:
            return Entry(name, _read(self.folder, name))
        except BadTable as error:
            _LOG.error("A decision table has mistakes, what it said before goes on deciding:\n%s", error)
            before = self._entries.get(name)
            return Entry(name, before.table if before is not None else None, error.problems)


def _read(folder: Path, name: str) -> Table:
    file = f"{name}{SUFFIX}"
    if not _NAME.fullmatch(name):
        reason = "a table's file is named with small letters, digits and _, beginning with a letter"
        raise BadTable([TableProblem(file, "", reason)])
    try:
        with (folder / file).open("rb") as opened:
            source = opened.read(4 * LARGEST + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable([TableProblem(file, "", f"cannot be read: {error}")]) from error
    return checked(name, file, source)


def _bounded(features: Mapping[str, Any]) -> dict[str, Any]:
    """The features that are there. Raises `Undecided` for what no table is given."""
    if len(features) > _MOST_FEATURES:
        raise Undecided(f"There are more than {_MOST_FEATURES} inputs.")
    for name, value in features.items():
        if not isinstance(name, str) or len(name) > 100:
            raise Undecided("The names of inputs are texts of at most 100 characters.")
        if problem := _problem(value, _DEEPEST):
            raise Undecided(f"The input {name!r} {problem}.", {"input": name})
    return {name: value for name, value in features.items() if value is not None}


def _problem(value: object, deepest: int) -> str | None:
    match value:
        case None | bool():
            return None
        case int() | float():
            in_bounds = math.isfinite(value) and abs(value) <= _LARGEST_NUMBER
            return None if in_bounds else "is no number that can be computed with"
        case str():
            return None if len(value) <= _LONGEST_TEXT else f"is longer than {_LONGEST_TEXT:,} characters"
        case list() | tuple() | dict() if not deepest:
            return "is nested too deeply"
        case list() | tuple() | dict() if len(value) > _MOST_MEMBERS:
            return f"has more than {_MOST_MEMBERS} members"
        case list() | tuple():
            return next((said for each in value if (said := _problem(each, deepest - 1))), None)
        case dict():
            return next((said for each in value.values() if (said := _problem(each, deepest - 1))), None)
    return "is neither a number, a text, a truth value, a list nor an object"


def _fired(table: Table, trace: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The rules that matched, in the order in which the tables were asked."""
    fired: list[Mapping[str, Any]] = []
    for step in sorted(trace.values(), key=lambda each: each["order"]):
        if step["id"] not in table.nodes:
            continue
        found = step["traceData"] or ()
        for each in (found,) if isinstance(found, dict) else found:
            rule = each["rule"]
            fired.append(
                {
                    "table": step["name"],
                    "rule": rule.get("_id", ""),
                    "number": each["index"] + 1,
                    "description": rule.get("_description", ""),
                    "conditions": {
                        name.rsplit("[", 1)[0]: cell for name, cell in rule.items() if name[0] != "_" and cell
                    },
                }
            )
    return tuple(fired)


def _reason(said: str) -> str:
    """The engine's own words, without their envelope: `{"type": …, "source": …}`."""
    match = re.search(r'"source":\s*"((?:[^"\\]|\\.)*)"', said)
    return match[1].replace('\\"', '"').removeprefix(": ") if match else said
