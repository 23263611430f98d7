"""A failing model: when the manuals are quoted instead, when not, and when it is left alone for a while."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answerers.base import Found
from rag.answerers.circuit import Circuit, CircuitAnswerer
from rag.answerers.extractive.answerer import ExtractiveAnswerer
from rag.answerers.fallback import FallbackAnswerer
from rag.errors import ModelBusy, ModelFailed, ModelUnreachable
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Question, Token, Waiting
from tests.rag.answering import FakeFound, hit

QUESTION = Question("How many litres does the kettle hold?")
FOUND = FakeFound([hit("The kettle holds 2 litres of water.", near="litres")], QUESTION.text)
DONE = Finished(Answer(AnswerKind.ANSWER, "Two.", (), (), "", "generative", "m"))


@dataclass
class Model:
    """Gives `events`, then raises `error`; counts how often it was asked and how often left early."""

    events: tuple[AnswerEvent, ...] = ()
    error: Exception | None = None
    asked: int = 0
    left: int = 0
    name: str = field(default="generative", init=False)
    model: str | None = field(default="m", init=False)

    def answer(self, question: Question, found: Found) -> Generator[AnswerEvent]:
        self.asked += 1
        try:
            yield from self.events
            if self.error is not None:
                raise self.error
        except GeneratorExit:
            self.left += 1
            raise


ERRORS: dict[str, tuple[Callable[[], ModelFailed], str | None]] = {
    "down": (lambda: ModelUnreachable("Gone."), "runtime_down"),
    "busy": (lambda: ModelBusy("Full.", retry_after_s=3), "runtime_busy"),
    "odd": (lambda: ModelFailed("Empty.", transient=True), "model_failed"),
    "wrong": (lambda: ModelFailed("Wrong key.", transient=False), None),
}


@given(
    st.sampled_from(sorted(ERRORS)),
    st.lists(st.sampled_from([Waiting(), Token("Two")]), max_size=4),
    st.booleans(),
)
def test_the_manuals_are_quoted_only_before_anything_was_shown(
    kind: str, events: list[AnswerEvent], has_image: bool
) -> None:
    make, reason = ERRORS[kind]
    answerer = FallbackAnswerer(Model(tuple(events), make()), ExtractiveAnswerer())
    question = Question(QUESTION.text, images=("data:",) if has_image else ())
    given: list[AnswerEvent] = []
    if reason is None or has_image or any(isinstance(event, Token) for event in events):
        with pytest.raises(type(make())):
            given.extend(answerer.answer(question, FOUND))
        assert given == [] or given == events[: len(given)]
        return
    given.extend(answerer.answer(question, FOUND))
    assert given[: len(events)] == events
    last = given[-1]
    assert isinstance(last, Finished)
    assert (last.answer.answerer, last.answer.details["fallback"]) == ("extractive", reason)
    assert "2 litres" in last.answer.text


def test_a_models_own_answer_bears_no_mark_and_closing_reaches_it() -> None:
    model = Model((Token("Two."), DONE))
    assert list(FallbackAnswerer(model, ExtractiveAnswerer()).answer(QUESTION, FOUND)) == [Token("Two."), DONE]
    left = FallbackAnswerer(CircuitAnswerer(model, Circuit()), ExtractiveAnswerer()).answer(QUESTION, FOUND)
    next(left)
    left.close()
    assert model.left == 1


def test_a_model_that_went_away_is_tried_by_one_question_at_a_time() -> None:
    now = [0.0]
    circuit = Circuit(3.0, lambda: now[0])
    model = Model(error=ModelUnreachable("Gone."))
    answerer = CircuitAnswerer(model, circuit)

    def ask() -> list[AnswerEvent]:
        return list(answerer.answer(QUESTION, FOUND))

    for _ in range(100):
        with pytest.raises(ModelUnreachable):
            ask()
    assert (model.asked, circuit.state, circuit.outages) == (1, "open", 1)
    now[0] = 3.0
    assert circuit.state == "half_open"
    for _ in range(100):
        with pytest.raises(ModelUnreachable):
            ask()
    assert (model.asked, circuit.outages) == (2, 1)
    now[0] = 6.0
    model.error, model.events = None, (Token("Two."), DONE)
    probing = answerer.answer(QUESTION, FOUND)
    next(probing)  # its first word is enough for the others
    assert len(ask()) == 2
    assert (circuit.state, model.asked) == ("closed", 4)


def test_a_probe_that_nobody_waits_for_any_more_is_made_by_another() -> None:
    now = [0.0]
    circuit = Circuit(3.0, lambda: now[0])
    model = Model(error=ModelUnreachable("Gone."))
    answerer = CircuitAnswerer(model, circuit)
    with pytest.raises(ModelUnreachable):
        list(answerer.answer(QUESTION, FOUND))
    now[0] = 3.0
    model.events = (Waiting(),)
    probing = answerer.answer(QUESTION, FOUND)
    next(probing)
    probing.close()
    now[0] = 6.0
    model.error, model.events = None, (DONE,)
    assert list(answerer.answer(QUESTION, FOUND)) == [DONE]


@pytest.mark.parametrize("kind", ["busy", "wrong", "odd"])
def test_a_model_that_says_no_is_there(kind: str) -> None:
    circuit = Circuit()
    with pytest.raises(ModelFailed):
        list(CircuitAnswerer(Model(error=ERRORS[kind][0]()), circuit).answer(QUESTION, FOUND))
    assert circuit.state == "closed"


def test_questions_without_passages_say_nothing_about_the_model() -> None:
    circuit = Circuit()
    circuit.report(reached=False)
    nothing = FakeFound([], QUESTION.text)
    assert list(CircuitAnswerer(Model((DONE,)), circuit).answer(QUESTION, nothing)) == [DONE]
    assert circuit.state == "open"
