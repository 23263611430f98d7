"""Cuts a document's pages into passages that the embedder can read whole.

Owns what a passage is: which blocks go together, what stands in front of its text when it is embedded, and that
no embedded text exceeds the embedder's limit. Does not embed, and knows neither files nor storage.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, groupby, pairwise, takewhile, zip_longest
from typing import Protocol

from ingestion.borders import Piece, Unit, cut
from ingestion.types import Block, BlockKind, ParsedPage, PassageDraft, Span
from ingestion.windows import window_spans
from rag.sentences import sentence_spans

CHUNKER_VERSION = "2"
"""Raised whenever the same pages would give other passages, windows or embedded texts."""

_BUFFERED_CHARACTERS = 100_000
_MARGIN = 4
_LEFT_OUT = (BlockKind.CONTENTS, BlockKind.REPEATED)
_SOFT_BORDER = re.compile(r"\n|[,;:，、：；)）|]\s*|\s")


class TokenCounter(Protocol):
    """What the chunker needs of `model_runtime.embedder.Embedder`."""

    max_tokens: int
    overhead_tokens: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]: ...

    def token_offsets(self, text: str) -> list[tuple[int, int]]: ...


@dataclass(frozen=True, slots=True)
class ChunkerSettings:
    """How passages are cut and what is embedded of them.

    passage_tokens: limit of a passage, everything included; the embedder's own limit where that is lower.
    small_section_tokens: a section below this joins a neighbour of the same top-level section.
    title_in_front, headings_in_front: what is put before each embedded text, at most `front_tokens` of it.
    window_words, window_characters, window_overlap: see `ingestion.windows.window_spans`.
    """

    passage_tokens: int = 512
    small_section_tokens: int = 80
    title_in_front: bool = True
    headings_in_front: bool = True
    front_tokens: int = 64
    window_words: int = 40
    window_characters: int = 80
    window_overlap: float = 0.0


class Chunker:
    """Pages in, passages out, for one embedder. May be used for any number of documents, one after another."""

    def __init__(self, tokens: TokenCounter, settings: ChunkerSettings) -> None:
        """Raises `ValueError` when the settings leave less than half of the limit, or 16 tokens, to the text."""
        self._tokens = tokens
        self._settings = settings
        self._limit = min(tokens.max_tokens, settings.passage_tokens) - tokens.overhead_tokens
        if self._limit - settings.front_tokens < max(self._limit // 2, 16):
            raise ValueError(
                f"front_tokens={settings.front_tokens} leaves too little of {self._limit} tokens to the text"
            )
        self._front = lru_cache(maxsize=4096)(self._make_front)

    def chunk(self, title: str, pages: Iterable[ParsedPage]) -> Iterator[PassageDraft]:
        """The passages of one document in reading order, while its pages come in.

        Every character of every block that is not white space is in exactly one passage; in none are only the lines of
        contents and index lists, since they would be found in place of what they point to, and the headers of tables
        that are printed again on each page. Rows of a table are embedded with their columns' names. A passage stays
        within a top-level section, and if that is short enough within a subsection. At most one top-level section is
        held in memory; one of more than 100,000 characters (about 40 pages) is cut as it comes.
        """
        pending: list[tuple[ParsedPage, Block]] = []
        characters = 0
        for page in pages:
            for block in page.blocks:
                if block.kind in _LEFT_OUT:
                    continue
                if pending and (
                    pending[-1][1].heading_path[:1] != block.heading_path[:1]
                    or (characters > _BUFFERED_CHARACTERS and block.heading_path != pending[-1][1].heading_path)
                    or characters > 2 * _BUFFERED_CHARACTERS
                ):
                    yield from self._cut_section(title, pending)
                    pending, characters = [], 0
                pending.append((page, block))
                characters += block.end - block.start
        if pending:
            yield from self._cut_section(title, pending)

    def _cut_section(self, title: str, blocks: Sequence[tuple[ParsedPage, Block]]) -> Iterator[PassageDraft]:
        paths = {_path(block.heading_path, block.columns) for _, block in blocks}
        room = self._limit - _MARGIN - max(self._front(title, path)[1] for path in paths)
        for group in self._groups(self._units(blocks, room), room):
            yield from self._drafts(title, group, room)

    def _units(self, blocks: Sequence[tuple[ParsedPage, Block]], room: int) -> list[Unit]:
        """The blocks, and the sentences of blocks beyond `room` tokens, and parts of sentences beyond it."""
        whole = [_whole_block(page, block) for page, block in blocks]
        units: list[Unit] = []
        for unit in self._counted([unit for unit in whole if unit.end > unit.start]):
            units.extend([unit] if unit.tokens <= room else self._sentences(unit, room))
        return units

    def _sentences(self, unit: Unit, room: int) -> Iterator[Unit]:
        spans = sentence_spans(unit.text)
        kinds = [unit.piece] + [Piece.SENTENCE] * (len(spans) - 1)
        for sentence in self._counted([_part_of(unit, *span, kind) for span, kind in zip(spans, kinds, strict=True)]):
            if sentence.tokens <= room:
                yield sentence
            else:
                yield from self._parts(sentence, max(room // 4, 1))

    def _parts(self, sentence: Unit, size: int) -> Iterator[Unit]:
        """Cuts a sentence after a newline, comma or space into parts of at most `size` tokens, else between tokens."""
        text = sentence.text
        tokens = self._tokens.token_offsets(text)
        borders = [0]
        index = 0
        while index + size < len(tokens):
            earliest, latest = tokens[index + size // 2][0], tokens[index + size][0]
            soft = [match.end() for match in _SOFT_BORDER.finditer(text, earliest, latest)]
            borders.append(max(soft, default=max(latest, borders[-1])))
            index += size // 2
            while index < len(tokens) and tokens[index][0] < borders[-1]:
                index += 1
        spans = [_trimmed(text, start, end) for start, end in pairwise([*borders, len(text)])]
        parts = [_part_of(sentence, start, end, Piece.PART) for start, end in spans if start < end]
        parts[0] = replace(parts[0], piece=sentence.piece)
        yield from self._counted(parts)

    def _counted(self, units: Sequence[Unit]) -> list[Unit]:
        counts = self._counts([unit.text for unit in units])
        return [replace(unit, tokens=tokens) for unit, tokens in zip(units, counts, strict=True)]

    def _groups(self, units: Sequence[Unit], room: int) -> list[list[Unit]]:
        """The sections of one top-level section, small ones joined with a neighbour, headings with what follows."""
        sections = [list(section) for _, section in groupby(units, key=lambda unit: unit.heading_path)]
        small = self._settings.small_section_tokens
        groups: list[list[Unit]] = []
        for section, following in zip_longest(sections, sections[1:]):
            before = groups[-1] if groups else []
            if not before:
                joins = False
            elif _only_headings(before) and _is_below(section[0], before[-1]):
                joins = True  # cut with it, however long it is
            elif _size(before) + _size(section) > room:
                joins = False
            elif _size(before) < small:
                joins = True
            else:
                has_better = following and (_only_headings(section) or _size(section) + _size(following) <= room)
                joins = _size(section) < small and not has_better
            if joins:
                before.extend(section)
            else:
                groups.append(section)
        return groups

    def _drafts(self, title: str, group: Sequence[Unit], room: int) -> Iterator[PassageDraft]:
        """Passages of one group. Counting units apart may err by some tokens: then once more with less room."""
        drafts = [self._draft(title, run) for run in cut(group, room)]
        excess = max(self._counts([draft.embedded[0] for draft in drafts])) - self._limit
        if excess <= 0:
            yield from drafts
            return
        smaller = room - excess - _MARGIN
        if smaller < 1:
            raise ValueError(f"no text fits into {room} tokens of this embedder: {group[0].text[:80]!r}")
        pieces = [[unit] if unit.tokens <= smaller else self._sentences(unit, smaller) for unit in group]
        yield from self._drafts(title, list(chain.from_iterable(pieces)), smaller)

    def _draft(self, title: str, run: Sequence[Unit]) -> PassageDraft:
        """A passage with its windows, which are within the limit; whether the whole is, is still to be seen."""
        spans, offsets = _spans(run)
        text = "".join(page.text[span.start : span.end] for page, span in spans)
        path = _path(_common_path([unit.heading_path for unit in run]), run[0].columns)
        windows: list[tuple[int, int]] = []
        embedded = [self._front(title, path)[0] + text]
        for section_path, start, end in _sections(run, offsets, len(text)):
            front, front_tokens = self._front(title, section_path)
            for window in self._windows(text, start, end, self._limit - _MARGIN - front_tokens):
                windows.append(window)
                embedded.append(front + text[slice(*window)])
        return PassageDraft(path, tuple(span for _, span in spans), text, tuple(windows), tuple(embedded))

    def _windows(self, text: str, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
        """Windows of text[start:end]; one that has more than `room` tokens all the same is halved."""
        settings = self._settings
        spans = window_spans(
            text[start:end],
            words=settings.window_words,
            characters=settings.window_characters,
            overlap=settings.window_overlap,
        )
        for window_start, window_end in spans:
            yield from self._fitting(text, start + window_start, start + window_end, room)

    def _fitting(self, text: str, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
        content = text[start:end]
        # No tokenizer makes more tokens of ASCII than it has characters: most windows need no counting.
        if (content.isascii() and len(content) < room) or self._counts([content])[0] <= room:
            yield start, end
            return
        borders = [border for border, _ in self._tokens.token_offsets(content)]
        middle = start + max(borders[len(borders) // 2], 1)
        for half_start, half_end in (_trimmed(text, start, middle), _trimmed(text, middle, end)):
            if half_start < half_end:
                yield from self._fitting(text, half_start, half_end, room)

    def _counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without prefix and special tokens."""
        return [count - self._tokens.overhead_tokens for count in self._tokens.count_tokens(texts)]

    def _make_front(self, title: str, path: tuple[str, ...]) -> tuple[str, int]:
        """What stands in front of an embedded text, and its tokens: of a long path, its ends rather than its middle."""
        parts = [title] if self._settings.title_in_front and title and title not in path[:1] else []
        if self._settings.headings_in_front:
            parts.extend(path)
        front, tokens = self._joined(parts)
        while tokens > self._settings.front_tokens and len(parts) > 1:
            del parts[1 if len(parts) > 2 else 0]
            front, tokens = self._joined(parts)
        if tokens > self._settings.front_tokens:
            end = self._tokens.token_offsets(parts[0])[self._settings.front_tokens - 4][0]
            front, tokens = self._joined([parts[0][:end].rstrip()])
        return front, tokens

    def _joined(self, parts: Sequence[str]) -> tuple[str, int]:
        if not parts:
            return "", 0
        front = " > ".join(parts) + ": "
        return front, self._counts([front])[0]


def _whole_block(page: ParsedPage, block: Block) -> Unit:
    start, end = _trimmed(page.text, block.start, block.end)
    return Unit(page, start, end, block.kind, block.heading_path, block.anchor, Piece.BLOCK, 0, block.columns)


def _path_of(unit: Unit) -> tuple[str, ...]:
    return _path(unit.heading_path, unit.columns)


def _path(headings: tuple[str, ...], columns: str) -> tuple[str, ...]:
    """What a text stands under: its headings, and of a row the names of its columns."""
    return (*headings, columns) if columns else headings


def _part_of(unit: Unit, start: int, end: int, piece: Piece) -> Unit:
    return replace(unit, start=unit.start + start, end=unit.start + end, piece=piece)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    content = text[start:end]
    start += len(content) - len(content.lstrip())
    return start, start + len(content.strip())


def _size(units: Sequence[Unit]) -> int:
    return sum(unit.tokens for unit in units)


def _only_headings(units: Sequence[Unit]) -> bool:
    return all(unit.kind is BlockKind.HEADING for unit in units)


def _is_below(unit: Unit, heading: Unit) -> bool:
    return unit.heading_path[: len(heading.heading_path)] == heading.heading_path


def _common_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(paths), max(paths)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return tuple(heading for heading, _ in same)


def _spans(run: Sequence[Unit]) -> tuple[list[tuple[ParsedPage, Span]], list[int]]:
    """The slices that a passage is made of, and where in its text each unit begins.

    Units with only white space between them share a span. A span reaches over the white space after its last
    unit, except at the passage's end, so that words on two pages stay apart.
    """
    spans: list[tuple[ParsedPage, Span]] = []
    offsets: list[int] = []
    length = 0
    for unit in run:
        if spans:
            page, span = spans[-1]
            gap_end = unit.start if unit.page is page else len(page.text)
            gap = page.text[span.end : gap_end]
            length += len(gap) - len(gap.lstrip())
            spans[-1] = page, replace(span, end=span.end + len(gap) - len(gap.lstrip()))
        if spans and spans[-1][0] is unit.page and spans[-1][1].end == unit.start:
            spans[-1] = unit.page, replace(spans[-1][1], end=unit.end)
        else:
            spans.append((unit.page, Span(unit.page.number, unit.start, unit.end, unit.anchor)))
        offsets.append(length)
        length += unit.end - unit.start
    return spans, offsets


def _sections(run: Sequence[Unit], offsets: Sequence[int], length: int) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Heading path, start and end of each section in a passage's text; headings alone go with what follows.

    The rows of a table below its header are a section under the names of its columns.
    """
    begins = [0]
    for index in range(1, len(run)):
        changed = _path_of(run[index]) != _path_of(run[index - 1])
        if changed and not _only_headings(run[begins[-1] : index]):
            begins.append(index)
    for begin, end in pairwise([*begins, len(run)]):
        stop = offsets[end] if end < len(run) else length
        yield _path_of(run[end - 1]), offsets[begin], stop
