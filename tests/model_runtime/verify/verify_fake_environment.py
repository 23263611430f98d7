"""Stands in for the interpreter of vLLM's environment, for `runtime verify`: runs the reference with the real
transformers, and in vLLM's place a server that answers what transformers computed, or something else.

`FAKE_VERIFY` in the environment is a JSON object: `off` (nats added to the log-probabilities of one position), `token`
(another one at the end of the first continuation), `kv_tokens` (logged), `exit` (at once, as vLLM does when it has
something to say), `hang` (never answers a completion). `FAKE_VERIFY_CACHE` is a folder for what transformers computes.
The server starts a worker in a session of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

LIKELIEST = 5


def main() -> None:
    if "-P" in sys.argv:
        sys.exit(_reference(Path(sys.argv[-1]), Path(os.environ["FAKE_VERIFY_CACHE"])))
    wishes = json.loads(os.environ.get("FAKE_VERIFY", "{}"))
    if wishes.get("exit"):
        sys.exit("ValueError: this model cannot be served")
    options = dict(argument[2:].partition("=")[::2] for argument in sys.argv if argument.startswith("--"))
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    sys.stderr.write(f"INFO CPU KV cache size: {wishes.get('kv_tokens', 524_288):,} tokens, and more\n")
    sys.stderr.flush()
    workshop = Path(options["model"]).parents[1]
    (job, *_) = json.loads((workshop / "jobs.json").read_text())
    right = dict(np.load(job["result"]))

    def scored(number: int, tokens: list[int]) -> dict[str, Any]:
        rows: list[dict[str, Any] | None] = [None]
        for place, row in enumerate(right["scores"][number]):
            named = {*np.argsort(row)[-LIKELIEST:].tolist(), tokens[place + 1]}
            rows.append({str(token): {"logprob": float(row[token])} for token in named})
        if number == 1 and "off" in wishes:
            for value in (rows[77] or {}).values():
                value["logprob"] += wishes["off"]
        return {"index": number, "prompt_logprobs": rows}

    def continued(number: int, prompt: list[int]) -> dict[str, Any]:
        place = job["prompts"].index(prompt)
        tokens = right["tokens"][place].tolist()
        if number == 0 and "token" in wishes:
            tokens[-1] = wishes["token"]
        tops = [
            {f"token_id:{token}": float(row[token]) for token in np.argsort(row)[-LIKELIEST:].tolist()}
            for row in right["steps"][place]
        ]
        return {"index": number, "logprobs": {"tokens": [f"token_id:{each}" for each in tokens], "top_logprobs": tops}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if wishes.get("hang"):
                time.sleep(600)
            answer = scored if "prompt_logprobs" in asked else continued
            # The order of choices means nothing, their numbers do.
            choices = [answer(number, prompt) for number, prompt in enumerate(asked["prompt"])][::-1]
            body = json.dumps({"choices": choices}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", int(options["port"])), Handler).serve_forever()


def _reference(jobs: Path, cache: Path) -> int:
    """The real program, once for all tests: the models are the same every time."""
    results = [Path(job["result"]) for job in json.loads(jobs.read_text())]
    if not (cache / "complete").exists():
        code = subprocess.run([sys.executable, *sys.argv[1:]], check=False).returncode
        if code:
            return code
        for result in results:
            shutil.copy(result, cache)
        (cache / "complete").touch()
    for result in results:
        shutil.copy(cache / result.name, result)
    return 0


if __name__ == "__main__":
    main()
