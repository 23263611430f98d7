"""The PDF parser on files that are damaged, too large or broken off, and reading on from any page."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from ingestion.errors import (
    BrokenFile,
    EmptyFile,
    EncryptedFile,
    IngestionError,
    PermanentError,
    TooLarge,
    TransientError,
    WrongType,
)
from ingestion.parsers import pdf
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.types import DocumentStart, ParsedPage
from tests.ingestion.pdf_making import CHINESE, SENTENCES, check_page, make_pdf, parse, void, write


def refusal(path: Path, limits: Limits | None = None) -> IngestionError:
    with pytest.raises(IngestionError) as caught:
        list(PdfParser().parse(Source(path, "x"), limits or Limits()))
    assert len(str(caught.value)) > 30
    return caught.value


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    good = make_pdf(tmp_path / "good.pdf", [lambda canvas: void(write(canvas, SENTENCES))] * 3)
    (tmp_path / "empty.pdf").touch()
    (tmp_path / "text.pdf").write_text("Not a PDF at all, whatever its name says.")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00garbage" * 50)
    locked = make_pdf(
        tmp_path / "locked.pdf", [lambda canvas: void(write(canvas, SENTENCES))], encrypt=StandardEncryption("secret")
    )
    assert isinstance(refusal(tmp_path / "empty.pdf"), EmptyFile)
    assert isinstance(refusal(tmp_path / "text.pdf"), WrongType)
    assert isinstance(refusal(tmp_path / "broken.pdf"), BrokenFile)
    assert isinstance(refusal(locked), EncryptedFile)
    assert isinstance(refusal(good, Limits(file_bytes=100)), TooLarge)
    assert isinstance(refusal(good, Limits(pages=2)), TooLarge)
    assert isinstance(refusal(tmp_path / "gone.pdf"), TransientError)


def test_a_page_with_too_much_costs_only_itself(tmp_path: Path) -> None:
    texts = [["Open the lid."], SENTENCES, ["Press red."]]
    path = make_pdf(tmp_path / "a.pdf", [partial(write, lines=lines, y=300) for lines in texts])  # type: ignore[list-item]
    _, pages = parse(path, limits=Limits(page_characters=20))
    assert [page.text for page in pages] == ["Open the lid.\n", "", "Press red.\n"]
    assert "more than the 20 allowed" in (pages[1].warning or "")


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_reading_on_gives_what_reading_through_gives(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """From any page on, and with any pages left out, what is read is what would have been read."""

    def chapter(number: int) -> Callable[[Canvas], None]:
        def draw(canvas: Canvas) -> None:
            if number % 3 == 0:
                canvas.bookmarkPage(f"c{number}")
                canvas.addOutlineEntry(f"Chapter {number}", f"c{number}", number % 2)
                write(canvas, [f"Chapter {number}"], size=18)
            write(canvas, SENTENCES, y=400)

        return draw

    path = make_pdf(tmp_path_factory.mktemp("on") / "a.pdf", [chapter(number) for number in range(12)])
    source = Source(path, "x")
    whole = [item for item in PdfParser().parse(source, Limits()) if isinstance(item, ParsedPage)]
    pages = data.draw(st.integers(0, 12))
    left_out = data.draw(st.sets(st.integers(pages + 1, 13)))
    sections = whole[pages - 1].open_sections if pages else ()
    resume = Resume(pages, sections, dict.fromkeys(left_out, "left out"))
    start, *rest = PdfParser().parse_from(source, Limits(), resume)
    assert isinstance(start, DocumentStart)
    assert [page.number for page in rest] == list(range(pages + 1, 13))  # type: ignore[union-attr]
    for page in rest:
        assert isinstance(page, ParsedPage)
        if page.number in left_out:
            assert (page.text, page.warning) == ("", "left out")
        elif not left_out:
            assert page == whole[page.number - 1]
            assert page.open_sections == whole[page.number - 1].open_sections


def test_an_owner_password_alone_is_no_obstacle(tmp_path: Path) -> None:
    encryption = StandardEncryption("", ownerPassword="owner", canCopy=0)
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))], encrypt=encryption)
    assert parse(path)[1][0].text == " ".join(SENTENCES) + "\n"


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(10, 3000), flip=st.binary(min_size=1, max_size=8))
def test_damage_ends_in_pages_or_in_a_refusal(tmp_path_factory: pytest.TempPathFactory, cut: int, flip: bytes) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = make_pdf(folder / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))] * 2)
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    survives(path)
    path.write_bytes(content[:cut] + flip + content[cut + len(flip) :])
    survives(path)


def survives(path: Path) -> None:
    try:
        _, pages = parse(path)
    except PermanentError:
        return
    for page in pages:
        check_page(path, page)


LETTERS = st.text(
    st.sampled_from("abcdefghij ABC 0123 .,;:-/()  \u00e9\u00fc\u00df\u2022\u2013中文测试打印机。，（）"),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(LETTERS, st.sampled_from([8, 10, 14]), st.sampled_from([50, 62, 200]), st.integers(0, 3)),
        min_size=1,
        max_size=25,
    ),
    rotation=st.sampled_from([0, 90, 180, 270]),
)
def test_any_page_is_mapped_exactly(tmp_path: Path, lines: list[tuple[str, int, int, int]], rotation: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(rotation)
        y = 540.0
        for text, size, x, gap in lines:
            write(canvas, [text], x=x, y=y, size=size, font=CHINESE)
            y -= 6.0 * gap

    path = make_pdf(tmp_path / "any.pdf", [draw])
    _, [page] = parse(path)
    check_page(path, page)


def test_parsing_is_lazy_and_closing_early_is_clean(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))] * 5)
    reading = PdfParser().parse(Source(path, "a"), Limits())
    assert isinstance(next(reading), DocumentStart)
    assert isinstance(next(reading), ParsedPage)
    reading.close()  # type: ignore[attr-defined]
    assert len(parse(path)[1]) == 5


def test_reopening_the_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(canvas: Canvas) -> None:
        if canvas.getPageNumber() == 1:
            canvas.bookmarkHorizontal("a", 0, 530)
            canvas.addOutlineEntry("Care", "a", 0)
        write(canvas, SENTENCES)

    path = make_pdf(tmp_path / "a.pdf", [draw] * 5)
    once = parse(path)
    monkeypatch.setattr(pdf, "REOPENED_AFTER", 2)
    assert parse(path) == once
    assert {block.heading_path for page in once[1] for block in page.blocks} == {("Care",)}
