"""What our own HTML makes of text from outside."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from rag.language import PHRASES
from ui.style import AnswerStyle, answer_html, card, chip, plain, sources
from ui.texts import LANGUAGES, Language

HOSTILE = st.text(st.sampled_from("<>\"'&;=/*[]1|- \n:ab$`\\") | st.characters(codec="utf-8"), max_size=80)
OURS = {"div", "p", "table", "tbody", "tr", "td", "ul", "li", "span", "button", "b", "em", "q"}
ATTRIBUTES = {"class", "data-open"}


def assert_only_our_elements(html: str) -> None:
    body = LexborHTMLParser(html).body
    assert body is not None
    for node in body.css("*"):
        assert node.tag in OURS | {"body"}
        assert set(node.attributes) <= ATTRIBUTES


@given(HOSTILE)
def test_text_never_becomes_markup(text: str) -> None:
    for html in (answer_html(text, AnswerStyle({1: text}, is_written=True)), answer_html(text), chip(1, text, text)):
        assert_only_our_elements(html)
    assert_only_our_elements(card(1, text, text, text, shown=True))


@given(st.text(st.sampled_from("- 1\n") | st.characters(codec="utf-8", exclude_characters="*[]|"), max_size=80))
def test_nothing_of_a_text_is_lost(text: str) -> None:
    shown = unescape(re.sub(r"<[^>]*>", "", answer_html(text)))
    assert shown == "".join(line.strip() for line in text.splitlines() if line.strip())


def test_an_answer_has_paragraphs_steps_tables_and_chips() -> None:
    text = "From *8.6 Descaling*, page 16:\n\n1. Pour in 5 < 6 litres. [1]\n\nWeight | 8 kg\nPower | 9 W [2]"
    assert answer_html(text, AnswerStyle({1: "c1"})) == (
        '<div class="ad-answer">'
        '<p class="ad-lead">From <em>8.6 Descaling</em>, page 16:</p>'
        '<p class="ad-step">1. Pour in 5 &lt; 6 litres. <button class="ad-marker" data-open="c1">1</button></p>'
        "<table><tr><td>Weight</td><td>8 kg</td></tr>"
        '<tr><td>Power</td><td>9 W <span class="ad-marker">2</span></td></tr></table></div>'
    )


def test_dashes_make_a_list_and_no_number_below_zero_loses_its_sign() -> None:
    item = '<li><span class="ad-dash">- </span>{}</li>'
    listed = answer_html("*LT-300* covers:\n- 1 Safety <1> [1]\n- Filter - changing it\n- and 3 more chapters")
    assert listed == (
        '<div class="ad-answer"><p class="ad-lead"><em>LT-300</em> covers:</p><ul>'
        + item.format('1 Safety &lt;1&gt; <span class="ad-marker">1</span>')
        + item.format("Filter - changing it")
        + item.format("and 3 more chapters")
        + "</ul></div>"
    )
    for line in ("- 10 °C to 40 °C", "- 5 to 40 degrees", "-10 °C", "- 3.5 dB", "- 1 | 2", "-", "a - b", "-- x"):
        assert "<ul>" not in answer_html(line)
    assert "<em>8.6 Descaling</em>" in answer_html("- *8.6 Descaling*, page 16 [1]", AnswerStyle(doubt=True))


def test_sources_behind_the_first_six_are_there_and_seen_when_wanted() -> None:
    chips = [chip(number, "A < B", f"c{number}") for number in range(1, 16)]
    for shown, opened in ((0, []), (5, []), (6, [""]), (14, [""])):
        tree = LexborHTMLParser(sources("chips", chips, "All <15>", shown=shown))
        assert [each.attributes["data-open"] for each in tree.css("button")] == [
            f"c{number}" for number in range(1, 16)
        ]
        assert len(tree.css("details button")) == 9
        assert [each.text() for each in tree.css("summary")] == ["All <15>"]
        assert [each.attributes["open"] or "" for each in tree.css("details[open]")] == opened
    assert sources("cards", chips[:6], "All") == f'<div class="ad-cards">{"".join(chips[:6])}</div>'


def test_what_a_model_wrote_may_have_emphasis_and_a_quote_has_stars() -> None:
    written = AnswerStyle(is_written=True)
    assert (
        answer_html("**Never** wash *it*.", written)
        == '<div class="ad-answer"><p><b>Never</b> wash <em>it</em>.</p></div>'
    )
    assert "<em>" not in answer_html("2*3*4 and a * b * c and *ptr = *other", written)
    assert "**Never** wash *it*." in answer_html("**Never** wash *it*.")
    assert "摘自<em>8.6 **除垢**</em>第" in answer_html("摘自*8.6 **除垢***第 15 页：")


@pytest.mark.parametrize("parts", [(), ("5 bar",), ("5 bar", "E-17"), ("h\u2060ttp://a.example/x",)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_cited_pages_do_not_have_is_set_apart_in_what_a_model_wrote_only(
    language: Language, parts: tuple[str, ...]
) -> None:
    note = PHRASES[language].not_found_in_pages(parts).strip()
    said = f"Use <5> bar {note}. [1]"
    assert f'<span class="ad-not-found">{note}</span>.' in answer_html(said, AnswerStyle(is_written=True))
    assert "ad-not-found" not in answer_html(said)


def test_a_label_from_outside_is_no_markdown() -> None:
    assert plain("LT-100 [x](y) $a$") == r"LT\-100 \[x\]\(y\) \$a\$"
