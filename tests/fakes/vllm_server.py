"""Stands in for vLLM's server: /health after a while, workers of the kinds there are, and ways to fail on demand.

Run by the interpreter that a test puts in the place of vLLM's; `FAKE_VLLM` in the environment is a JSON object:
`folder` (where it writes what it was given), `ready_after` (seconds), `exit_at` (numbers of the starts that end at
once), `never_ready`, `deaf` (to SIGTERM), `dies_when_ready`, `unaware` (of dead workers: its health check stays good,
and its engine has a process with vLLM's name for it). Without a worker its health check answers 503.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(300)"]
_SLEEP_WITH_CHILD = [
    *(sys.executable, "-S", "-c"),
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(300)']);"
    "time.sleep(300)",
]


def main() -> None:
    wishes = json.loads(os.environ["FAKE_VLLM"])
    folder = Path(wishes["folder"])
    number = len(list(folder.glob("start-*"))) + 1
    given = {"pid": os.getpid(), "arguments": sys.argv[1:], "environment": dict(os.environ)}
    (folder / f"start-{number}").write_text(json.dumps(given))
    sys.stderr.write(f"fake vLLM, start {number}\n")
    if wishes.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if number in wishes.get("exit_at", []):
        sys.stderr.write("ValueError: no such model\n")
        sys.exit(7)
    # Of the same group with its environment overwritten (as a changed title does), with a child of its own; and one
    # that left group and session.
    workers = [subprocess.Popen(_SLEEP_WITH_CHILD, env={}), subprocess.Popen(_SLEEP, start_new_session=True)]
    if wishes.get("unaware"):
        named = folder / "VLLM::Worker"  # a program's name is that of the link by which it was started
        if not named.is_symlink():
            named.symlink_to(sys.executable)
        workers = [subprocess.Popen([str(named), *_SLEEP[1:]])]
    (folder / "workers").write_text(json.dumps([worker.pid for worker in workers]))
    began = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_ready = not wishes.get("never_ready") and time.monotonic() - began >= wishes.get("ready_after", 0)
            healthy = wishes.get("unaware") or all(worker.poll() is None for worker in workers)
            self.send_response((200 if healthy else 503) if is_ready else 404)
            self.end_headers()
            if is_ready and number <= wishes.get("dies_when_ready", 0):
                threading.Timer(0.1, os._exit, [9]).start()

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            (folder / "posts").open("a").write(f"{self.path} {self.rfile.read(length).decode()}\n")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            pass

    port = next(argument.partition("=")[2] for argument in sys.argv if argument.startswith("--port="))
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
