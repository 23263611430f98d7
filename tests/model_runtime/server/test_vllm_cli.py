"""`answerdesk runtime start|status|logs|stop` as they are called, with a fake in vLLM's place."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app
from model_runtime.addresses import free_port

FAKE = Path(__file__).parents[2] / "fakes/vllm_server.py"


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["runtime", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    interpreter = tmp_path / "environment/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE}" "$@"\n')
    interpreter.chmod(0o755)
    port = free_port()
    (tmp_path / "seen").mkdir()
    given = {"HOME": tmp_path / "home", "RUNTIME__ENVIRONMENT": interpreter.parents[1], "RUNTIME__PORT": port}
    given |= {"RUNTIME__DEVICE": "cpu", "RUNTIME__STOP_WITHIN_S": 2}
    for name, value in given.items():
        monkeypatch.setenv(f"ANSWERDESK_{name}", str(value))
    monkeypatch.setenv("FAKE_VLLM", json.dumps({"folder": str(tmp_path / "seen")}))
    yield port
    call("stop")


def test_from_start_to_stop(port: int) -> None:
    assert call("status")[:2] == (1, "never started\nlog       " + _log() + "\n")
    code, shown, said = call("start", "--model", "some/model")
    assert (code, shown.splitlines()[0].split()[0]) == (0, "ready"), said
    assert "left to vLLM: no model 'some/model'" in said
    code, shown, _ = call("status", "--json")
    status: dict[str, Any] = json.loads(shown)
    assert (code, status["state"], status["address"]) == (0, "ready", f"http://127.0.0.1:{port}")
    assert status["server_pid"] in status["processes"]
    assert "mark" not in status
    assert call("logs", "-n", "1") == (0, "fake vLLM, start 1\n", "")
    assert call("start", "--model", "some/model")[0] == 2
    code, shown, _ = call("stop", "--json")
    assert (code, json.loads(shown)["state"], json.loads(shown)["processes"]) == (0, "stopped", [])
    assert call("status")[0] == 1


def test_errors_are_sentences(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, said = call("start")
    assert (code, "ANSWERDESK_RUNTIME__MODEL" in said) == (2, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code, _, said = call("start", "--model", "some/model")
    assert (code, "ANSWERDESK_RUNTIME__PORT" in said) == (2, True)
    monkeypatch.setenv("ANSWERDESK_RUNTIME__TENSOR_PARALLEL_SIZE", "0")
    code, _, said = call("start", "--model", "some/model")
    assert (code, "ANSWERDESK_RUNTIME__TENSOR_PARALLEL_SIZE" in said) == (2, True)


@pytest.mark.parametrize("command", [["status"], ["verify"], ["bench", "--address", "http://127.0.0.1:9"]])
def test_wrong_settings_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """A key may have got into the wrong variable."""
    monkeypatch.setenv("ANSWERDESK_ANSWERS__TIMEOUT_S", "sk-very-secret")
    monkeypatch.setenv("ANSWERDESK_RUNTIME__HOST", "0.0.0.0")
    code, shown, said = call(*command)
    assert (code, shown) == (2, "")
    assert "ANSWERDESK_ANSWERS__TIMEOUT_S: " in said
    assert "secret" not in said


def _log() -> str:
    import os

    return str(Path(os.environ["ANSWERDESK_HOME"]) / "runtime/vllm.log")
