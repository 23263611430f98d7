"""The generative answerer with scripted models, honest and lying, in process and over HTTP."""

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from markdown_it import MarkdownIt
from pydantic import SecretStr

from model_runtime.chat_client import ChatClient
from rag.answerers.circuit import Circuit, CircuitAnswerer
from rag.answerers.generative import GenerativeAnswerer
from rag.answerers.generative import GenerativeSettings as Settings
from rag.citations import find_quotation
from rag.errors import ModelBusy, ModelFailed, ModelUnreachable
from rag.language import PHRASES, word_count
from rag.prompts import prompt_version
from rag.types import Answer, AnswerEvent, AnswerKind, Cited, Finished, Question, Token, Turn, Waiting
from tests.fakes.openai_server import ENGINE_DEAD, TOO_LONG, OpenAIServer, Reply
from tests.rag.answering import FakeFound, hit

CLEANING = (
    "Switch the kettle off and let it cool for 30 minutes. Fill it with water and 50 ml of vinegar. Rinse it twice."
)
CHINESE = "请先关闭电源，等待三十分钟。然后加入五十毫升白醋。最后冲洗两次。"
HITS = (
    hit(CLEANING, near="Fill", key=1),
    hit("The lid opens at 100 °C. The lamp turns red.", key=2),
    hit(CHINESE, key=3),
)
QUESTION = Question("How do I clean the kettle?")


class Scripted(BaseChatModel):
    """Streams `pieces`, then raises `error` if there is one. Remembers the messages and whether it was closed early."""

    pieces: list[str] = []  # noqa: RUF012  # a pydantic field
    error: Any = None
    seen: list[Any] = []  # noqa: RUF012
    closed: list[bool] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        raise AssertionError("answers are streamed")

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.seen.append(messages)
        try:
            for piece in self.pieces:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if self.error:
                raise self.error
        except GeneratorExit:
            self.closed.append(True)
            raise


def events_of(pieces: Sequence[str], question: Question = QUESTION, **more: Any) -> list[AnswerEvent]:
    answerer = GenerativeAnswerer(Scripted(pieces=list(pieces), **more), "scripted-1")
    return list(answerer.answer(question, FakeFound(HITS, question.text)))


def answer_of(text: str, question: Question = QUESTION) -> Answer:
    """The answer to a text streamed character by character; checks that the stream showed exactly that text."""
    *events, last = events_of(list(text), question)
    assert isinstance(last, Finished)
    if last.answer.kind is not AnswerKind.NOT_IN_MANUALS:
        assert "".join(event.text for event in events if isinstance(event, Token)) == last.answer.text
    assert [event.citation for event in events if isinstance(event, Cited)] == list(last.answer.citations)
    return last.answer


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Let it cool for 30 minutes. [1]", "Let it cool for 30 minutes. [1]"),
        ("Let it cool for 30 minutes [^1].", "Let it cool for 30 minutes [1]."),
        ("Let it cool【1】, then rinse twice[1].", "Let it cool [1], then rinse twice [2]."),
        ("It turns red at 100 °C [2, 1].", "It turns red at 100 °C [1] [2]."),
        ("Red lamp [2][2] [2].", "Red lamp [1]."),
        ("Let it cool [7], it is hot [0].", "Let it cool, it is hot."),
        ("See [[9]1] now [2].", "See [ 1] now [1]."),
        ("Half a marker [1", "Half a marker"),
        ("In 2024 [2024] it was [1].", "In 2024 [\u20602024] it was [1]."),
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
        ('It says "let it boil for 30 minutes" [1]. Good.', "It says let it boil for 30 minutes [1]. Good.", 1),
        ('It says "let it cool for 30 minutes" [2]. Good.', "It says let it cool for 30 minutes [1]. Good.", 1),
        ("“You must never use any vinegar.” [1] Good.", "You must never use any vinegar. [1] Good.", 1),
        ("手册说「千万不要加入任何白醋清洗」。[3]", "手册说千万不要加入任何白醋清洗。 [1]", 1),
        ("手册说『等待三十分钟』。[3]", "手册说『等待三十分钟』。 [1]", 0),
        ('Press "Start" and wait [1].', 'Press "Start" and wait [1].', 0),
        ('A 32" and a 40" pot that you may well use [1].', "A 32″ and a 40″ pot that you may well use [1].", 0),
        ("It's the user's own 'never do that to me' rule [1].", "It's the user's own never do that to me rule [1].", 1),
        ('Never closed "and this goes on and on [1].', "Never closed and this goes on and on [1].", 1),
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
        ("Fill it with water and 5 ml of vinegar.", "Fill it with water and 5 ml of vinegar.", "uncertain"),
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
            assert word_count(words) <= 3 or any(find_quotation(h.passage.text, words) for h in HITS)
    for citation in answer.citations:
        assert citation.quote in next(h.passage.text for h in HITS if h.passage.id == citation.passage_id)


@pytest.mark.parametrize(
    "bomb", ["[1]" * 5000, "[" * 5000, '"' * 3001, "[1," * 4000, '". ' * 1500, "“a. " * 800, "N" * 5000]
)
def test_bombs_cost_no_more_than_their_length(bomb: str) -> None:
    started = time.monotonic()
    events_of([*re.findall(".{1,7}", bomb, re.DOTALL), " end."])
    assert time.monotonic() - started < 5


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
        list(_over_http(server.base_url).answer(QUESTION, FakeFound(HITS, "")))
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
        list(_over_http(server.base_url, **more).answer(QUESTION, FakeFound(HITS, "")))
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
        answerer = CircuitAnswerer(_over_http(server.base_url), circuit)
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
        answers = _over_http(server.base_url).answer(Question(QUESTION.text, turns), FakeFound(HITS[:hits], ""))
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
        list(_over_http(url).answer(QUESTION, FakeFound(HITS, "")))
    assert failed.value.transient


def test_a_connection_that_breaks_is_a_transient_failure() -> None:
    with (
        OpenAIServer(Reply(["Let it cool. ", "And "] * 20, broken_after=5)) as server,
        pytest.raises(ModelFailed) as failed,
    ):
        list(_over_http(server.base_url).answer(QUESTION, FakeFound(HITS, "")))
    assert failed.value.transient


def test_an_empty_answer_is_a_failure() -> None:
    with pytest.raises(ModelFailed, match="empty"):
        events_of(["", " \n"])


def test_over_http_the_answer_streams_with_citations() -> None:
    with OpenAIServer(Reply(["Let it cool for ", "30 minutes. [", "1", "] Do not boil it. [8]"])) as server:
        *_, last = _over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
        body = server.requests[0]
    assert isinstance(last, Finished)
    assert last.answer.text == "Let it cool for 30 minutes. [1] Do not boil it."
    assert (body["stream"], body["temperature"], body["model"]) == (True, 0.3, "tiny")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_closing_the_answer_hangs_up_on_the_server() -> None:
    with OpenAIServer(Reply(["Let it cool. "] * 400, pause=0.01)) as server:
        events = _over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
        assert next(event for event in events if not isinstance(event, Waiting)) == Token("Let it cool.")
        events.close()
        assert server.hung_up.wait(5)
        assert server.sent < 400


def test_a_silent_model_can_be_left_before_its_first_word() -> None:
    with OpenAIServer(Reply(["Let it cool."], prefill=30)) as server:
        events = _over_http(server.base_url, beat_s=0.05).answer(QUESTION, FakeFound(HITS, ""))
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
        *_, last = _over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
    assert isinstance(last, Finished)
    details = last.answer.details
    counted = [details[name] for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "finish_reason")]
    assert counted == [900, 12, 640, "stop"]
    assert details["prompt_version"] == prompt_version()
    assert 0 < cast(float, details["model_first_token_ms"]) < 60_000


def test_a_knowledge_bases_own_sampling_goes_with_the_request_and_unset_values_do_not() -> None:
    with OpenAIServer(Reply(["Let it cool. [1]"])) as server:
        own = Settings(temperature=0.0, max_tokens=64, repetition_penalty=1.1)
        list(_over_http(server.base_url, own).answer(QUESTION, FakeFound(HITS, "")))
        list(_over_http(server.base_url).answer(QUESTION, FakeFound(HITS, "")))
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
        *_, last = _over_http(server.base_url, Settings(images=reads)).answer(question, FakeFound(HITS, ""))
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
        *_, last = _over_http(server.base_url).answer(QUESTION, FakeFound(HITS, ""))
        assert server.hung_up.wait(5) or server.sent < len(said)
    assert isinstance(last, Finished)
    assert last.answer.details["cut"] == "repetition"
    assert 0 < len(last.answer.text) <= sum(map(len, said[:kept]))


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


def links_in(text: str) -> list[str]:
    """What a Markdown viewer that links everything it can would make of a text: links, pictures, tags."""
    bare = re.findall(r"(?i)(?:\w+://|\bwww\.)[^\s,)>]+", text)
    markup = re.findall(r"\]\(|\]:|<[A-Za-z/!?]", text)
    rendered = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    return [address.rstrip(".") for address in bare] + markup + re.findall(r"<(?:a|img|!)[^>]*", rendered)


def _over_http(base_url: str, settings: Settings | None = None, **more: Any) -> GenerativeAnswerer:
    model = ChatClient(
        model="tiny", base_url=base_url, api_key=SecretStr("secret"), temperature=0.3, first_retry_s=0.01, **more
    )
    return GenerativeAnswerer(model, "tiny", settings)
