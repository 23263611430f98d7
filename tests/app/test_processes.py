"""Children of `answerdesk run`: restarted when they end, stopped with all they started, honest about ports."""

import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.processes import (
    RESTARTS,
    Child,
    ChildGaveUp,
    PortTaken,
    keep_running,
    require_free_port,
    stop_all,
    wait_until_answering,
)

SLEEPS_WITH_A_CHILD = """
import subprocess, time
print(subprocess.Popen(["sleep", "300"]).pid, flush=True)
time.sleep(300)
"""


DEAF_GRANDCHILD = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
print(subprocess.Popen([sys.executable, "-c", deaf]).pid, flush=True)
time.sleep(300)
"""


def child(tmp_path: Path, program: str) -> Child:
    return Child("test", [sys.executable, "-c", program], tmp_path / "test.log", dict(os.environ))


def wait_for(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_killed_child_is_started_again_and_stopped_with_its_own_children(tmp_path: Path) -> None:
    kept = child(tmp_path, SLEEPS_WITH_A_CHILD)
    kept.start()
    wait_for(lambda: kept.last_words())
    assert kept.process is not None
    first = kept.process.pid
    os.killpg(first, 9)

    reports: list[str] = []
    keep_running([kept], stopping=lambda: bool(reports), report=reports.append)
    assert kept.process.pid != first
    assert "status -9" in reports[0]

    wait_for(lambda: len(kept.last_words().split()) == 2)
    grandchild = int(kept.last_words().split()[-1])
    assert is_alive(grandchild)
    stop_all([kept])
    wait_for(lambda: not is_alive(grandchild))
    assert kept.has_ended()


def test_stopping_ends_also_what_does_not_want_to_end(tmp_path: Path) -> None:
    kept = child(tmp_path, DEAF_GRANDCHILD)
    kept.start()
    wait_for(lambda: "deaf" in kept.last_words())
    grandchild = int(next(word for word in kept.last_words().split() if word.isdecimal()))
    kept.stop()
    wait_for(lambda: not is_alive(grandchild))
    assert kept.has_ended()


def test_a_child_that_keeps_ending_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    broken = child(tmp_path, "raise SystemExit('no such database')")
    broken.start()
    with pytest.raises(ChildGaveUp, match="no such database"):
        keep_running([broken], stopping=lambda: False, report=lambda _: None)
    assert len(broken.started) == RESTARTS


def test_whoever_refuses_us_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do we ask a proxy of the environment for what is on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    class Guarded(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers.get("authorization") == "Bearer secret" else 401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/ready"
        wait_until_answering(address, [], headers={"Authorization": "Bearer secret"})
        with pytest.raises(ChildGaveUp, match="refuses us with status 401"):
            wait_until_answering(address, [], timeout_s=1e9)
        server.shutdown()


def test_a_taken_port_is_said_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTaken, match="ANSWERDESK_SERVER__PORT"):
            require_free_port("127.0.0.1", other.getsockname()[1], "ANSWERDESK_SERVER__PORT")
