"""Reads the text of a manual into blocks. Knows the text format, not how a page looks.

The format is a small part of Markdown. A front matter of `key: value` lines between two `---` comes first. Then:

    # Chapter                     numbered 1, 2, ...
    ## Section                    numbered 1.1, 1.2, ...
    One line, one paragraph, with **button names** in bold.
    - item                        a bullet list
    1. step                       a numbered procedure
    > [warning] text              danger, warning, caution or note
    Table: caption                then | cell | cell | lines; the number of dashes in the second line
                                  gives each column its share of the width
    Figure: caption               the drawing of the machine

`Table:` and `Figure:` are written `表:` and `图:` in Chinese.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIGNALS = ("danger", "warning", "caution", "note")


@dataclass(frozen=True)
class Heading:
    """A chapter (level 0) or a section (level 1) with its number, such as "8.6"."""

    level: int
    number: str
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Items:
    """A list. `ordered` lists are procedures, numbered from 1."""

    ordered: bool
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Signal:
    """A boxed warning or note; `kind` is one of SIGNALS."""

    kind: str
    text: str


@dataclass(frozen=True)
class Table:
    """`rows[0]` is the header; `shares` are relative column widths."""

    caption: str
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[int, ...]


@dataclass(frozen=True)
class Figure:
    caption: str


Block = Heading | Paragraph | Items | Signal | Table | Figure


@dataclass(frozen=True)
class Manual:
    """A parsed manual: `facts` is the front matter."""

    facts: dict[str, str]
    blocks: tuple[Block, ...]


def read_manual(path: Path) -> Manual:
    """Parse the manual at `path`. Raises ValueError, naming the file and the line, where the format is broken."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = lines.index("---", 1)
    facts = dict(line.split(": ", 1) for line in lines[1:end])
    try:
        blocks = tuple(_blocks(lines[end + 1 :]))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return Manual(facts, blocks)


def _blocks(lines: list[str]) -> Iterator[Block]:
    chapter = section = 0
    for group in _groups(lines):
        first = group[0]
        if first.startswith("# "):
            chapter, section = chapter + 1, 0
            yield Heading(0, str(chapter), first[2:])
        elif first.startswith("## "):
            section += 1
            yield Heading(1, f"{chapter}.{section}", first[3:])
        elif first.startswith("- "):
            yield Items(False, tuple(line.removeprefix("- ") for line in group))
        elif first.startswith("1. "):
            if [line.split(". ")[0] for line in group] != [str(n + 1) for n in range(len(group))]:
                raise ValueError(f"steps are not numbered 1, 2, ...: {first!r}")
            yield Items(True, tuple(line.split(". ", 1)[1] for line in group))
        elif match := re.fullmatch(r"> \[(\w+)\] (.+)", first):
            if match[1] not in SIGNALS:
                raise ValueError(f"unknown kind of warning: {first!r}")
            yield Signal(match[1], match[2])
        elif match := re.fullmatch(r"(?:Figure|图): (.+)", first):
            yield Figure(match[1])
        elif match := re.fullmatch(r"(?:Table|表): (.+)", first):
            yield _table(match[1], group[1:])
        elif len(group) == 1 and first[0] not in "#>|":
            yield Paragraph(first)
        else:
            raise ValueError(f"neither a paragraph of one line nor another known block: {first!r}")


def _groups(lines: list[str]) -> Iterator[list[str]]:
    """The runs of lines between empty lines."""
    group: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            group.append(line.strip())
        elif group:
            yield group
            group = []


def _table(caption: str, lines: list[str]) -> Table:
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    if len(cells) < 3 or len({len(row) for row in cells}) != 1:
        raise ValueError(f"the rows of table {caption!r} have different lengths")
    return Table(caption, (cells[0], *cells[2:]), tuple(len(cell) for cell in cells[1]))
