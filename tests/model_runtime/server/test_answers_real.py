"""Answers written by real vLLM, as `make runtime` installs it: readers who leave, processes that are killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import AnswersSettings
from model_runtime.addresses import free_port
from tests.app.answering_desk import Desk, desk
from tests.app.live_app import read_events, wait_until
from tests.model_runtime.server.test_vllm_server import living

ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / ".venv-runtime"
SSE = {"Accept": "text/event-stream"}
SHORT = "How is the kettle descaled? Tell me every step, with its reason, and then all of it once more in other words."
LONG = SHORT + " I have a kettle, a cup, a table and a chair." * 80
"""As long as a question may be: about a thousand tokens, which a processor reads for a second or more."""

STOP_AFTER_S = AnswersSettings().stop_after_reader_left_s

NEVER_WRITTEN = "<gh_stars>"
"""A token of SmolLM2's that no prose has. With it as the end of an answer, no answer ends by itself."""

ATTEMPTS = 8
"""Answerdesk itself ends an answer that repeats itself, that says the manuals do not say, or that says nothing."""

READY_S = 300
"""For a server to be up again: half a minute where nothing else runs."""

pytestmark = pytest.mark.runtime


@dataclass(frozen=True)
class Runtime:
    """smollm2-moe behind vLLM on two ranks, started and stopped by the command line; its answers never end."""

    environment: Mapping[str, str]
    address: str

    def command(self, *arguments: str, check: bool = True) -> dict[str, Any]:
        program = "from app.cli import main; main()"
        ended = subprocess.run(
            [sys.executable, "-c", program, "runtime", *arguments, "--json"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or ended.returncode == 0, ended.stdout + ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def requests(self, metric: str, **labels: str) -> float:
        """The sum of one of vLLM's own metrics."""
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        lines = httpx.get(f"{self.address}/metrics", timeout=30).text.splitlines()
        found = [line for line in lines if line.startswith(f"vllm:{metric}{{") and all(each in line for each in wanted)]
        assert found, f"vLLM has no metric {metric} {labels}"
        return sum(float(line.rpartition(" ")[2]) for line in found)

    @property
    def finished(self) -> float:
        """Answers that came to their end by themselves."""
        return sum(self.requests("request_success_total", finished_reason=reason) for reason in ("stop", "length"))

    @property
    def busy(self) -> float:
        return self.requests("num_requests_running") + self.requests("num_requests_waiting")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    if not (ENVIRONMENT / "bin/python").exists():
        pytest.fail("there is no .venv-runtime: run make runtime")
    folder = tmp_path_factory.mktemp("runtime")
    port = free_port()
    environment = {
        "ANSWERDESK_HOME": str(folder / "home"),
        "ANSWERDESK_CACHE": str(folder / "cache"),
        "ANSWERDESK_RUNTIME__ENVIRONMENT": str(ENVIRONMENT),
        "ANSWERDESK_RUNTIME__PORT": str(port),
        "ANSWERDESK_RUNTIME__TENSOR_PARALLEL_SIZE": "2",
        # A long question takes several steps to read, and vLLM tells after each what it is at.
        "ANSWERDESK_RUNTIME__MAX_BATCHED_TOKENS": "256",
    }
    made = Runtime(environment, f"http://127.0.0.1:{port}")
    _make_endless(Path(made.command("build", "smollm2-moe")["folder"]))
    started = made.command("start", "--model", "smollm2-moe")
    try:
        yield made
    finally:
        left = {*started["processes"], *made.command("status", check=False)["processes"]}
        assert made.command("stop")["processes"] == []
        assert [pid for pid in left if _is_of_vllm(pid)] == []


@pytest.fixture
def opened(runtime: Runtime, tmp_path: Path) -> Iterator[Desk]:
    """Two knowledge bases: `manuals`, whose answers go on for minutes, and `brief`."""
    # Left to itself the small model soon repeats itself and is cut off; so that it talks on, it must not.
    talkative = {"temperature": 1.0, "frequency_penalty": 1.0, "max_tokens": 2000}
    patience = {"stop_after_reader_left_s": STOP_AFTER_S, "lease_s": 10.0, "timeout_s": 300.0}
    with desk(tmp_path, f"{runtime.address}/v1", chat_model="smollm2-moe", **talkative, **patience) as made:
        made.knowledge_base("brief", max_tokens=40)
        yield made


def test_it_answers(opened: Desk) -> None:
    replies = (opened.ask("brief", SHORT) for _ in range(ATTEMPTS))
    reply = next(reply for reply in replies if not _says_nothing(reply.json()))
    answer = reply.raise_for_status().json()
    assert (answer["status"], answer["answerer"], answer["model"]) == ("answered", "generative", "smollm2-moe")
    assert answer["text"]
    assert answer["timings_ms"]["first_token"] > 0


@pytest.mark.parametrize(("question", "seen"), [(SHORT, "token"), (LONG, "retrieval")], ids=["writing", "prefill"])
def test_a_reader_who_leaves_has_the_request_aborted(runtime: Runtime, opened: Desk, question: str, seen: str) -> None:
    for attempt in range(ATTEMPTS):
        finished = runtime.finished
        conversation = opened.conversation()
        body = {"text": f"Case {attempt}. {question}"}
        with opened.client.stream("POST", f"{conversation}/messages", json=body, headers=SSE, timeout=300) as response:
            events = read_events(response)  # held, for with it the connection goes
            next(name for name, _, _ in events if name == seen)
            # So that there is something to abort.
            wait_until(lambda: runtime.busy >= 1 or _has_ended(opened, conversation), 60)  # noqa: B023  called at once
        left = time.monotonic()
        wait_until(lambda: _has_ended(opened, conversation), 60)  # noqa: B023  likewise
        wait_until(lambda: runtime.busy == 0, 60)
        took = time.monotonic() - left
        if _answer_in(opened, conversation)["status"] != "answered":
            break
    assert _answer_in(opened, conversation)["status"] == "stopped", _answer_in(opened, conversation)
    assert runtime.finished == finished, "it must not have run to its end"
    sys.stdout.write(f"vLLM was free {took:.1f} s after the reader had left; the goal on a quiet machine is 3 s.\n")
    assert took < 20


@pytest.mark.parametrize("victim", ["VLLM::Worker", "server"])
def test_killed_in_mid_answer(runtime: Runtime, opened: Desk, victim: str) -> None:
    wait_until(lambda: runtime.command("status", check=False)["state"] == "ready", READY_S)
    before = runtime.command("status")
    for _ in range(ATTEMPTS):
        conversation = opened.conversation()
        told: list[tuple[str, Any]] = []
        body = {"text": SHORT}
        with opened.client.stream("POST", f"{conversation}/messages", json=body, headers=SSE, timeout=300) as response:
            for name, _, data in read_events(response):
                if name == "token" and "token" not in dict(told):
                    os.kill(_victim(before["processes"], victim), signal.SIGKILL)
                told.append((name, data))
        if "token" in dict(told):
            break
    assert "token" in dict(told), told[-3:]
    assert [name for name, _ in told][-2:] == ["error", "done"], told[-3:]
    assert told[-2][1]["error"]["code"] == "runtime_down", told[-2]
    question, answer = opened.client.get(conversation).json()["messages"]
    assert (question["text"], answer["status"]) == (SHORT, "failed")

    wait_until(lambda: runtime.command("status", check=False)["state"] == "ready", READY_S)
    assert runtime.command("status")["restarts"] == before["restarts"] + 1
    assert [pid for pid in before["processes"] if _is_of_vllm(pid)] == [], "nothing of the first server is left"
    wait_until(lambda: opened.ask("brief", SHORT).status_code == 200, 60)


def _make_endless(model: Path) -> None:
    tokens = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    number = next(token["id"] for token in tokens if token["content"] == NEVER_WRITTEN)
    ends = {"tokenizer_config.json": NEVER_WRITTEN, "config.json": number, "generation_config.json": number}
    for name, end in ends.items():
        said = json.loads((model / name).read_text(encoding="utf-8"))
        said["eos_token" if end == NEVER_WRITTEN else "eos_token_id"] = end
        (model / name).write_text(json.dumps(said), encoding="utf-8")


def _says_nothing(reply: dict[str, Any]) -> bool:
    """Whether the model wrote nothing to show: drawn at random, an answer may begin with what ends it."""
    return "empty answer" in (reply.get("error") or {}).get("message", "")


def _has_ended(opened: Desk, conversation: str) -> bool:
    return bool(_answer_in(opened, conversation)["status"] != "answering")


def _answer_in(opened: Desk, conversation: str) -> dict[str, Any]:
    answer: dict[str, Any] = opened.client.get(conversation).json()["messages"][1]
    return answer


def _victim(processes: list[int], name: str) -> int:
    if name != "server":
        return next(pid for pid in processes if _name(pid).startswith(name))
    return next(pid for pid in processes if "vllm.entrypoints" in _command_line(pid))


def _is_of_vllm(pid: int) -> bool:
    """Whether the number is a living process of vLLM's: not a zombie, and not another program's by now."""
    return bool(living([pid])) and bool(re.search("VLLM::|vllm", f"{_name(pid)} {_command_line(pid)}"))


def _name(pid: int) -> str:
    return _read(pid, "comm").strip()


def _command_line(pid: int) -> str:
    return _read(pid, "cmdline").replace("\0", " ")


def _read(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
