"""What a model is sent stays what it was from turn to turn, so that a server's prefix cache can serve it."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from rag.answerers.generative.history import HANDED_OVER, HistoryLimits, first_handed_over
from rag.answerers.generative.prompt import messages_for
from rag.types import Question, Turn
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
