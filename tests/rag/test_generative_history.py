"""What a model is sent stays what it was from turn to turn, so that a server's prefix cache can serve it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from rag.answerers.circuit import Circuit
from rag.answerers.generative.history import HANDED_OVER, HistoryLimits, first_handed_over
from rag.answerers.generative.prompt import messages_for
from rag.answerers.generative.summary import LONGEST, ModelSummarizer
from rag.types import Question, Turn
from tests.fakes.chat_model import Scripted
from tests.rag.answering import hit

LIMITS = HistoryLimits(turns=12, characters=1200, turn_characters=100)
SMALLEST_BLOCK = 6  # messages: min(12, 1200 / 100) / 2
HITS = [hit("The lid opens at 100 °C.")]

TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["customer", "customer", "assistant", "agent"]),
        st.sampled_from(["Is it hot? [1]", "盖子打不开怎么办？", "Yes.", "<|im_end|>", "x" * 90])
        | st.text(max_size=150),
    ),
    max_size=60,
)


def told(turns: list[Turn], asked: str = "Why?") -> list[BaseMessage]:
    return messages_for(Question(asked, tuple(turns)), HITS, LIMITS, images=False)


def contents(messages: list[BaseMessage]) -> list[tuple[str, object]]:
    return [(message.type, message.content) for message in messages]


@settings(max_examples=300, deadline=None)
@given(TURNS)
def test_each_turns_messages_begin_the_next_turns_except_where_a_block_goes(turns: list[Turn]) -> None:
    asked = [number for number, turn in enumerate(turns) if turn.role == "customer"]
    sent = [contents(told(turns[:number], turns[number].text)) for number in asked]
    cut_at: list[int] = []
    for number, (before, after) in zip(asked[1:], pairwise(sent), strict=True):
        if after[: len(before) - 1] != before[:-1]:
            cut_at.append(number)
    gaps = [later - earlier for earlier, later in pairwise(cut_at)]
    assert all(2 * gap >= SMALLEST_BLOCK for gap in gaps)  # an unanswered turn makes two messages
    for messages in sent:
        assert [kind for kind, _ in messages[:-1]] == ["system", *["human", "ai"] * (len(messages) // 2 - 1)]
        history = [str(content) for _, content in messages[1:-1]]
        assert len(history) <= LIMITS.turns
        assert sum(map(len, history)) <= LIMITS.characters


def test_a_long_conversation_keeps_its_beginning_for_many_turns() -> None:
    turns = [Turn("customer" if n % 2 == 0 else "assistant", f"turn {n} " + "y" * 40) for n in range(80)]
    sent = [contents(told(turns[:number])) for number in range(0, 81, 2)]
    broken = [n for n, (before, after) in enumerate(pairwise(sent)) if after[: len(before) - 1] != before[:-1]]
    assert 0 < len(broken) <= len(sent) / (SMALLEST_BLOCK / 2)
    assert "turn 79" in str(sent[-1][-2][1])


def test_rules_stay_in_the_language_in_which_the_conversation_began() -> None:
    chinese = Turn("customer", "盖子打不开怎么办？")
    english = Turn("customer", "The lid does not open.")
    answer = Turn("assistant", "Wait.")
    rules = {
        first: str(told([turn, answer], asked)[0].content)
        for first, turn, asked in (("zh", chinese, "And the lamp?"), ("en", english, "指示灯呢？"))
    }
    assert rules["zh"] == str(told([], "盖子")[0].content) != rules["en"] == str(told([], "The lid")[0].content)
    assert "问题" not in str(told([chinese, answer], "And the lamp?")[-1].content)


@given(st.integers(0, 500))
def test_storage_hands_over_many_turns_and_moves_in_steps(count: int) -> None:
    first = first_handed_over(count)
    assert first % HANDED_OVER == 0
    assert min(count, HANDED_OVER) <= count - first < 2 * HANDED_OVER


def conversation(turns: int) -> list[Turn]:
    texts = ("The pump {n} leaks, error E-13", "Close valve V{n}. [1]")
    return [Turn(("customer", "assistant")[n % 2], texts[n % 2].format(n=n) + " " + "y" * 60) for n in range(turns)]


def summed_up(model: Scripted, turns: list[Turn], summarizer: ModelSummarizer | None = None) -> list[BaseMessage]:
    summarizer = summarizer or ModelSummarizer(model, "test", Circuit())
    return messages_for(Question("Why?", tuple(turns)), HITS, LIMITS, False, summarizer.summary)


def test_what_no_longer_fits_is_summed_up_once_and_the_prompt_still_grows() -> None:
    model = Scripted(pieces=["The pump leaks, ", "with E-13. [1] Valve V1 was closed."], seen=[])
    summarizer = ModelSummarizer(model, "test", Circuit())
    sent = [contents(summed_up(model, conversation(number), summarizer)) for number in range(0, 41, 2)]
    with_summary = [messages for messages in sent if "Earlier" in str(messages[1][1])]
    assert with_summary[0][1:3] == [
        ("human", "Earlier in this conversation: The pump leaks, with E-13. Valve V1 was closed."),
        ("ai", "…"),
    ]
    assert sent.index(with_summary[0]) + len(with_summary) == len(sent)
    cuts = [n for n, (one, other) in enumerate(pairwise(sent)) if other[: len(one) - 1] != one[:-1]]
    assert 0 < len(model.seen) == len(cuts) <= len(sent) / 3
    assert "error E-13" in model.seen[0][0].text
    for messages in sent:
        assert [kind for kind, _ in messages[:-1]] == ["system", *["human", "ai"] * (len(messages) // 2 - 1)]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("The pump leaks. It costs 49 euros. Valve V1 was closed.", "The pump leaks. Valve V1 was closed."),
        ("The pump leaks. See https://pump.example for more.", "The pump leaks."),
        ("水泵漏水。错误代码是 E-13。型号是 X-99。", "水泵漏水。 错误代码是 E-13。"),
        ("Buy the 2000 model.", None),
        ("", None),
        ("The pump leaks. " * 100, "The pump leaks. " * 36 + "The pump leaks."),
    ],
)
def test_a_summary_says_nothing_of_its_own(written: str, kept: str | None) -> None:
    pieces = [written[start : start + 9] for start in range(0, len(written), 9)]
    sent = summed_up(Scripted(pieces=pieces, seen=[]), conversation(20))
    bare = messages_for(Question("Why?", tuple(conversation(20))), HITS, LIMITS, images=False)
    if kept is None:
        assert contents(sent) == contents(bare)
    else:
        assert sent[1].text == f"Earlier in this conversation: {kept}"
        assert len(kept) <= LONGEST
        assert contents(sent[3:]) == contents(bare[1:])


def test_a_model_that_fails_or_is_slow_or_away_costs_only_the_summary() -> None:
    bare = contents(messages_for(Question("Why?", tuple(conversation(20))), HITS, LIMITS, images=False))
    broken = Scripted(pieces=["The pump"], error=ConnectionError("gone"), seen=[])
    slow = Scripted(pieces=["The ", "pump leaks."], seen=[])
    away = Scripted(pieces=["The pump leaks."], seen=[])
    opened = Circuit()
    opened.report(reached=False)
    for model, circuit, patience_s, asked in (
        (broken, Circuit(), 8.0, 1),
        (slow, Circuit(), 0.0, 1),
        (away, opened, 8.0, 0),
    ):
        summarizer = ModelSummarizer(model, "test", circuit, patience_s)
        assert [contents(summed_up(model, conversation(20), summarizer)) for _ in range(2)] == [bare, bare]
        assert len(model.seen) == asked
