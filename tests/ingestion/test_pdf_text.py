"""The text builder's promise, and the rule for hyphens at line ends."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.parsers.pdf_text import TextBuilder, copy_line, counter, joint, keeps_hyphen, title_text
from tests.ingestion.pdf_making import SENTENCES, make_pdf, parse, void, write

AWKWARD = st.text(
    st.one_of(
        st.sampled_from(
            "ab 中文 \ufb01\u2f00\uf0b7\ue123\x00\x07\x88\xad\u200b\u3000\xa0\ufffd\ufffe\U0001f600\U00020000"
        ),
        st.characters(),
    ),
    min_size=1,
)


@given(AWKWARD, st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=5))
def test_what_is_copied_is_the_very_character(characters: str, slices: list[tuple[int, int]]) -> None:
    builder = TextBuilder(characters)
    for start, length in slices:
        copy_line(builder, min(start, len(characters)), min(start + length, len(characters)))
        builder.add("\n")
    text = builder.text()
    assert len(text) == builder.length
    for start, first, length in builder.runs:
        assert text[start : start + length] == characters[first : first + length]
    assert not any("\ud800" <= c <= "\udfff" or c in "\x00\ufffe\xad\u200b" for c in text)
    text.encode()


@pytest.mark.parametrize(
    ("characters", "expected"),
    [
        ("\uf0b7 Open the cover", "• Open the cover"),
        ("\x88 Open the cover", "• Open the cover"),
        ("o\ufb03ce \ufb01le\x00", "office file"),
        ("\u2f00\u2f08", "一人"),
        ("soft\xadware\u200b A\xa0B", "software A B"),
        ("第 一 章", "第一章"),
        ("目 录", "目录"),
        ("是 否 开启 完成", "是 否 开启 完成"),
        ("press \ue001 now", "press  now"),
    ],
)
def test_odd_characters(characters: str, expected: str) -> None:
    builder = TextBuilder(characters)
    copy_line(builder, 0, len(characters))
    assert builder.text() == expected


@pytest.mark.parametrize(
    ("left", "right", "keeps"),
    [
        ("a vec", "tor of", False),
        ("use MS", "DOS now", True),
        ("IN NO WAY DEFEC", "TIVE GOODS", False),
        ("the multi", "purpose tray", True),  # the document writes it with a hyphen elsewhere
        ("the trans", "parency adapter", False),
        ("see Clenshaw", "Curtis rule", True),
        ("apt install fonts-crosextra", "carlito", True),
        ("debian.org/debian", "security/", True),
        ("part TX", "400", True),
        ("a user", "name field", True),  # both halves are words, and nobody writes them as one
    ],
)
def test_hyphens(left: str, right: str, keeps: bool) -> None:
    words = Counter({"multi-purpose": 2, "transparency": 1, "user": 9, "name": 9, "purpose": 3})
    assert keeps_hyphen(left, right, counter(words, Counter())) is keeps


@pytest.mark.parametrize(
    ("left", "right", "between"),
    [
        ("the end", "of it", " "),
        ("指示灯", "完全熄灭", ""),
        ("在 Linux", "系统", " "),
        ("关闭，", "Linux", ""),
        ("“now”", "“then”", " "),
        ("请按“确定”", "然后", ""),
    ],
)
def test_joints(left: str, right: str, between: str) -> None:
    assert joint(left, right) == between


def test_titles_are_tidy() -> None:
    assert title_text(["第 一 章", "清 洁 与 保 养"]) == "第一章清洁与保养"
    assert title_text(["Chapter 3 ", " Before\xa0you \uf0b7 begin"]) == "Chapter 3 Before you begin"


@pytest.mark.parametrize("size", [0.0, 0.001, -12.0])
def test_text_of_no_size_costs_no_other_page(tmp_path: Path, size: float) -> None:
    """There is far more of it than of the rest, so that it would be the measure of all pages."""
    path = make_pdf(
        tmp_path / "a.pdf",
        [
            lambda canvas: void(write(canvas, SENTENCES)),
            lambda canvas: void([canvas.setFont("Helvetica", size), canvas.drawString(50, 300, "tiny " * 5_000)]),
            lambda canvas: void(write(canvas, ["Opening", ""], size=18) and write(canvas, SENTENCES, y=300)),
        ],
    )
    _, pages = parse(path)
    assert [page.warning for page in pages] == [None] * 3
    assert pages[0].text.startswith("Switch the printer off")
    assert pages[2].blocks[-1].heading_path == ("Opening",)
