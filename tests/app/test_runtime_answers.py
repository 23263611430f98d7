"""A chat model that is slow, full or gone: nobody waits in vain, and nothing is passed off as something else."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.admission import Admitted, NoPlace
from app.bootstrap import Chain, Services
from app.models import KnowledgeBase
from app.settings import WhenUnavailable
from app.worker import run_until_idle
from tests.app.answering_desk import ANSWER, GOOD, QUESTION, Desk, Gated, desk
from tests.app.live_app import read_events, wait_until
from tests.fakes.openai_server import ENGINE_DEAD, OpenAIServer, Reply

SSE = {"Accept": "text/event-stream"}
NOWHERE = "http://127.0.0.1:9/v1"  # nothing listens on the discard port
QUOTED = "50 ml of vinegar"


def test_who_finds_no_place_is_told_when_to_come_back_and_nothing_is_kept(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        OpenAIServer(Reply(Gated(gate))) as server,
        desk(tmp_path, server.base_url, max_running=1, max_waiting=1) as opened,
        ThreadPoolExecutor(2) as pool,
    ):
        try:
            first = _asked(pool, opened, "One?", lambda: opened.services.admission.running == 1)
            second = _asked(pool, opened, "Two?", lambda: opened.services.admission.waiting == 1)
            conversation = opened.conversation()
            body = {"text": QUESTION, "client_message_id": "third"}
            refused = opened.client.post(f"{conversation}/messages", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "runtime_busy")
            assert int(refused.headers["Retry-After"]) == refused.json()["error"]["details"]["retry_after_s"] >= 1
            assert opened.client.get(conversation).json()["messages"] == []
            completion = opened.complete()
            assert (completion.status_code, completion.json()["error"]["type"]) == (429, "rate_limit_error")
            assert "Retry-After" in completion.headers
            assert opened.ask(text="Hello!").json()["kind"] == "chat"  # needs no model
            assert opened.metric("answerdesk_runtime_rejections_total") == 2
            assert opened.metric("answerdesk_runtime_waiting") == 1
        finally:
            gate.set()
        assert [each.result().json()["status"] for each in (first, second)] == ["answered", "answered"]
        wait_until(lambda: opened.services.admission.running == 0)
        assert opened.client.post(f"{conversation}/messages", json=body).json()["status"] == "answered"
        assert opened.complete().status_code == 200


def test_lack_of_a_place_may_be_filled_with_a_marked_quote(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        OpenAIServer(Reply(Gated(gate))) as server,
        desk(tmp_path, server.base_url, max_running=1, max_waiting=0) as opened,
        ThreadPoolExecutor(1) as pool,
    ):
        opened.knowledge_base("patient", when_unavailable="extractive")
        try:
            asked = _asked(pool, opened, "One?", lambda: opened.services.admission.running == 1)
            answer = opened.ask("patient").json()
            assert (answer["answerer"], answer["model"], answer["fallback"]) == ("extractive", None, "runtime_busy")
            assert QUOTED in answer["text"]
            kept = opened.client.get(f"/api/conversations/{answer['conversation_id']}").json()["messages"][1]
            assert kept["fallback"] == "runtime_busy"
            completion = opened.complete("patient").json()
            assert (completion["answerer"], completion["fallback"]) == ("extractive", "runtime_busy")
            assert opened.ask().status_code == 429  # this one does not allow it
        finally:
            gate.set()
        asked.result()
        wait_until(lambda: opened.services.admission.running == 0)
        answer = opened.ask("patient").json()
        assert (answer["answerer"], answer["fallback"], answer["cached"]) == ("generative", None, False)
        assert opened.metric('answerdesk_fallback_answers_total{reason="runtime_busy"}') == 2


def test_questions_at_a_slow_model_never_keep_a_quoting_knowledge_base_waiting(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        OpenAIServer(Reply(Gated(gate))) as server,
        desk(tmp_path, server.base_url, max_running=3, max_waiting=20, parallel=1) as opened,
        ThreadPoolExecutor(12) as pool,
    ):
        opened.knowledge_base("quoted", answerer="extractive")
        try:
            asked = [pool.submit(opened.ask, text=f"How much vinegar, question {number}?") for number in range(12)]
            wait_until(lambda: opened.services.admission.waiting == 9)
            assert QUOTED in opened.ask("quoted").json()["text"]
            assert opened.complete("quoted").status_code == 200
            assert not any(each.done() for each in asked)
        finally:
            gate.set()
        assert all(each.result().json()["status"] == "answered" for each in asked)
        assert len(server.requests) == 12


def test_a_reader_who_leaves_while_waiting_frees_the_place(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        OpenAIServer(Reply(Gated(gate))) as server,
        desk(tmp_path, server.base_url, max_running=1, max_waiting=1) as opened,
        ThreadPoolExecutor(1) as pool,
    ):
        admission = opened.services.admission
        try:
            first = _asked(pool, opened, "One?", lambda: admission.running == 1)
            conversation = opened.conversation()
            body = {"text": QUESTION, "client_message_id": "leaves"}
            with opened.client.stream("POST", f"{conversation}/messages", json=body, headers=SSE) as response:
                next(data for name, _, data in read_events(response) if name == "message")
                assert admission.waiting == 1
            wait_until(lambda: admission.waiting == 0)
            wait_until(lambda: opened.client.get(conversation).json()["messages"][1]["status"] == "stopped")
            message = opened.client.get(conversation).json()["messages"][1]
            assert message["text"] == ""

            completion = {"model": "manuals", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
            with opened.client.stream("POST", "/v1/chat/completions", json=completion) as response:
                lines = response.iter_lines()  # held, for with it the connection goes
                next(lines)
                wait_until(lambda: admission.waiting == 1)
            wait_until(lambda: admission.waiting == 0)
        finally:
            gate.set()
        first.result()
        assert len(server.requests) == 1  # neither ever reached the model
        again = opened.client.post(f"{conversation}/messages", json=body).json()
        assert (again["id"], again["status"]) == (message["id"], "answered")


def test_a_model_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with desk(tmp_path, NOWHERE) as opened:
        failed = opened.ask()
        assert (failed.status_code, failed.json()["error"]["code"]) == (503, "runtime_down")
        kept = failed.json()["error"]["details"]["message"]
        assert (kept["status"], kept["error"]["code"]) == ("failed", "runtime_down")
        completion = opened.complete()
        assert (completion.status_code, completion.json()["error"]["code"]) == (503, "runtime_down")
        assert opened.metric('answerdesk_failed_answers_total{code="runtime_down"}') == 2
        assert opened.metric("answerdesk_runtime_outages_total") >= 1


def test_a_model_that_is_not_there_may_be_replaced_by_a_marked_quote(tmp_path: Path) -> None:
    with desk(tmp_path, NOWHERE, when_unavailable=WhenUnavailable.EXTRACTIVE) as opened:
        for _ in range(2):
            answer = opened.ask().json()
            assert (answer["answerer"], answer["fallback"], answer["cached"]) == ("extractive", "runtime_down", False)
            assert QUOTED in answer["text"]
        chunks = _streamed_completion(opened)
        assert chunks[-1]["choices"][0]["delta"]["fallback"] == "runtime_down"


def test_a_failed_connection_spares_the_others_the_wait_and_is_tried_again(tmp_path: Path) -> None:
    with OpenAIServer(Reply(status=503)) as server, desk(tmp_path, server.base_url, try_again_after_s=1.0) as opened:
        assert opened.ask().json()["error"]["code"] == "runtime_down"
        assert opened.services.circuit.state == "open"
        assert opened.metric("answerdesk_runtime_circuit_open") == 1
        tried = len(server.requests)
        with ThreadPoolExecutor(10) as pool:
            codes = {answer.json()["error"]["code"] for answer in pool.map(lambda _: opened.ask(), range(30))}
        assert codes == {"runtime_down"}
        assert len(server.requests) - tried <= 2 * tried  # a probe or two on a slow machine, not thirty
        server.reply = GOOD
        wait_until(lambda: opened.ask().status_code == 200)
        assert opened.services.circuit.state == "closed"


def test_a_model_that_dies_in_mid_answer_is_an_error_within_seconds(tmp_path: Path) -> None:
    """Also where a quote is allowed: what has been shown is not taken back for something else."""
    with (
        OpenAIServer(Reply((*ANSWER, *ANSWER), pause=0.2, broken_after=2)) as server,
        desk(tmp_path, server.base_url, when_unavailable=WhenUnavailable.EXTRACTIVE) as opened,
    ):
        conversation = opened.conversation()
        with opened.client.stream("POST", f"{conversation}/messages", json={"text": QUESTION}, headers=SSE) as response:
            events = []
            for name, _, data in read_events(response):
                events.append((name, data))
                if name == "token":
                    last_token = time.monotonic()
            took = time.monotonic() - last_token
        assert [name for name, _ in events[-2:]] == ["error", "done"]
        assert events[-2][1]["error"]["code"] == "runtime_down"
        assert took < 5
        messages = opened.client.get(conversation).json()["messages"]
        assert [(each["role"], each["status"]) for each in messages] == [
            ("customer", "received"),
            ("assistant", "failed"),
        ]
        server.reply = GOOD
        wait_until(lambda: opened.client.post(f"{conversation}/messages", json={"text": "Now?"}).status_code == 200)


def test_a_model_that_is_full_itself_is_busy_not_down(tmp_path: Path) -> None:
    with (
        OpenAIServer(Reply(status=429)) as server,
        desk(tmp_path, server.base_url, when_unavailable=WhenUnavailable.EXTRACTIVE) as opened,
    ):
        assert opened.ask().json()["fallback"] == "runtime_busy"
        assert opened.services.circuit.state == "closed"
        server.reply = GOOD
        assert opened.ask().json()["answerer"] == "generative"


def test_an_engine_that_dies_is_down_and_its_answers_are_not_served_afterwards(tmp_path: Path) -> None:
    with OpenAIServer(GOOD) as server, desk(tmp_path, server.base_url, retries=0) as opened:
        assert opened.ask().json()["status"] == "answered"
        assert opened.ask().json()["cached"] is True
        server.reply = Reply(status=500, body=ENGINE_DEAD)
        failed = opened.ask(text="When does it boil?")
        assert (failed.status_code, failed.json()["error"]["code"]) == (503, "runtime_down")
        server.reply = GOOD
        wait_until(lambda: opened.ask(text="Does it boil?").status_code == 200)
        assert opened.ask().json()["cached"] is False


@pytest.mark.parametrize("when_unavailable", WhenUnavailable)
@pytest.mark.parametrize("is_busy", [False, True])
def test_a_kept_answer_that_goes_while_its_question_is_let_in_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_busy: bool, when_unavailable: WhenUnavailable
) -> None:
    unless_busy = {"max_running": 1, "max_waiting": 0, "when_unavailable": when_unavailable}
    gate = threading.Event()
    with (
        OpenAIServer(GOOD) as server,
        desk(tmp_path, server.base_url, **unless_busy) as opened,
        ThreadPoolExecutor(2) as pool,
    ):
        assert opened.ask().json()["status"] == "answered"
        admission = opened.services.admission
        wait_until(lambda: admission.running == 0)
        chain = Services.chain

        def after_a_document(self: Services, knowledge_base: KnowledgeBase, admitted: Admitted | None = None) -> Chain:
            if admitted is NoPlace.NONE_NEEDED:  # let in for its kept answer, and not yet looked up
                files = [("files", ("other.txt", b"The lid is made of glass."))]
                opened.client.post("/api/knowledge-bases/manuals/documents", files=files).raise_for_status()
                run_until_idle(self)
            return chain(self, knowledge_base, admitted)

        monkeypatch.setattr(Services, "chain", after_a_document)
        try:
            if is_busy:
                server.reply = Reply(Gated(gate))
                other = _asked(pool, opened, "Other?", lambda: admission.running == 1)
                again = pool.submit(opened.ask)
                wait_until(lambda: admission.waiting == 1)
            else:
                again = pool.submit(opened.ask)
        finally:
            gate.set()
        answer = again.result().json()
        assert (answer["status"], answer["answerer"], answer["cached"]) == ("answered", "generative", False)
        if is_busy:
            assert other.result().json()["status"] == "answered"
        wait_until(lambda: (admission.running, admission.waiting) == (0, 0))
        assert opened.metric("answerdesk_runtime_rejections_total") == 0
        assert len(server.requests) == 2 + is_busy


def test_a_place_is_free_when_the_model_has_ended_and_not_when_its_answer_is_saved(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        OpenAIServer(Reply(Gated(gate))) as server,
        desk(tmp_path, server.base_url, max_running=1, max_waiting=0) as opened,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = _asked(pool, opened, QUESTION, lambda: opened.services.admission.running == 1)
        with opened.services.database.write():  # nobody else writes meanwhile
            gate.set()
            wait_until(lambda: opened.services.admission.running == 0)
            assert not asked.done()
        assert asked.result().json()["status"] == "answered"


def test_answers_whose_readers_left_leave_the_model_however_busy_the_database_is(tmp_path: Path) -> None:
    slow = Reply(Gated(threading.Event()))
    with OpenAIServer(slow) as server, desk(tmp_path, server.base_url, max_running=2) as opened:
        conversations = [opened.conversation() for _ in range(2)]
        with ExitStack() as readers:
            for conversation in conversations:
                body = {"text": QUESTION, "client_message_id": "m"}
                headers = {"Accept": "text/event-stream"}
                readers.enter_context(
                    opened.client.stream("POST", f"{conversation}/messages", json=body, headers=headers)
                )
            wait_until(lambda: len(server.requests) == 2)
            locked = readers.pop_all()
        with opened.services.database.write():
            locked.close()
            wait_until(lambda: opened.services.admission.running == 0)

        def statuses() -> set[str]:
            return {opened.client.get(each).json()["messages"][1]["status"] for each in conversations}

        wait_until(lambda: statuses() == {"stopped"})
        server.reply = GOOD
        again = opened.client.post(f"{conversations[0]}/messages", json=body)
        assert again.json()["status"] == "answered"


def test_what_asking_again_would_not_cure_is_not_covered_up(tmp_path: Path) -> None:
    with (
        OpenAIServer(Reply(status=401)) as server,
        desk(tmp_path, server.base_url, when_unavailable=WhenUnavailable.EXTRACTIVE) as opened,
    ):
        failed = opened.ask().json()["error"]
        assert (failed["code"], "key" in failed["message"]) == ("answer_failed", True)


def _asked(pool: ThreadPoolExecutor, opened: Desk, text: str, arrived: Callable[[], Any]) -> "Future[httpx.Response]":
    asked = pool.submit(opened.ask, text=f"{QUESTION} {text}")
    wait_until(arrived)
    return asked


def _streamed_completion(opened: Desk) -> list[Any]:
    body = {"model": "manuals", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    with opened.client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: {")]
    return [httpx.Response(200, text=line).json() for line in lines]


@pytest.mark.parametrize("is_summed_up", [True, False])
def test_what_no_longer_fits_of_a_long_conversation_is_summed_up(tmp_path: Path, is_summed_up: bool) -> None:
    with OpenAIServer(GOOD) as server, desk(tmp_path, server.base_url, summarise_history=is_summed_up) as opened:
        address = f"{opened.conversation()}/messages"
        for number in range(12):
            text = f"{QUESTION} Kettle {number}"
            assert opened.client.post(address, json={"text": text}).raise_for_status().json()["kind"] == "answer"
        prompts = [request["messages"] for request in server.requests]
        summaries = [each for each in prompts if "Sum up" in str(each[0]["content"])]
        assert len(prompts) == 12 + is_summed_up
        assert len(summaries) == is_summed_up
        assert all(QUESTION in str(each[0]["content"]) for each in summaries)
        earlier = prompts[-1][1]["content"]
        assert earlier.startswith("Earlier in this conversation: Fill the kettle") is is_summed_up
        assert prompts[-1][-1]["content"].find("Kettle 11") > 0
