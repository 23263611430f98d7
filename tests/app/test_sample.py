"""The sample manuals: real PDF files, the same each time, with the facts that the sample questions ask for."""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest

import app.sample
from app.sample import FIRST_QUESTIONS, source
from app.sample.lines import marked_lines
from app.sample.look import BOLD, REGULAR, register_fonts
from app.sample.render import LANGUAGES, render_sample

FOLDER = Path(app.sample.__file__).parent
QUESTIONS = [json.loads(line) for line in (FOLDER / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
MANUALS = {language: source.read_manual(FOLDER / f"manual.{language}.md") for language in LANGUAGES}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return dict(zip(LANGUAGES, render_sample(tmp_path_factory.mktemp("sample")), strict=True))


@pytest.fixture(scope="module")
def pages(paths: dict[str, Path]) -> dict[str, list[str]]:
    """The text of each page as a reader program sees it."""
    texts = {}
    for language, path in paths.items():
        with pdfium.PdfDocument(path) as document:
            texts[language] = [page.get_textpage().get_text_range() for page in document]
    return texts


def squeezed(text: str) -> str:
    """Without white space: a line may break anywhere."""
    return "".join(text.split())


def test_names_and_bytes_are_the_same_each_time(paths: dict[str, Path], tmp_path: Path) -> None:
    again = render_sample(tmp_path / "made" / "on the way")
    assert [path.name for path in again] == ["orvello-lt300-en.pdf", "orvello-lt300-zh.pdf"]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths.values()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_shape_of_the_document(language: str, paths: dict[str, Path], pages: dict[str, list[str]]) -> None:
    facts = MANUALS[language].facts
    texts = pages[language]
    assert 16 <= len(texts) <= 26
    assert facts["title"] in texts[0]
    assert texts[1].startswith(facts["contents"])
    for number, text in enumerate(texts[1:], start=2):
        assert facts["running"] in text
        assert re.search(rf"{re.escape(facts['edition'])} {number}\b", text), f"no page number on page {number}"
    with pdfium.PdfDocument(paths[language]) as document:
        assert document.get_metadata_dict()["Title"].endswith(facts["title"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_outline_and_contents_lead_to_the_headings(
    language: str, paths: dict[str, Path], pages: dict[str, list[str]]
) -> None:
    headings = [block for block in MANUALS[language].blocks if isinstance(block, source.Heading)]
    with pdfium.PdfDocument(paths[language]) as document:
        outline = [(mark.level, mark.get_title(), mark.get_dest().get_index()) for mark in document.get_toc()]
    assert [(level, title) for level, title, _ in outline] == [(h.level, f"{h.number} {h.text}") for h in headings]
    contents = squeezed(pages[language][1])
    for _, title, index in outline:
        assert squeezed(title) in squeezed(pages[language][index])
        assert re.search(rf"{re.escape(squeezed(title))}[.]*{index + 1}", contents), title


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_glyph_is_missing_and_every_font_is_embedded(
    language: str, paths: dict[str, Path], pages: dict[str, list[str]]
) -> None:
    text = "".join(pages[language])
    assert not {"\ufffd", "\u25a1", "\x00", "\ufffe"} & set(text)
    blocks = squeezed(text)
    for words in _texts(MANUALS[language]):
        for word in re.split(r"\*\*|\s+", words):
            assert word in blocks
    with pdfium.PdfDocument(paths[language]) as document:
        objects = [thing for page in document for thing in page.get_objects() if isinstance(thing, pdfium.PdfTextObj)]
        fonts = {(font.get_base_name().split("+")[-1], font.is_embedded) for font in map(_font, objects)}
    assert fonts == {("NotoSansSCThin-Regular", True), ("NotoSansSCThin-Bold", True)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_models_have_tables_of_their_own(language: str, pages: dict[str, list[str]]) -> None:
    assert sum("LT-300S" in text for text in pages[language]) > 12
    tables = [block for block in MANUALS[language].blocks if isinstance(block, source.Table)]
    compared = [table for table in tables if {"LT-300", "LT-300S"} <= set(table.rows[0])]
    assert len(compared) >= 10
    codes = [row[0] for table in tables for row in table.rows if re.fullmatch(r"E-\d\d", row[0])]
    assert codes == [f"E-{number:02}" for number in range(1, 22)]


def test_both_languages_give_the_same_figures() -> None:
    """Block by block and cell by cell: the same numbers, part numbers and error codes."""
    english, chinese = MANUALS["en"].blocks, MANUALS["zh"].blocks
    for first, second in zip_longest(english, chinese):
        assert type(first) is type(second), (first, second)
        for here, there in zip_longest(_parts(first), _parts(second)):
            assert _figures(here) == _figures(there), f"{here}\n{there}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_sections_referred_to_exist(language: str) -> None:
    manual = MANUALS[language]
    numbers = {block.number for block in manual.blocks if isinstance(block, source.Heading)}
    pattern = r"section (\d+\.\d+)|chapter (\d+)|(\d+\.\d+) 节|第 (\d+) 章"
    referred = {next(filter(None, groups)) for text in _texts(manual) for groups in re.findall(pattern, text)}
    assert len(referred) > 8
    assert referred <= numbers


def test_questions_are_complete() -> None:
    assert len({question["_id"] for question in QUESTIONS}) == len({question["text"] for question in QUESTIONS}) == 60
    for language in LANGUAGES:
        asked = [question for question in QUESTIONS if question["language"] == question["document"] == language]
        assert len(asked) == 30
        assert sum(question["page"] is None for question in asked) == 5
        assert "LT-300S" in FIRST_QUESTIONS[language]


@pytest.mark.parametrize("question", QUESTIONS, ids=[question["_id"] for question in QUESTIONS])
def test_answer_stands_on_its_page_only(question: dict[str, Any], pages: dict[str, list[str]]) -> None:
    if question["answer"] is None:
        assert question["page"] is None
        return
    answer = squeezed(question["answer"])
    assert [n for n, text in enumerate(pages[question["document"]], start=1) if answer in squeezed(text)] == [
        question["page"]
    ]


def test_lines_break_where_a_printer_would() -> None:
    text = "水箱加满清水（见 3.4 节），按**确认**键，机器出水温度为 85 ℃，冲洗需要 8 分钟。"
    register_fonts(text)
    for width in range(60, 240, 3):
        lines = marked_lines(text, width, 9, REGULAR, BOLD).split("<br/>")
        assert squeezed(re.sub("<.*?>", "", "".join(lines))) == squeezed(text.replace("**", ""))
        plain = [re.sub("<.*?>", "", line) for line in lines]
        assert not [line for line in plain if line[0] in "，。）℃" or line[-1] in "（"]
        assert not [line for line in plain if re.search(r"\d$", line)]


def test_marked_lines_takes_everything_but_bold_literally() -> None:
    register_fonts("水箱")
    assert marked_lines("a < b & **c > d**", 500, 9, REGULAR, BOLD) == "a &lt; b &amp; <b>c &gt; d</b>"


def test_a_character_without_a_glyph_is_named() -> None:
    with pytest.raises(ValueError, match="no glyph for '𓀀'"):
        register_fonts("水𓀀")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1. one\n3. three", "steps are not numbered"),
        ("> danger", "nor another known block"),
        ("| a |", "nor another known block"),
        ("> [hint] x", "unknown kind of warning"),
        ("Table: T\n| a | b |\n|--|--|\n| 1 |", "different lengths"),
        ("one\ntwo", "neither a paragraph of one line"),
    ],
)
def test_malformed_text_is_refused_with_its_place(body: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "manual.md"
    path.write_text(f"---\nname: x\n---\n\n{body}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        source.read_manual(path)


def _font(thing: Any) -> Any:
    return thing.get_font()


def _texts(manual: source.Manual) -> Iterator[str]:
    for block in manual.blocks:
        yield from _parts(block)


def _parts(block: source.Block | None) -> list[str]:
    match block:
        case source.Items():
            return list(block.texts)
        case source.Table():
            return [block.caption, *(cell for row in block.rows for cell in row)]
        case source.Figure():
            return [block.caption]
        case None:
            return []
        case _:
            return [block.text]


def _figures(text: str | None) -> set[str]:
    """The numbers and codes of a text; 1,450 and 1450 are the same."""
    assert text is not None
    return {figure.replace(",", "") for figure in re.findall(r"[A-Z]{1,2}-\d+S?|-?\d[\d,]*(?:\.\d+)?", text)}
