"""Quotes stand at their spans, and quotations are found however a page breaks its lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.citations import CitationList, cite, find_quotation, guarded, spans_between, unguarded
from tests.rag.answering import page_texts, passage

TEXTS = st.text(alphabet="ab 1.\n中文。-\u00ad", min_size=1, max_size=60).filter(str.strip)


@given(TEXTS, st.data())
def test_a_quote_is_the_concatenation_of_its_page_slices(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    of = passage(text, pages=cuts)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    pages = page_texts(of)
    spans = spans_between(of, start, end)
    assert "".join(pages[span.page][span.start : span.end] for span in spans) == text[start:end]
    assert all(span.start < span.end for span in spans)
    if text[start:end].strip():
        citation = cite(of, start, end, 1)
        assert citation.quote == text[start:end].strip()
        assert "".join(pages[span.page][span.start : span.end] for span in citation.spans) == citation.quote


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 1), (0, 99)])
def test_a_range_outside_the_passage_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="No text between"):
        spans_between(passage("A kettle."), start, end)


def test_citations_are_numbered_in_order_and_the_same_quote_keeps_its_number() -> None:
    of = passage("Switch it off. Let it cool.")
    citations = CitationList()
    assert [citations.add(of, *place)[0].marker for place in [(15, 27), (0, 14), (14, 27)]] == [1, 2, 1]
    assert [citation.quote for citation in citations.citations] == ["Let it cool.", "Switch it off."]


@given(st.text(alphabet="[]12 x", max_size=20))
def test_no_text_looks_like_a_marker_when_guarded(text: str) -> None:
    import re

    assert not re.search(r"\[\d", guarded(text))
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize(
    ("page", "quotation", "found"),
    [
        (
            "Keep the tem\u00adperature\nbelow 40 °C.",
            "keep the temperature below 40 °C",
            "Keep the tem\u00adperature\nbelow 40 °C",
        ),
        ("the MS-DOS prompt", "MSDOS prompt", "MS-DOS prompt"),
        ("按住 电源\n按钮三秒。", "按住电源按钮三秒", "按住 电源\n按钮三秒"),
        ("It’s the “Start” button", 'It\'s the "Start" button', "It’s the “Start” button"),
        ("Heat it to -5 degrees", "Heat it to 5 degrees", None),
        ("Never open the lid", "open the lids", None),
        ("Reopen the lid", "open the lid", None),
        ("Use 10 bar", "Use 1 bar", None),
        ("Use 10 bar", "", None),
        ("Use 10 bar", " . ", None),
    ],
)
def test_a_quotation_is_found_word_for_word_whatever_the_line_breaks(
    page: str, quotation: str, found: str | None
) -> None:
    place = find_quotation(page, quotation)
    assert (page[slice(*place)] if place else None) == found
