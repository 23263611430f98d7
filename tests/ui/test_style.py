"""What our own HTML makes of text from outside."""

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from ui.style import AnswerStyle, answer_html, card, chip, plain

HOSTILE = st.text(st.sampled_from("<>\"'&;=/*[]1| \n:ab$`\\") | st.characters(codec="utf-8"), max_size=80)
OURS = {"div", "p", "table", "tbody", "tr", "td", "span", "button", "b", "em", "q"}
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


@given(st.text(st.characters(codec="utf-8", exclude_characters="*[]|"), max_size=80))
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


def test_what_a_model_wrote_may_have_emphasis_and_a_quote_has_stars() -> None:
    written = AnswerStyle(is_written=True)
    assert (
        answer_html("**Never** wash *it*.", written)
        == '<div class="ad-answer"><p><b>Never</b> wash <em>it</em>.</p></div>'
    )
    assert "<em>" not in answer_html("2*3*4 and a * b * c and *ptr = *other", written)
    assert "**Never** wash *it*." in answer_html("**Never** wash *it*.")
    assert "摘自<em>8.6 **除垢**</em>第" in answer_html("摘自*8.6 **除垢***第 15 页：")


def test_what_the_cited_pages_do_not_have_is_set_apart_in_what_a_model_wrote_only() -> None:
    for note in (
        "(not found in the cited pages: 5 bar)",
        "（所引页面中未找到：5 bar）",
        "(not found in the cited pages)",
    ):
        said = f"Use <5> bar {note}. [1]"
        assert f'<span class="ad-not-found">{note}</span>.' in answer_html(said, AnswerStyle(is_written=True))
        assert "ad-not-found" not in answer_html(said)


def test_a_label_from_outside_is_no_markdown() -> None:
    assert plain("LT-100 [x](y) $a$") == r"LT\-100 \[x\]\(y\) \$a\$"
