"""Passages: exact slices of the pages, nothing lost, never too long, cut where a reader would cut."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.chunker import Chunker, ChunkerSettings
from ingestion.types import NO_PAGE, Block, BlockKind, ParsedPage, PassageDraft
from ingestion.windows import window_spans
from model_runtime.embedder import Embedder
from model_runtime.fakes import HashingEmbedder

WORDS = [
    "pump",
    "阀",
    "门",
    "error.",
    "E-42",
    "。",
    "\n",
    " ",
    "，",
    "𝒳𝒴",
    "e\u0301\u0323",
    "x" * 70,
    "1. ",
    "a | b",
    "：",
    "\u00a0",
    "\ufdfa",
]
TEXT = st.lists(st.sampled_from(WORDS) | st.characters(exclude_categories=["Cs"]), max_size=120).map("".join)
PATHS = st.sampled_from([(), ("A",), ("A", "A1"), ("A", "A2"), ("A", "A1", "deep " * 30), ("B",), ("B", "一章")])


@st.composite
def pages(draw: st.DrawFn) -> list[ParsedPage]:
    """Pages of blocks of any kind; between blocks nothing, white space, or text that belongs to no block."""
    result = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        text, blocks = "", []
        for _ in range(draw(st.integers(0, 6))):
            text += draw(st.sampled_from(["", " ", "\n\n", "\nno block\n"]))
            content = draw(TEXT) * draw(st.sampled_from([1, 1, 1, 9]))
            blocks.append(
                Block(
                    draw(st.sampled_from(list(BlockKind))),
                    len(text),
                    len(text) + len(content),
                    draw(PATHS),
                    columns=draw(st.sampled_from(["", "", "Code | 含义", "Code | 含义 > Doors"])),
                )
            )
            text += content
        result.append(ParsedPage(number, text + "\n" if text else "", tuple(blocks)))
    return result


def assert_sound(passages: Sequence[PassageDraft], source: Sequence[ParsedPage], embedder: Embedder) -> None:
    texts = {page.number: page.text for page in source}
    covered = [
        (page.number, i)
        for page in source
        for b in page.blocks
        if b.kind not in (BlockKind.CONTENTS, BlockKind.REPEATED)
        for i in range(b.start, b.end)
    ]
    wanted = [(number, i) for number, i in covered if not texts[number][i].isspace()]
    found = [
        (span.page, i)
        for passage in passages
        for span in passage.spans
        for i in range(span.start, span.end)
        if not texts[span.page][i].isspace()
    ]
    assert found == wanted
    for passage in passages:
        assert passage.text == "".join(texts[span.page][span.start : span.end] for span in passage.spans)
        assert passage.text == passage.text.strip() != ""
        assert len(passage.embedded) == 1 + len(passage.windows)
        assert passage.embedded[0].endswith(passage.text)
        end_before = 0
        for (start, end), embedded in zip(passage.windows, passage.embedded[1:], strict=True):
            assert end_before <= start < end <= len(passage.text)
            assert not passage.text[end_before:start].strip()
            assert embedded.endswith(passage.text[start:end])
            end_before = end
        assert not passage.text[end_before:].strip()
        assert max(embedder.count_tokens(passage.embedded)) <= embedder.max_tokens


@settings(deadline=None, max_examples=150)
@given(pages(), st.sampled_from([60, 150, 512]), st.sampled_from(["", "A", "Manual of 泵"]))
def test_passages_are_exact_slices_and_lose_nothing(source: list[ParsedPage], limit: int, title: str) -> None:
    embedder = HashingEmbedder(max_tokens=limit)
    chunker = Chunker(embedder, ChunkerSettings(front_tokens=20))
    passages = list(chunker.chunk(title, source))
    assert_sound(passages, source, embedder)
    tops = {(page.number, b.start, b.end): b.heading_path[:1] for page in source for b in page.blocks}
    for passage in passages:
        sections = {
            top
            for span in passage.spans
            for (number, start, end), top in tops.items()
            if number == span.page
            and max(start, span.start) < min(end, span.end)
            and texts_overlap(source, number, max(start, span.start), min(end, span.end))
        }
        assert len(sections) == 1
        names = {(block.columns,) for page in source for block in page.blocks}  # of a row that stands under no heading
        assert passage.heading_path[:1] in (sections | {()} | names)


def texts_overlap(source: Sequence[ParsedPage], number: int, start: int, end: int) -> bool:
    return bool(source[number - 1].text[start:end].strip())


class Manual:
    """Builds one page block by block."""

    def __init__(self) -> None:
        self.text = ""
        self.blocks: list[Block] = []

    def add(self, kind: BlockKind, path: tuple[str, ...], text: str, *, columns: str = "") -> "Manual":
        self.blocks.append(Block(kind, len(self.text), len(self.text) + len(text), path, columns=columns))
        self.text += text + "\n"
        return self

    def page(self) -> ParsedPage:
        return ParsedPage(NO_PAGE, self.text, tuple(self.blocks))


def words(count: int) -> str:
    return " ".join(["Word", *["word"] * (count - 2), "end."])


def cut(manual: Manual, limit: int = 203) -> list[PassageDraft]:
    """200 tokens a passage, of which 4 are the margin; nothing in front."""
    chunker_settings = ChunkerSettings(
        title_in_front=False, headings_in_front=False, front_tokens=10, small_section_tokens=40
    )
    return list(Chunker(HashingEmbedder(max_tokens=limit), chunker_settings).chunk("T", [manual.page()]))


def test_a_procedure_that_fits_is_kept_together() -> None:
    manual = Manual().add(BlockKind.PARAGRAPH, ("A",), words(120)).add(BlockKind.PARAGRAPH, ("A",), "Do this:")
    for number in range(1, 7):
        manual.add(BlockKind.STEP, ("A",), f"{number}. {words(18)}")
    passages = cut(manual)
    assert [passage.text[:8] for passage in passages] == ["Word wor", "Do this:"]
    assert passages[1].text.count("end.") == 6


def test_headings_stay_with_what_follows_and_small_sections_join_a_neighbour() -> None:
    manual = Manual()
    manual.add(BlockKind.HEADING, ("A",), "Chapter A")
    for name, size in (("A1", 100), ("A2", 90), ("A3", 10), ("A4", 10), ("A5", 150)):
        manual.add(BlockKind.HEADING, ("A", name), name).add(BlockKind.PARAGRAPH, ("A", name), words(size))
    manual.add(BlockKind.HEADING, ("B",), "Chapter B").add(BlockKind.PARAGRAPH, ("B",), words(5))
    passages = cut(manual)
    assert [(passage.heading_path, passage.text.split("\n")[0]) for passage in passages] == [
        (("A",), "Chapter A"),
        (("A", "A2"), "A2"),
        (("A",), "A3"),
        (("B",), "Chapter B"),
    ]
    assert "A5" in passages[2].text


def test_a_long_paragraph_is_cut_evenly_between_sentences() -> None:
    passages = cut(Manual().add(BlockKind.PARAGRAPH, ("A",), " ".join([words(20)] * 12)))
    assert [passage.text.count("end.") for passage in passages] == [6, 6]
    assert all(passage.text.endswith("end.") for passage in passages)


def test_a_paragraph_across_pages_is_one_passage_of_two_spans() -> None:
    first = ParsedPage(1, "The pump\n", (Block(BlockKind.PARAGRAPH, 0, 8, ("A",)),))
    second = ParsedPage(2, "header\nis hot.\n", (Block(BlockKind.PARAGRAPH, 7, 14, ("A",)),))
    [passage] = Chunker(HashingEmbedder(), ChunkerSettings()).chunk("Pumps", [first, second])
    assert [(span.page, span.start, span.end) for span in passage.spans] == [(1, 0, 9), (2, 7, 14)]
    assert passage.text == "The pump\nis hot."
    assert passage.embedded == ("Pumps > A: The pump\nis hot.",) * 2


def test_windows_carry_the_headings_of_their_own_section() -> None:
    manual = Manual()
    for name in ("A1", "A2"):
        manual.add(BlockKind.PARAGRAPH, ("A", name), f"Text of {name}.")
    [passage] = Chunker(HashingEmbedder(), ChunkerSettings()).chunk("A", [manual.page()])
    assert passage.heading_path == ("A",)
    assert passage.embedded[1:] == ("A > A1: Text of A1.", "A > A2: Text of A2.")


def test_rows_are_embedded_with_the_names_of_their_columns_and_cited_as_they_are() -> None:
    page = Manual().add(BlockKind.PARAGRAPH, ("Data",), "All values at 20 degrees.")
    page.add(BlockKind.TABLE_ROW, ("Data",), "Model | Weight")
    for number in range(60):
        page.add(BlockKind.TABLE_ROW, ("Data",), f"P-{number} | {number} kg", columns="Model | Weight")
    page.add(BlockKind.PARAGRAPH, ("Data",), "Weights without water.")
    passages = list(
        Chunker(HashingEmbedder(max_tokens=200), ChunkerSettings(front_tokens=40)).chunk("P", [page.page()])
    )
    assert "".join(passage.text + "\n" for passage in passages) == page.text
    assert len(passages) > 2
    for passage in passages:
        names = ("Model | Weight",) if passage.text.startswith("P-") else ()
        assert passage.heading_path == ("Data", *names)
        assert passage.embedded[0] == " > ".join(["P", "Data", *names]) + f": {passage.text}"
    for passage in passages:
        for (start, end), embedded in zip(passage.windows, passage.embedded[1:], strict=True):
            names = "Model | Weight: " if "P-" in passage.text[start:end] else ""
            assert embedded == (f"P > Data > {names}" if names else "P > Data: ") + passage.text[start:end]


def test_a_header_is_not_left_behind_by_its_rows() -> None:
    manual = Manual().add(BlockKind.PARAGRAPH, ("A",), words(130)).add(BlockKind.TABLE_ROW, ("A",), "Model | Weight")
    for number in range(20):
        manual.add(BlockKind.TABLE_ROW, ("A",), f"P-{number} | {number} kg net", columns="Model | Weight")
    assert [passage.text[:14] for passage in cut(manual)] == ["Word word word", "Model | Weight"]


def test_a_long_front_is_capped_and_keeps_its_ends() -> None:
    path = ("Part", "middle " * 30, "Last")
    manual = Manual().add(BlockKind.PARAGRAPH, path, "Text.")
    [passage] = Chunker(HashingEmbedder(), ChunkerSettings(front_tokens=12)).chunk("T", [manual.page()])
    assert passage.embedded[0] == "T > Last: Text."
    [passage] = Chunker(HashingEmbedder(), ChunkerSettings(front_tokens=12)).chunk(
        "long " * 99, [Manual().add(BlockKind.PARAGRAPH, (), "Text.").page()]
    )
    assert passage.embedded[0] == "long long long long long long long long: Text."


def test_pages_are_cut_as_they_come() -> None:
    read = []

    def endless() -> Iterator[ParsedPage]:
        for number in range(1, 1000):
            read.append(number)
            text = words(500) + "\n"
            yield ParsedPage(number, text, (Block(BlockKind.PARAGRAPH, 0, len(text), ()),))

    next(Chunker(HashingEmbedder(), ChunkerSettings()).chunk("T", endless()))
    assert len(read) < 120


def test_settings_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="front_tokens"):
        Chunker(HashingEmbedder(max_tokens=64), ChunkerSettings(front_tokens=60))


@given(TEXT)
@settings(deadline=None)
def test_windows_cover_the_text(text: str) -> None:
    end_before = 0
    for start, end in window_spans(text, words=5, characters=10):
        assert end_before <= start < end
        assert not text[end_before:start].strip()
        assert text[start:end] == text[start:end].strip()
        end_before = end
    assert not text[end_before:].strip()


def test_windows_are_of_about_the_size_asked_for() -> None:
    english = " ".join([words(12)] * 20)
    assert [len(english[s:e].split()) for s, e in window_spans(english)] == [36] * 6 + [24]
    chinese = "打开阀门并等待十秒钟以后再关闭它吧。" * 20
    assert [e - s for s, e in window_spans(chinese)] == [72] * 5
    code = "\n".join(f"call_{n}(x, y)" for n in range(60))
    assert all(code[e : e + 1] in ("\n", "") and 20 <= len(code[s:e].split()) <= 60 for s, e in window_spans(code))
    overlapping = window_spans(english, overlap=0.4)
    assert all(second[0] < first[1] for first, second in pairwise(overlapping))


def test_the_default_embedder_can_read_every_embedded_text(embedder: Embedder) -> None:
    text = ("Press the valve，按下阀门。" + "ﷺ" * 40 + "0x" + "f" * 900 + " 𝒳 é́ ½ … ") * 40
    page = ParsedPage(1, text + "\n", (Block(BlockKind.PARAGRAPH, 0, len(text), ("第一章", "Valves")),))
    passages = list(Chunker(embedder, ChunkerSettings()).chunk("手册", [page]))
    assert max(max(embedder.count_tokens(passage.embedded)) for passage in passages) <= embedder.max_tokens
    assert "".join(text.split()) == "".join("".join(passage.text for passage in passages).split())
