"""`/v1` with OpenAI's own client, against the real server."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from rag.errors import ModelFailed
from rag.types import Turn
from tests.app.live_app import CITATION, QUOTE, Script, new_conversation, scripted, wait_until

WHOLE = "Hold the button for five seconds. [1]"


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def http(tmp_path: Path, script: Script) -> Iterator[httpx.Client]:
    with scripted(tmp_path, script) as client:
        new_conversation(client, "manuals")
        yield client


@pytest.fixture
def client(http: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{http.base_url}/v1", api_key="unused", max_retries=0) as opened:
        yield opened


def test_models_are_knowledge_bases(client: openai.OpenAI, http: httpx.Client) -> None:
    assert [(model.id, model.owned_by) for model in client.models.list()] == [("manuals", "answerdesk")]
    assert client.models.retrieve("manuals").id == "manuals"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_answer_with_history_and_citations_and_nothing_kept(
    client: openai.OpenAI, http: httpx.Client, script: Script
) -> None:
    before = http.get("/api/conversations").json()
    by_id = http.get("/api/knowledge-bases/manuals").json()["id"]
    for model in ("manuals", by_id):
        completion = client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "It hangs."}]},
                {"role": "assistant", "content": "Reset it."},
                {"role": "user", "content": "How?"},
            ],
            temperature=0.1,
        )
        choice = completion.choices[0]
        assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", WHOLE, "stop")
        citations = choice.message.model_extra["citations"]
        assert [(each["marker"], each["quote"], each["document_id"]) for each in citations] == [
            (1, QUOTE, CITATION.document_id)
        ]
        assert completion.usage.prompt_tokens > 0
        assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert script.asked[0].text == "How?"
    assert script.asked[0].history == (Turn("customer", "It hangs."), Turn("assistant", "Reset it."))
    assert http.get("/api/conversations").json() == before


def test_of_an_earlier_turn_no_more_is_read_than_a_question_may_have(client: openai.OpenAI, script: Script) -> None:
    said = "that x that " * 10_000
    messages = [{"role": "user", "content": said}, {"role": "user", "content": "How?"}]
    client.chat.completions.create(model="manuals", messages=messages)
    assert script.asked[0].history == (Turn("customer", said[:4000]),)


def test_streamed_answer_has_its_citations_in_the_last_chunk(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="manuals",
        messages=[{"role": "user", "content": "How?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WHOLE
    assert chunks[0].choices[0].delta.role == "assistant"
    last, usage = chunks[-2:]
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.model_extra["citations"][0]["quote"] == QUOTE
    assert usage.choices == []
    assert usage.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_client_that_leaves_aborts_the_answer(client: openai.OpenAI, script: Script) -> None:
    script.pieces, script.pause = [f"{number} " for number in range(100)], 0.05
    stream = client.chat.completions.create(
        model="manuals", messages=[{"role": "user", "content": "Long"}], stream=True
    )
    next(iter(stream))
    stream.close()
    wait_until(lambda: script.aborted == 1)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(
            model="manuals", messages=[{"role": "user", "content": "Long"}]
        )
    wait_until(lambda: script.aborted == 2)


def test_errors_have_openais_shape_and_ours(client: openai.OpenAI, script: Script) -> None:
    ask = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(model="none", messages=[{"role": "user", "content": "?"}])
    assert (unknown.value.code, unknown.value.type) == ("not_found", "invalid_request_error")
    assert "none" in unknown.value.body["message"]
    with pytest.raises(openai.BadRequestError):
        ask(model="manuals", messages=[{"role": "assistant", "content": "Hello"}])
    for content in ("", "x" * 4001):
        with pytest.raises(openai.UnprocessableEntityError) as invalid:
            ask(model="manuals", messages=[{"role": "user", "content": content}])
        assert invalid.value.code == "invalid_request"
    script.error = ModelFailed("The model is not reachable.", transient=True)
    with pytest.raises(openai.InternalServerError) as failed:
        ask(model="manuals", messages=[{"role": "user", "content": "?"}])
    assert (failed.value.status_code, failed.value.code) == (503, "answer_failed")
    with pytest.raises(openai.APIError, match="not reachable"):
        list(ask(model="manuals", messages=[{"role": "user", "content": "?"}], stream=True))


def test_tokens_are_sent_as_they_come(client: openai.OpenAI, script: Script) -> None:
    script.pieces, script.pause = ["Hold the button ", *["and hold "] * 99], 0.3  # half a minute of words
    started = time.monotonic()
    stream = client.chat.completions.create(model="manuals", messages=[{"role": "user", "content": "?"}], stream=True)
    first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
    assert first.choices[0].delta.content == "Hold the button "
    assert time.monotonic() - started < 15
    stream.close()
