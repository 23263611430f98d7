"""What becomes of a chat model's failures, over HTTP: told to people, marked as transient, and nothing else told."""

from typing import Any

import pytest

from rag.answerers.circuit import Circuit, CircuitAnswerer
from rag.errors import ModelBusy, ModelFailed, ModelUnreachable
from rag.types import AnswerEvent, Finished, Question, Token, Turn
from tests.fakes.openai_server import ENGINE_DEAD, TOO_LONG, OpenAIServer, Reply
from tests.rag.answering import FakeFound
from tests.rag.kettle import HITS, QUESTION, events_of, over_http


@pytest.mark.parametrize(
    ("status", "transient", "word"),
    [
        (401, False, "key"),
        (404, False, "not known"),
        (400, False, "settings"),
        (429, True, "busy"),
        (503, True, "moment"),
    ],
)
def test_a_servers_error_is_told_to_people(status: int, transient: bool, word: str) -> None:
    with OpenAIServer(Reply(status=status)) as server, pytest.raises(ModelFailed, match=word) as failed:
        list(over_http(server.base_url).answer(QUESTION, FakeFound(HITS, "")))
    assert failed.value.transient is transient
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("reply", "more", "word", "transient"),
    [
        (Reply(status=429, headers={"Retry-After": "90"}), {}, "busy", True),
        (Reply(["x"], prefill=30), {"first_token_timeout_s": 0.3}, "in time", True),
        (Reply([f"Rinse {n}. " for n in range(99)], pause=0.05), {"timeout": 0.5}, "no end", True),
        (Reply(raw=[b"<html>"], media_type="text/html"), {}, "ends in /v1", False),
        (Reply(status=400, body=b'{"error": {"message": "maximum context length"}}'), {}, "too long", False),
        (Reply(raw=[b'data: {"error": {"message": "secret prompt", "code": 501}}\n\n']), {}, "status 501", False),
    ],
)
def test_what_went_wrong_is_told_to_people_and_nothing_else(
    reply: Reply, more: dict[str, Any], word: str, transient: bool
) -> None:
    with OpenAIServer(reply) as server, pytest.raises(ModelFailed, match=word) as failed:
        list(over_http(server.base_url, **more).answer(QUESTION, FakeFound(HITS, "")))
    assert failed.value.transient is transient
    assert "secret" not in str(failed.value)
    if isinstance(failed.value, ModelBusy):
        assert failed.value.retry_after_s == 90
    assert isinstance(failed.value, ModelBusy) is (word == "busy")
    assert isinstance(failed.value, ModelUnreachable) is (word == "in time")


DIES = b"data: " + ENGINE_DEAD + b"\n\n"


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Reply(status=500, body=ENGINE_DEAD), ""),
        (Reply(raw=[DIES, b"data: [DONE]\n\n"]), ""),
        (Reply(raw=[b'data: {"error": {"message": "x", "type": "InternalServerError"}}\n\n']), ""),
        (Reply(raw=[b'data: {"choices": [{"delta": {"content": "Let it cool. "}}]}\n\n', DIES]), "Let it cool."),
    ],
)
def test_an_engine_that_dies_is_down_and_not_a_refusal(reply: Reply, shown: str) -> None:
    circuit = Circuit()
    events: list[AnswerEvent] = []
    with OpenAIServer(reply) as server:
        answerer = CircuitAnswerer(over_http(server.base_url), circuit)
        with pytest.raises(ModelUnreachable):
            events.extend(answerer.answer(QUESTION, FakeFound(HITS, "")))
    assert "".join(event.text for event in events if isinstance(event, Token)) == shown
    assert (circuit.state, circuit.outages) == ("open", 1)
    assert len(server.requests) == (1 if shown else 3)


TURNS = (Turn("customer", "Is it hot?"), Turn("assistant", "Yes."))


@pytest.mark.parametrize(
    ("turns", "hits", "refusals", "sent"),
    [
        (TURNS, 3, 1, [(2, 3), (0, 2)]),
        (TURNS, 3, 2, [(2, 3), (0, 2), (0, 1)]),
        (TURNS, 2, 1, [(2, 2), (0, 1)]),
        (TURNS, 1, 1, [(2, 1), (0, 1)]),
        ((), 3, 2, [(0, 3), (0, 2), (0, 1)]),
        (TURNS, 3, 3, [(2, 3), (0, 2), (0, 1)]),
        ((), 2, 2, [(0, 2), (0, 1)]),
        ((), 1, 1, [(0, 1)]),
    ],
)
def test_a_prompt_that_is_too_long_is_asked_again_with_less(
    turns: tuple[Turn, ...], hits: int, refusals: int, sent: list[tuple[int, int]]
) -> None:
    refused = [Reply(status=400, body=TOO_LONG)] * refusals
    last: AnswerEvent | None = None
    with OpenAIServer(Reply(["Let it cool for 30 minutes. [1] Wait. [3]"]), replies=refused) as server:
        answers = over_http(server.base_url).answer(Question(QUESTION.text, turns), FakeFound(HITS[:hits], ""))
        if refusals == len(sent):
            with pytest.raises(ModelFailed, match="too long") as failed:
                list(answers)
            assert not failed.value.transient
        else:
            *_, last = answers
    asked = [request["messages"] for request in server.requests]
    assert [(len(each) - 2, each[-1]["content"].count("<passage ")) for each in asked] == sent
    if last is not None:
        assert isinstance(last, Finished)
        details = last.answer.details
        left_out = (sent[0][0] - sent[-1][0], sent[0][1] - sent[-1][1])
        assert (details["history_left_out"], details["passages_left_out"]) == left_out
        assert details["dropped_markers"] == 1  # [3] was not in the prompt that was answered
        assert len(last.answer.hits) == hits


def test_a_server_that_is_not_there_is_a_transient_failure() -> None:
    with OpenAIServer() as server:
        url = server.base_url
    with pytest.raises(ModelFailed, match="cannot be reached") as failed:
        list(over_http(url).answer(QUESTION, FakeFound(HITS, "")))
    assert failed.value.transient


def test_a_connection_that_breaks_is_a_transient_failure() -> None:
    with (
        OpenAIServer(Reply(["Let it cool. ", "And "] * 20, broken_after=5)) as server,
        pytest.raises(ModelFailed) as failed,
    ):
        list(over_http(server.base_url).answer(QUESTION, FakeFound(HITS, "")))
    assert failed.value.transient


def test_an_empty_answer_is_a_failure() -> None:
    with pytest.raises(ModelFailed, match="empty"):
        events_of(["", " \n"])
