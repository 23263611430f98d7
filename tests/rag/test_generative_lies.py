"""A chat model that lies: what of its words a reader sees, at any moment, with either setting."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag.answerers.generative.answerer import GenerativeAnswerer, GenerativeSettings
from rag.answerers.generative.writer import WhenNotFound
from rag.citations import find_quotation
from rag.types import Answer, AnswerEvent, AnswerKind, Cited, Finished, Token
from tests.fakes.chat_model import Scripted
from tests.rag.answering import FakeFound
from tests.rag.kettle import HITS, QUESTION

HONEST = (
    "Let it cool for 30 minutes. [1]",
    "Fill it with 50 ml of vinegar [1].",
    "The lamp turns red at 100 °C. [2]",
    '"Rinse it twice." [1]',
    "加入五十毫升白醋。[3]",
)
LIES = (
    ("Let it cool for 45 minutes. [1]", "45"),
    ("Let it cool for 30 hours. [1]", "30 hours"),
    ("Fill it with 500 ml of vinegar. [1]", "500"),
    ("Error E-99 means that the lid is open [2].", "E-99"),
    ("It boils over at 1000 °C. [2]", "1000"),
    ("The lid opens at 30 minutes [2].", "30"),
    ("The kettle was made by Evil Corp in Springfield. [1]", "Evil Corp"),
    ("It has been recalled since 3 May 2021. [2]", "2021"),
    ('The manual says "never rinse it". [1]', "never rinse"),
    ('Press "Boom" now. [2]', "Boom"),
    ("“Use acid.” [1]", "acid"),
    ("It says 'pour acid in' [1].", "acid"),
    ("It says ''pour acid in'' [1].", "acid"),
    ("It says ‘pour acid in’ [1].", "acid"),
    ("它说「不要冲洗」。[3]", "不要冲洗"),
    ("等待四十分钟。[3]", "四十"),
    ("加入五百毫升白醋。[3]", "五百"),
    ("Customers must pay a monthly subscription fee to unlock boiling.", "subscription"),
)
QUOTED = re.compile(
    r'"([^"]*)"|“([^“”]*)”|「([^「」]*)」|『([^『』]*)』|«([^«»]*)»|„([^“”]*)[“”]|‘([^‘’]*)’'
    r"|(?<![\w'])'(?=\w)([^'\n]*)'(?![\w'])"
)
NOTE = re.compile(r" \(not found in the cited pages[^)]*\)|（所引页面中未找到[^）]*）")


def told(text: str, sizes: Sequence[int], when: WhenNotFound) -> tuple[list[AnswerEvent], Answer]:
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    answerer = GenerativeAnswerer(Scripted(pieces=[*pieces, rest]), "m", GenerativeSettings(when_not_found=when))
    *events, last = answerer.answer(QUESTION, FakeFound(HITS, ""))
    assert isinstance(last, Finished)
    return events, last.answer


@pytest.mark.parametrize(("lie", "word"), LIES)
@pytest.mark.parametrize("when", list(WhenNotFound))
def test_a_lie_between_honest_sentences(lie: str, word: str, when: WhenNotFound) -> None:
    _, answer = told(f"{HONEST[0]} {lie} {HONEST[2]}", [3] * 40, when)
    assert answer.details["not_found_sentences"] == 1
    if when is WhenNotFound.DROP:
        assert answer.text == "Let it cool for 30 minutes. [1] The lamp turns red at 100 °C. [2]"
        assert (answer.kind, answer.details["dropped_sentences"]) == (AnswerKind.ANSWER, 1)
        assert [citation.marker for citation in answer.citations] == [1, 2]
    else:
        place = answer.text.index(word)
        note = NOTE.search(answer.text, place)
        assert note is not None
        assert HONEST[2] not in answer.text[place : note.start()]
        assert len(NOTE.findall(answer.text)) == 1
        assert answer.kind is AnswerKind.UNCERTAIN


@pytest.mark.parametrize("honest", HONEST)
@pytest.mark.parametrize("when", list(WhenNotFound))
def test_what_is_true_is_shown_as_it_was_said(honest: str, when: WhenNotFound) -> None:
    _, answer = told(honest, [1] * len(honest), when)
    assert answer.details["not_found_sentences"] == 0
    assert (answer.kind, NOTE.search(answer.text)) == (AnswerKind.ANSWER, None)
    assert answer.details["claims"] == answer.details["found_claims"]


def test_nothing_but_lies_is_no_answer() -> None:
    _, answer = told("Wait 45 minutes. [1] Error E-99 is harmless. [2]", [], WhenNotFound.DROP)
    assert (answer.kind, answer.citations) == (AnswerKind.NOT_IN_MANUALS, ())
    assert answer.details["dropped_sentences"] == 2


def test_a_step_is_dropped_with_its_number_and_the_list_goes_on() -> None:
    said = "1. Let it cool for 30 minutes. [1]\n2. Add 9 kg of salt. [1]\n3. Rinse it twice. [1]"
    _, answer = told(said, [2] * 30, WhenNotFound.DROP)
    assert answer.text == "1. Let it cool for 30 minutes. [1]\n3. Rinse it twice. [2]"


SAID = st.lists(
    st.sampled_from(HONEST)
    | st.sampled_from([lie for lie, _ in LIES])
    | st.sampled_from(["[1]", "[2]", "[9]", "\n", "\n\n- ", "1. ", '"', "“", "」", "'", "Good.", "So: ", "**", "> "])
    | st.text(alphabet="\"'“”「」«»„[]12 .ab。\n", max_size=6),
    min_size=1,
    max_size=8,
).map(" ".join)


@settings(max_examples=400, deadline=None)
@example(said="'\"1 '", sizes=[], when=WhenNotFound.FLAG)
@example(said='" "Rinse it twice." [1] Let it cool for 30 minutes. [1]', sizes=[], when=WhenNotFound.FLAG)
@given(SAID, st.lists(st.integers(0, 9), max_size=60), st.sampled_from(WhenNotFound))
def test_no_unsupported_quotation_is_ever_shown(said: str, sizes: list[int], when: WhenNotFound) -> None:
    events, answer = told(f"{said} {HONEST[0]}", sizes, when)
    shown = ""
    for event in events:
        shown += event.text if isinstance(event, Token) else ""
        for quotation in QUOTED.findall(shown):
            words = re.sub(r"\[\d+\]", "", "".join(quotation))
            assert not words.strip(" .,;:!?。，；：！？\n*>") or any(
                find_quotation(h.passage.text, words) for h in HITS
            )
    if answer.kind is not AnswerKind.NOT_IN_MANUALS:
        assert shown == answer.text
    markers = {int(number) for number in re.findall(r"\[(\d+)\]", answer.text)}
    assert markers == {citation.marker for citation in answer.citations}
    assert [event.citation for event in events if isinstance(event, Cited)] == list(answer.citations)
    if when is WhenNotFound.DROP:
        assert not any(word in shown for word in ("E-99", "Evil Corp", "45 minutes", "五百", "2021"))
