"""`answerdesk runtime verify` as it is called, with a fake in vLLM's place: verdicts, errors, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_runtime.verify.server import available_memory

FAKE = Path(__file__).with_name("verify_fake_environment.py")
COMMAND = [sys.executable, "-c", "from app.cli import main; main()", "runtime", "verify", "--architecture", "mixtral"]


class Installation:
    def __init__(self, path: Path, cache: Path) -> None:
        self.home = path / "home"
        interpreter = path / "environment/bin/python"
        interpreter.parent.mkdir(parents=True)
        interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
        interpreter.chmod(0o755)
        self.environment = {
            **os.environ,
            "FAKE_VERIFY_CACHE": str(cache),
            "ANSWERDESK_HOME": str(self.home),
            "VERIFIED_HOME": str(self.home),  # by which all can be found: a server does not get what is ours
            "ANSWERDESK_RUNTIME__ENVIRONMENT": str(interpreter.parents[1]),
            "ANSWERDESK_RUNTIME__DEVICE": "cpu",
            "ANSWERDESK_RUNTIME__STOP_WITHIN_S": "2",
            # Would be refused, and are no business of a check.
            "ANSWERDESK_RUNTIME__MODEL": "/no/such/model",
            "ANSWERDESK_RUNTIME__PORT": "1",
        }

    def verify(self, *arguments: str, changes: dict[str, str] | None = None, **wishes: Any) -> tuple[int, str, str]:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            env={**self.environment, "FAKE_VERIFY": json.dumps(wishes), **(changes or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def begin(self, **wishes: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            COMMAND, env={**self.environment, "FAKE_VERIFY": json.dumps(wishes)}, start_new_session=True
        )

    def processes(self) -> list[int]:
        """All that were started for this installation and live."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                text = (entry / "environ").read_bytes() if entry.name.isdecimal() else b""
            except OSError:  # it has ended, or is another user's
                continue
            if f"VERIFIED_HOME={self.home}".encode() in text.split(b"\0"):
                found.append(int(entry.name))
        return found

    def kept(self) -> list[str]:
        return [file.name for file in (self.home / "verify").iterdir()]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.fixture
def installation(tmp_path: Path, cache: Path) -> Iterator[Installation]:
    pytest.importorskip("transformers", reason="needs the extra torch")
    made = Installation(tmp_path, cache)
    yield made
    assert made.processes() == []


def test_agreement_is_told_and_nothing_is_left(installation: Installation) -> None:
    code, shown, said = installation.verify("--json")
    assert code == 0, said
    verdict = json.loads(shown)
    assert (verdict["agrees"], verdict["precision"], verdict["device"]) == (True, "float32", "cpu")
    (model,) = verdict["models"]
    (run,) = model["runs"]
    assert (run["ranks"], run["with_first"]) == ("TP1", None)
    assert run["with_transformers"]["positions"] == 4 * 159 + 4 * 16
    assert run["with_transformers"]["tokens_alike"] == run["with_transformers"]["tokens"] == 4 * 16
    assert run["kv_cache"] == {"bytes_per_token": 2048, "cache_bytes": 2**30, "logged": 524_288, "agrees": True}
    assert not any(mutant["agrees"] for mutant in model["mutants"].values())
    assert installation.kept() == ["lock"]


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"off": 0.02}, "1 of 700 positions differ, most at sequence 1, token 77, by 0.02 nats"),
        ({"off": float("nan")}, "sequence 1, token 77, by inf nats"),
        ({"token": 3}, "63 of 64"),
        ({"kv_tokens": 262_144}, "the plan has 524,288 tokens of KV cache, vLLM 262,144"),
    ],
)
def test_one_difference_fails_the_check(installation: Installation, wishes: dict[str, Any], sentence: str) -> None:
    code, shown, said = installation.verify(**wishes)
    assert (code, sentence in shown) == (1, True), shown + said
    assert "NOT the same" in shown
    assert installation.kept() == ["lock"]


def test_errors_are_sentences(installation: Installation) -> None:
    code, _, said = installation.verify(changes={"ANSWERDESK_RUNTIME__ENVIRONMENT": "/nowhere"})
    assert (code, "run `make runtime`" in said) == (2, True)
    code, _, said = installation.verify("--mutant", "shared-expert-left-out")
    assert (code, "two-experts-swapped" in said) == (2, True)
    code, _, said = installation.verify("--tensor-parallel-size", "64")
    assert (code, "64 ranks need a core each" in said) == (2, True)
    code, _, said = installation.verify(exit=True)
    assert (code, "ValueError: this model cannot be served" in said) == (2, True)
    assert installation.kept() == ["lock"]


def test_a_check_that_is_ended_stops_what_it_started(installation: Installation) -> None:
    running = installation.begin(hang=True)
    _wait_for_a_server(installation)
    code, _, said = installation.verify()
    assert (code, "another check" in said) == (2, True)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 2
    assert (installation.processes(), installation.kept()) == ([], ["lock"])


def test_what_a_killed_check_left_is_cleared_away_by_the_next(installation: Installation) -> None:
    running = installation.begin(hang=True)
    _wait_for_a_server(installation)
    running.kill()
    running.wait()
    assert installation.processes() != [], "its server is in nobody's hands"
    assert installation.verify()[0] == 0
    assert (installation.processes(), installation.kept()) == ([], ["lock"])


def test_memory_is_that_of_the_container(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  100 kB\nMemAvailable:    64 kB\nCached: 3 kB\n")
    assert available_memory(tmp_path) == 64 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("30000\n")
    (group / "memory.stat").write_text("active_file 7\ninactive_file 5000\n")
    (group / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) == 64 * 1024
    (group / "memory.max").write_text("40000\n")
    assert available_memory(tmp_path) == 15_000


def _wait_for_a_server(installation: Installation) -> None:
    deadline = time.monotonic() + 300
    while not list((installation.home / "verify/work").glob("server-*/vllm.log")):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
    time.sleep(1)
