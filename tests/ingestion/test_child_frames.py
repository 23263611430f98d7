"""What passes between a parser's process and the worker: every value comes through, and no damage becomes another."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.confined.child_frames import (
    HEADER,
    BadFrame,
    Kind,
    Request,
    decode,
    error_frame,
    item_frame,
    read_header,
    request_frame,
)
from ingestion.errors import BrokenFile, ParserFailed, TooLarge, TransientError
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.reader import Item
from ingestion.types import Block, BlockKind, DocumentStart, OpenTable, ParsedPage, RecordFailed

words = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
numbers = st.integers(0, 2**31 - 1)


@st.composite
def pages(draw: st.DrawFn) -> ParsedPage:
    text = draw(words)
    borders = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6)))
    blocks = tuple(
        Block(
            draw(st.sampled_from(BlockKind)),
            start,
            end,
            tuple(draw(st.lists(words))),
            draw(st.none() | words),
            draw(words),
        )
        for start, end in pairwise(borders)
    )
    runs = tuple(draw(st.lists(st.tuples(numbers, numbers, numbers))))
    sections = tuple(draw(st.lists(st.tuples(st.integers(-1, 9), st.integers(0, 9), words))))
    warning = draw(st.none() | words)
    table = draw(st.none() | st.builds(OpenTable, words, st.lists(words).map(tuple), numbers, words))
    return ParsedPage(draw(numbers), text, blocks, draw(st.none() | words), runs, warning, sections, open_table=table)


facets = st.dictionaries(words, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words)
starts = st.builds(DocumentStart, words, words, st.none() | numbers, facets, words, words)
failures = st.builds(RecordFailed, words, words, st.builds(BrokenFile, words))


def unframed(frame: bytes) -> object:
    kind, length = read_header(frame[: HEADER.size])
    assert length == len(frame) - HEADER.size
    return decode(kind, frame[HEADER.size :])


@given(pages() | starts | failures)
def test_frames_carry_every_value(item: Item) -> None:
    back = unframed(item_frame(item))
    if isinstance(item, RecordFailed):
        assert isinstance(back, RecordFailed)
        assert (back.external_id, back.title, str(back.error)) == (item.external_id, item.title, str(item.error))
        assert type(back.error) is BrokenFile
    else:
        assert back == item
        for left_open in ("open_sections", "open_table"):
            assert getattr(back, left_open, None) == getattr(item, left_open, None)


@settings(max_examples=100)
@given(pages() | starts, st.integers(0, 10_000), st.binary(max_size=6), st.sampled_from(Kind))
def test_a_damaged_frame_is_a_value_of_its_kind_or_refused(item: Item, place: int, junk: bytes, kind: Kind) -> None:
    payload = item_frame(item)[HEADER.size :]
    place %= len(payload)
    try:
        value = decode(kind, payload[:place] + junk + payload[place + len(junk) :])
    except BadFrame:
        return
    if kind is Kind.PAGE:
        assert isinstance(value, ParsedPage)
        assert all(block.end <= len(value.text) for block in value.blocks)


whole = st.integers(0, 20_000)
resumes = st.builds(
    Resume,
    numbers,
    st.lists(st.tuples(whole, whole, words)).map(tuple),
    st.dictionaries(numbers, words),
    members=whole,
    unreadable_members=st.lists(whole).map(tuple),
    table=st.none() | st.builds(OpenTable, words, st.lists(words).map(tuple), numbers, words),
    known=st.dictionaries(words, words),
)


@given(resumes)
def test_a_request_carries_what_is_to_be_gone_on_with(resume: Resume) -> None:
    request = Request(Source(Path("a.zip"), "a.zip"), Limits(), resume, 1)
    assert unframed(request_frame(request)) == request


def test_errors_keep_their_class_and_words() -> None:
    for error in (TooLarge("Too large."), TransientError("Later."), ParserFailed("No.")):
        back = unframed(error_frame(error))
        assert (type(back), str(back)) == (type(error), str(error))
