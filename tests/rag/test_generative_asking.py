"""What a chat model is given, how its stream is read and left, and when it is cut off."""

import re
from typing import cast

import pytest

from rag.answerers.generative.answerer import GenerativeAnswerer
from rag.answerers.generative.answerer import GenerativeSettings as Settings
from rag.prompts import prompt_version
from rag.types import AnswerKind, Finished, Question, Token, Turn, Waiting
from tests.fakes.chat_model import Scripted
from tests.fakes.openai_server import OpenAIServer, Reply
from tests.rag.answering import FakeFound
from tests.rag.kettle import CLEANING, HITS, QUESTION, answer_of, events_of, over_http


def test_text_is_shown_before_the_model_has_finished() -> None:
    answerer = GenerativeAnswerer(Scripted(pieces=["Let it ", "cool. ", "[1", "] Then ", "rinse [1]."]), "m")
    events = answerer.answer(QUESTION, FakeFound(HITS, ""))
    assert next(events) == Token("Let it")


def test_closing_the_answer_closes_the_models_stream() -> None:
    model = Scripted(pieces=["Let it cool. "] * 50)
    events = GenerativeAnswerer(model, "m").answer(QUESTION, FakeFound(HITS, ""))
    next(events)
    events.close()
    assert model.closed == [True]


def test_a_model_that_does_not_stop_is_stopped() -> None:
    model = Scripted(pieces=["on and on "] * 1000)
    answerer = GenerativeAnswerer(model, "m", Settings(answer_characters=200))
    *_, last = answerer.answer(QUESTION, FakeFound(HITS, ""))
    assert isinstance(last, Finished)
    assert len(last.answer.text) < 230


def test_without_hits_the_model_is_not_asked() -> None:
    model = Scripted(pieces=["Use soap [1]."])
    *_, last = GenerativeAnswerer(model, "m").answer(QUESTION, FakeFound((), ""))
    assert isinstance(last, Finished)
    assert last.answer.kind is AnswerKind.NOT_IN_MANUALS
    assert model.seen == []


def testover_http_the_answer_streams_with_citations() -> None:
    with OpenAIServer(Reply(["Let it cool for ", "30 minutes. [", "1", "] Do not boil it. [8]"])) as server:
        *_, last = over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
        body = server.requests[0]
    assert isinstance(last, Finished)
    assert last.answer.text == "Let it cool for 30 minutes. [1] Do not boil it."
    assert (body["stream"], body["temperature"], body["model"]) == (True, 0.3, "tiny")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_closing_the_answer_hangs_up_on_the_server() -> None:
    with OpenAIServer(Reply(["Let it cool. "] * 400, pause=0.01)) as server:
        events = over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
        assert next(event for event in events if not isinstance(event, Waiting)) == Token("Let it cool.")
        events.close()
        assert server.hung_up.wait(5)
        assert server.sent < 400


def test_a_silent_model_can_be_left_before_its_first_word() -> None:
    with OpenAIServer(Reply(["Let it cool."], prefill=30)) as server:
        events = over_http(server.base_url, beat_s=0.05).answer(QUESTION, FakeFound(HITS, ""))
        while not server.requests:
            assert next(events) == Waiting()
        assert next(events) == Waiting()
        events.close()
        assert server.hung_up.wait(5)


def test_a_model_that_only_thinks_gives_signs_of_life() -> None:
    events = events_of(["<think>", *(f"{n} or {n * n}? " for n in range(50)), "</think>", "Let it cool. [1]"])
    assert sum(isinstance(event, Waiting) for event in events) >= 50
    assert isinstance(events[-1], Finished)
    assert events[-1].answer.text == "Let it cool. [1]"


def test_what_the_server_counted_is_kept_with_the_answer() -> None:
    usage = {"prompt_tokens": 900, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 640}}
    with OpenAIServer(Reply(["Let it cool. [1]"], usage=usage)) as server:
        *_, last = over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
    assert isinstance(last, Finished)
    details = last.answer.details
    counted = [details[name] for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "finish_reason")]
    assert counted == [900, 12, 640, "stop"]
    assert details["prompt_version"] == prompt_version()
    assert 0 < cast(float, details["model_first_token_ms"]) < 60_000


def test_a_knowledge_bases_own_sampling_goes_with_the_request_and_unset_values_do_not() -> None:
    with OpenAIServer(Reply(["Let it cool. [1]"])) as server:
        own = Settings(temperature=0.0, max_tokens=64, repetition_penalty=1.1)
        list(over_http(server.base_url, own).answer(QUESTION, FakeFound(HITS, "")))
        list(over_http(server.base_url).answer(QUESTION, FakeFound(HITS, "")))
    first, second = server.requests
    assert (first["temperature"], first["max_tokens"], first["repetition_penalty"]) == (0.0, 64, 1.1)
    assert "<passage" in first["stop"]
    assert second["temperature"] == 0.3
    assert {"max_tokens", "repetition_penalty", "frequency_penalty"}.isdisjoint(second)


PICTURE = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("reads", "images", "sent"),
    [
        (True, (PICTURE,), [PICTURE]),
        (True, (PICTURE, "http://169.254.169.254/latest", "data:text/html;base64,PGI+"), [PICTURE]),
        (False, (PICTURE,), []),
    ],
)
def test_pictures_go_with_the_question_to_models_that_read_them(
    reads: bool, images: tuple[str, ...], sent: list[str]
) -> None:
    with OpenAIServer(Reply(["Let it cool. [1]"])) as server:
        question = Question("What is this?", (Turn("customer", "Hi"), Turn("assistant", "Hello")), images=images)
        *_, last = over_http(server.base_url, Settings(images=reads)).answer(question, FakeFound(HITS, ""))
    *before, asked = server.requests[0]["messages"]
    parts = asked["content"] if isinstance(asked["content"], list) else []
    assert [part["image_url"]["url"] for part in parts if part["type"] == "image_url"] == sent
    assert all(isinstance(message["content"], str) for message in before)
    assert "What is this?" in str(asked["content"])
    assert isinstance(last, Finished)
    assert last.answer.details["images"] == len(sent)
    assert last.answer.details["images_left_out"] == len(images) - len(sent)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["Let it cool for a while. "] * 50, 2),
        (["让水壶冷却三十分钟，然后再把水倒出来。"] * 50, 2),
        (["First cool it down. ", "Then rinse it twice. ", "At last dry it. "] * 30, 6),
        ([f"{number}. Press OK.\n" for number in range(50)], 4),
        (["the "] * 300, 40),
        (["好"] * 300, 60),
    ],
)
def test_a_model_that_repeats_itself_is_cut_off(said: list[str], kept: int) -> None:
    with OpenAIServer(Reply(said, pause=0.001)) as server:
        *_, last = over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
        assert server.hung_up.wait(5) or server.sent < len(said)
    assert isinstance(last, Finished)
    assert last.answer.details["cut"] == "repetition"
    told = re.sub(r" \(not found[^)]*\)|（所引页面中未找到[^）]*）", "", last.answer.text)
    assert 0 < len(told) <= sum(map(len, said[:kept]))


@pytest.mark.parametrize(
    "said",
    [
        "1. Press OK.\n2. Turn the dial.\n3. Press OK.\n4. Wait for the lamp.\n5. Press OK. [1]",
        "| Code | Meaning |\n|------|------|------|------|------|------|------|\n| E1 | lid open |\n| E2 | lid open |",
        "电源灯闪烁时，请按住电源键五秒。指示灯闪烁时，请按住复位键五秒。音量灯闪烁时，请按住音量键五秒。",
        CLEANING + " [1] Rinse it twice. [1]",
        "No, no, no: never open it. Ha ha ha! 10000000000000000 mAh and 0.33333333333333333 l. [1]",
        "Wait" + "." * 300,
    ],
)
def test_what_only_looks_alike_is_not_cut_off(said: str) -> None:
    assert "cut" not in answer_of(said).details
