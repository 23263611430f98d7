"""The model server started, watched, restarted and stopped, with a fake in vLLM's place; no process may outlive it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from model_runtime.addresses import free_port
from model_runtime.server.control import start, stop
from model_runtime.server.errors import AlreadyRunning, NotInstalled, Refused, StartFailed
from model_runtime.server.processes import Identity, end_processes, identify, processes_of
from model_runtime.server.settings import RuntimeSettings
from model_runtime.server.state import LIVE, RuntimeFolder, State, Status

REAL_POPEN = subprocess.Popen
FAKE = Path(__file__).parents[2] / "fakes/vllm_server.py"


class Installation:
    """A runtime folder, and an environment whose Python runs the fake."""

    def __init__(self, path: Path) -> None:
        self.folder = path / "runtime"
        self.seen = path / "seen"
        self.seen.mkdir()
        interpreter = path / "environment/bin/python"
        interpreter.parent.mkdir(parents=True)
        interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE}" "$@"\n')
        interpreter.chmod(0o755)
        self.settings = RuntimeSettings(
            model="some/model",
            environment=interpreter.parents[1],
            device="cpu",
            port=free_port(),
            ready_timeout_s=30,
            restarts=2,
            first_pause_s=0.05,
            stop_within_s=2,
        )

    def start(self, changes: dict[str, Any] | None = None, wait: bool = True, **wishes: Any) -> Status:
        wishes["folder"] = str(self.seen)
        environment = {**os.environ, "FAKE_VLLM": json.dumps(wishes), "ANSWERDESK_SERVER__ADMIN_KEY": "not-for-vllm"}
        settings = RuntimeSettings(**{**self.settings.model_dump(), **(changes or {})})
        return start(settings, self.folder, environment, wait=wait)

    def stop(self) -> Status:
        return stop(self.folder, 2)

    def status(self) -> Status:
        return RuntimeFolder(self.folder).read()

    def given(self, number: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.seen / f"start-{number}").read_text())
        return found

    def starts(self) -> int:
        return len(list(self.seen.glob("start-*")))


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.stop()


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def living(pids: list[int]) -> list[int]:
    alive = []
    for pid in pids:
        with suppress(ProcessLookupError):
            alive += [pid] if identify(pid).is_alive() else []
    return alive


def test_it_starts_with_what_it_needs_and_stops_with_all_it_started(installation: Installation) -> None:
    status = installation.start({"api_key": "a-key-of-the-runtime"}, ready_after=0.5)
    assert status.state is State.READY
    assert status.ready_after_s is not None
    assert status.ready_after_s >= 0.5
    given = installation.given()
    assert f"--port={installation.settings.port}" in given["arguments"]
    assert given["environment"]["VLLM_API_KEY"] == "a-key-of-the-runtime"
    assert "ANSWERDESK_SERVER__ADMIN_KEY" not in given["environment"]
    for kept in installation.folder.iterdir():
        assert "a-key-of-the-runtime" not in kept.read_text()
    assert all("a-key" not in Path(f"/proc/{pid}/cmdline").read_text() for pid in status.processes())

    processes = status.processes()
    assert len(processes) >= 4, "server, worker, its child, the one in a session of its own"
    supervisor = status.supervisor
    assert supervisor is not None
    assert supervisor.pid not in processes
    assert installation.stop().state is State.STOPPED
    assert living([*processes, supervisor.pid]) == []
    assert installation.stop().state is State.STOPPED, "stopping twice is no error"


def test_there_is_one_runtime_only(installation: Installation) -> None:
    first = installation.start()
    with pytest.raises(AlreadyRunning, match="ready already"):
        installation.start()
    assert installation.status() == first
    assert installation.starts() == 1


def test_a_wrong_setting_is_told_with_the_last_words_and_not_tried_again(installation: Installation) -> None:
    with pytest.raises(StartFailed, match=r"ended at its start \(status 7\)(.|\n)*no such model"):
        installation.start(exit_at=[1])
    assert installation.status().state is State.FAILED
    assert installation.starts() == 1
    assert installation.start().state is State.READY, "a failed one is in nobody's way"


def test_a_server_that_is_never_ready_is_stopped(installation: Installation) -> None:
    with pytest.raises(StartFailed, match=r"not ready within 1 seconds"):
        installation.start({"ready_timeout_s": 1}, never_ready=True)
    assert installation.status().processes() == []


def test_a_dead_worker_that_the_server_has_not_noticed_is_a_reason_to_start_anew(installation: Installation) -> None:
    installation.start(unaware=True)
    (worker,) = json.loads((installation.seen / "workers").read_text())
    before = installation.given()["pid"]
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: installation.starts() == 2 and installation.status().state is State.READY)
    assert living([before]) == []
    assert f"process {worker} of the model's engine ended" in installation.status().last_error


@pytest.mark.parametrize("victim", ["server", "worker"])
def test_a_killed_process_is_replaced(installation: Installation, victim: str) -> None:
    before = installation.start(ready_after=0.2)
    processes = before.processes()
    worker = json.loads((installation.seen / "workers").read_text())[0]
    os.kill(installation.given()["pid"] if victim == "server" else worker, signal.SIGKILL)
    wait_for(lambda: installation.status().restarts == 1)
    wait_for(lambda: installation.status().state is State.READY)
    after = installation.status()
    assert living(processes) == [], "nothing of the first server is left"
    assert after.server != before.server
    assert ("signal 9" if victim == "server" else "status 503") in after.last_error
    assert len(after.processes()) >= 4


def test_a_server_that_keeps_dying_is_given_up(installation: Installation) -> None:
    installation.start(dies_when_ready=99)
    wait_for(lambda: installation.status().state is State.FAILED)
    status = installation.status()
    assert "after 2 restarts in a row" in status.last_error
    assert "fake vLLM, start 3" in status.last_error
    assert (installation.starts(), status.restarts, status.processes()) == (3, 2, [])


def test_what_a_killed_supervisor_leaves_is_seen_and_ended(installation: Installation) -> None:
    status = installation.start()
    assert status.supervisor is not None
    os.kill(status.supervisor.pid, signal.SIGKILL)
    wait_for(lambda: installation.status().state is State.LOST)
    processes = installation.status().processes()
    assert len(processes) >= 4
    with pytest.raises(AlreadyRunning, match="an earlier runtime left"):
        installation.start()
    # The server too: its workers belong to nobody then.
    os.kill(installation.given()["pid"], signal.SIGKILL)
    wait_for(lambda: len(installation.status().processes()) == len(processes) - 1)
    assert installation.stop().state is State.STOPPED
    assert living(processes) == []
    assert installation.start().state is State.READY


def test_a_deaf_server_is_killed(installation: Installation) -> None:
    processes = installation.start(deaf=True).processes()
    began = time.monotonic()
    installation.stop()
    assert 1.5 < time.monotonic() - began < 60
    assert living(processes) == []


def test_it_can_be_stopped_while_it_starts(installation: Installation) -> None:
    status = installation.start(wait=False, never_ready=True)
    assert status.state is State.STARTING
    wait_for(lambda: installation.starts() == 1)
    processes = installation.status().processes()
    assert installation.stop().state is State.STOPPED
    assert living(processes) == []


def test_a_start_that_is_interrupted_leaves_nobody_whom_stop_could_not_find(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt comes before the supervisor has written its first state: the one on the disk is an older one."""
    supervisors: list[subprocess.Popen[str]] = []
    states = iter([RuntimeFolder.read, _interrupted])

    def popen(*arguments: Any, **more: Any) -> subprocess.Popen[str]:
        supervisors.append(REAL_POPEN(*arguments, **more))
        return supervisors[-1]

    with monkeypatch.context() as patch:
        patch.setattr("model_runtime.server.control.subprocess.Popen", popen)
        patch.setattr(RuntimeFolder, "read", lambda folder: next(states)(folder))
        with pytest.raises(KeyboardInterrupt):
            installation.start(never_ready=True)
    (supervisor,) = supervisors
    assert supervisor.returncode is not None
    assert installation.status().state not in LIVE
    assert installation.status().processes() == []
    assert installation.start().state is State.READY


def _interrupted(folder: RuntimeFolder) -> Status:
    raise KeyboardInterrupt


def test_what_cannot_be_started_is_said_before(installation: Installation, tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="make runtime"):
        installation.start({"environment": tmp_path / "nowhere"})
    with pytest.raises(NotInstalled, match="no vLLM in"):
        installation.start({"device": "auto"})
    with pytest.raises(Refused, match="no folder"):
        installation.start({"model": "/no/such/folder"})
    with pytest.raises(Refused, match="short name"):
        installation.start({"model": "deepseek-v3"})
    with pytest.raises(Refused, match="dies at the first request"):
        installation.start({"expert_parallel": True})
    assert installation.starts() == 0
    assert not installation.folder.exists()


def test_a_state_from_before_the_machine_was_started_anew_names_no_processes(installation: Installation) -> None:
    status = installation.start()
    state = installation.folder / "state.json"
    text = state.read_text()
    state.write_text(text.replace(status.boot, "another-boot"))
    assert installation.status().state is State.LOST
    assert installation.status().processes() == []
    state.write_text(text)


def test_a_process_number_that_was_given_anew_is_not_ours() -> None:
    stranger = Identity(os.getppid(), ticks=1)
    assert not stranger.is_alive()
    assert processes_of(stranger, mark="") == []
    assert end_processes(stranger, mark="", within_s=1) == []


def test_the_log_is_followed_and_its_last_words_are_cut(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "runtime")
    folder.prepare()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert folder.last_words(2) == "line 99998\nline 99999"
    assert folder.last_words(9, since=folder.log.stat().st_size) == ""
    seen: list[str] = []

    def write_when_followed() -> None:
        for number, text in enumerate(("第一行\n", "second\n")):
            wait_for(lambda number=number: len(seen) == number)
            time.sleep(0.1)
            with folder.log.open("a", encoding="utf-8") as log:
                log.write(text)

    writer = threading.Thread(target=write_when_followed)
    writer.start()
    for text in folder.follow(lambda: len(seen) == 2, pause_s=0.01):
        seen.append(text)
    writer.join()
    assert seen == ["第一行\n", "second\n"]
