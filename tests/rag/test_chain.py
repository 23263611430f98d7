"""The chain: small talk is not searched for, events come in order, times are told, failures pass through."""

from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

from rag.answerers.base import Found
from rag.answerers.extractive.answerer import ExtractiveAnswerer
from rag.answerers.small_talk import SmallTalk, small_talk_in
from rag.chain import AnswerChain, ChainSettings
from rag.errors import ModelFailed
from rag.products.search import whole_searcher
from rag.types import AnswerEvent, AnswerKind, Finished, Question, Retrieved, Token
from tests.rag.answering import FakeSearcher, hit

HITS = [hit(f"Fact {n} about the kettle: it holds {n} litres.", key=n) for n in range(1, 12)]


@dataclass
class Failing:
    """Shows one word, then fails as a model does; remembers being closed."""

    name: str = "generative"
    model: str | None = "broken"
    closed: list[bool] = field(default_factory=list)

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        try:
            yield Token("It")
            raise ModelFailed("The model is busy.", transient=True)
        except GeneratorExit:
            self.closed.append(True)
            raise


def test_events_come_in_order_with_the_shown_hits_and_the_times() -> None:
    searcher = FakeSearcher(HITS)
    chain = AnswerChain(whole_searcher(searcher), ExtractiveAnswerer(), ChainSettings(candidates=8, shown=3))
    first, *_, last = chain.stream(Question("How many litres does the kettle hold?"))
    assert isinstance(first, Retrieved)
    assert isinstance(last, Finished)
    assert [h.passage.key for h in first.hits] == [h.passage.key for h in last.answer.hits] == [1, 2, 3]
    assert {"embedding", "retrieval", "answering", "total"} <= set(last.answer.timings_ms)
    assert last.answer.answerer == "extractive"
    assert last.answer.searched_for == searcher.asked[0] == "How many litres does the kettle hold?"


def test_an_empty_knowledge_base_has_no_answer() -> None:
    answer = AnswerChain(whole_searcher(FakeSearcher()), ExtractiveAnswerer()).answer(Question("How many litres?"))
    assert (answer.kind, answer.citations, answer.hits) == (AnswerKind.NOT_IN_MANUALS, (), ())


def test_a_models_failure_passes_through_and_closing_reaches_the_answerer() -> None:
    answerer = Failing()
    with pytest.raises(ModelFailed):
        AnswerChain(whole_searcher(FakeSearcher(HITS)), answerer).answer(Question("How many?"))
    events = AnswerChain(whole_searcher(FakeSearcher(HITS)), answerer).stream(Question("How many?"))
    next(events)
    next(events)
    events.close()
    assert answerer.closed == [True]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hello!", SmallTalk.GREETING),
        ("hi there :)", SmallTalk.GREETING),
        ("How are you?", SmallTalk.GREETING),
        ("OK, thank you so much for your help!", SmallTalk.THANKS),
        ("thanks 👍", SmallTalk.THANKS),
        ("ok thanks bye", SmallTalk.GOODBYE),
        ("Who are you?", SmallTalk.WHO),
        ("你好！", SmallTalk.GREETING),
        ("好的，谢谢。再见！", SmallTalk.GOODBYE),
        ("你是谁？", SmallTalk.WHO),
    ],
)
def test_small_talk_is_answered_politely_and_not_searched_for(text: str, kind: SmallTalk) -> None:
    assert small_talk_in(text) is kind
    searcher = FakeSearcher(HITS)
    answer = AnswerChain(whole_searcher(searcher), ExtractiveAnswerer()).answer(Question(text))
    assert (answer.kind, answer.citations, searcher.asked) == (AnswerKind.CHAT, (), [])
    assert ("\u4e00" <= answer.text[0] <= "\u9fff") == ("\u4e00" <= text[0] <= "\u9fff")


@pytest.mark.parametrize(
    "text",
    [
        "Hello world program",
        "hello, my kettle leaks",
        "Thanks, and the filter?",
        "OK?",
        "ok button",
        "Good morning alarm",
        "bye command",
        "What is the TY code?",
        "Hi-Fi",
        "Hey Google",
        "你好，水壶漏水",
        "谢谢，那滤网呢？",
        "好的按钮",
        "再见模式",
        "?",
        "",
        "   ",
        "so",
        "E-42",
    ],
)
def test_what_may_be_a_question_is_never_small_talk(text: str) -> None:
    assert small_talk_in(text) is None
