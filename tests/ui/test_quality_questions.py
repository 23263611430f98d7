"""What becomes of a golden question's earlier turns when they are edited as lines."""

from hypothesis import given
from hypothesis import strategies as st

from ui.client import Json
from ui.quality_questions import history_with

SAID = st.text(st.sampled_from("ab \n\u2028") | st.characters(codec="utf-8"), max_size=6)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["customer", "assistant"]), "text": SAID})
TALK: list[Json] = [
    {"role": "assistant", "text": "Hello."},
    {"role": "customer", "text": "Which LT-300\nis it?"},
    {"role": "assistant", "text": "The LT-300S.\n\nIt has a lever."},
    {"role": "customer", "text": "And the filter?"},
]


def asked(history: list[Json]) -> list[str]:
    return [line for turn in history if turn["role"] == "customer" if (line := " ".join(turn["text"].split()))]


@given(st.lists(TURN, max_size=6), st.lists(SAID, max_size=6))
def test_lines_become_the_customers_and_nothing_said_to_them_does(history: list[Json], lines: list[str]) -> None:
    assert history_with(history, asked(history)) == history
    edited = history_with(history, lines)
    assert asked(edited) == [line for said in lines if (line := " ".join(said.split()))]
    answers = iter([turn for turn in history if turn["role"] == "assistant"])
    assert all(turn in answers for turn in edited if turn["role"] == "assistant"), "not said, or in another order"


def test_an_answer_stays_behind_its_question() -> None:
    hello, which, lever, filter_ = TALK
    reworded = {"role": "customer", "text": "Which one is it?"}
    assert history_with(TALK, ["Which one is it?", "And the filter?"]) == [hello, reworded, lever, filter_]
    assert history_with(TALK, ["And the filter?"]) == [hello, filter_]
    first = {"role": "customer", "text": "Hi."}
    assert history_with(TALK, ["Hi.", "Which LT-300 is it?", ""]) == [hello, first, which, lever]
