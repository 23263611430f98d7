"""The command line as its users meet it: a process, its output and its exit status."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.processes import wait_until_answering
from model_runtime.addresses import free_port

MANUAL = """# Kettle K-7

## Removing limescale

1. Pour 300 mL of vinegar into the kettle.
2. Wait 30 minutes.
3. Rinse it three times.

## Error codes

E-42 means that the lid is open. Close the lid and press the blue lever.
"""


class CommandLine:
    """`answerdesk` over an installation of its own; the default embedder's export is shared."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "ANSWERDESK_HOME": str(home), "ANSWERDESK_SERVER__PORT": str(free_port())}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def kettle(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """An installation with one manual, read by `answerdesk ingest`, in a folder with files that cannot be read."""
    folder = tmp_path_factory.mktemp("manuals")
    (folder / "deep").mkdir()
    (folder / "deep" / "kettle.md").write_text(MANUAL, encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    (folder / "empty.txt").touch()
    (folder / "film.mp4").write_bytes(b"\0\0\0 ftyp")
    command_line = CommandLine(tmp_path_factory.mktemp("home"))
    done = command_line.run("ingest", "--kb", "kettles", str(folder), "--json")
    assert done.returncode == 1, "files that failed are told by the exit status"
    outcome = json.loads(done.stdout)
    assert {each["external_id"]: each["status"] for each in outcome["documents"]} == {
        "deep/kettle.md": "ready",
        "broken.pdf": "failed",
    }
    assert [each["name"] for each in outcome["failed"]] == ["empty.txt"]
    return command_line


def test_search_ask_and_list_print_the_shapes_of_the_api(kettle: CommandLine) -> None:
    (row,) = kettle.json("kb", "list")
    assert (row["name"], row["document_count"], row["passage_count"]) == ("kettles", 2, 1)
    found = kettle.json("search", "--kb", "kettles", "limescale", "--top-k", "2")
    assert found["hits"][0]["external_id"] == "deep/kettle.md"
    message = kettle.json("ask", "--kb", "kettles", "What does E-42 mean?")
    assert message["kind"] == "answer"
    assert "the lid is open" in message["citations"][0]["quote"]
    people = kettle.run("ask", "--kb", "kettles", "What does E-42 mean?")
    assert "[1] Kettle K-7" in people.stdout


def test_the_same_files_again_change_nothing(kettle: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "kettle.md").write_text(MANUAL, encoding="utf-8")
    (before,) = kettle.json("kb", "list")
    kettle.json("ingest", "--kb", "kettles", str(tmp_path))
    (after,) = kettle.json("kb", "list")
    assert before["change"] == after["change"]


def test_evaluate_prints_figures_and_writes_the_run(kettle: CommandLine, tmp_path: Path) -> None:
    queries, qrels, run = (tmp_path / name for name in ("queries.jsonl", "qrels.tsv", "run.jsonl"))
    queries.write_text('{"_id": "q1", "text": "How do I descale it?"}\n', encoding="utf-8")
    qrels.write_text("query-id\tcorpus-id\tscore\nq1\tdeep/kettle.md\t1\n", encoding="utf-8")
    arguments = ["--queries", str(queries), "--qrels", str(qrels), "--run-out", str(run)]
    figures = kettle.json("evaluate", "--kb", "kettles", *arguments)
    assert (figures["recall@5"], figures["hit@1"], figures["ndcg@10"]) == (1.0, 1.0, 1.0)
    assert figures["milliseconds_p95"] > 0
    assert json.loads(run.read_text(encoding="utf-8"))["documents"] == ["deep/kettle.md"]


def test_the_index_can_be_checked_and_built_anew(kettle: CommandLine) -> None:
    (report,) = kettle.json("index", "check")
    assert (report["passages"], report["orphans"], report["missing"]) == (1, [], [])
    assert kettle.run("index", "rebuild").returncode == 0
    assert kettle.json("index", "check") == [report]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ask", "--kb", "none", "Hello?"], "no knowledge base 'none'"),
        (["ingest", "--kb", "kettles", "/no/such/file.pdf"], "no file or folder"),
        (["search", "--kb", "kettles", "x", "--filter", "["], "must be JSON"),
        (["search", "--kb", "kettles", "x", "--filter", '{"colour": "red"}'], "colour"),
        (["kb", "create", "kettles"], "already"),
    ],
)
def test_mistakes_are_told_in_a_sentence(kettle: CommandLine, arguments: list[str], says: str) -> None:
    done = kettle.run(*arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_serve_answers_and_stops_when_told(kettle: CommandLine) -> None:
    address = f"http://127.0.0.1:{kettle.environment['ANSWERDESK_SERVER__PORT']}"
    server = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=kettle.environment)
    try:
        wait_until_answering(f"{address}/ready", [])
        answer = httpx.post(f"{address}/api/knowledge-bases/kettles/search", json={"query": "limescale"}).json()
        assert answer["hits"][0]["external_id"] == "deep/kettle.md"
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
    finally:
        server.kill()
        server.wait()


def test_run_starts_everything_behind_a_key(kettle: CommandLine) -> None:
    key = {"ANSWERDESK_SERVER__ADMIN_KEY": "a-key-of-sixteen-letters", "ANSWERDESK_UI__PORT": str(free_port())}
    command = [sys.executable, "-m", "app.cli", "run"]
    running = subprocess.Popen(
        command, env={**kettle.environment, **key}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert running.stdout is not None
        assert any("Answerdesk is running" in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()


def test_run_says_which_port_is_taken(kettle: CommandLine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(kettle.environment["ANSWERDESK_SERVER__PORT"])))
        other.listen()
        done = kettle.run("run")
    assert done.returncode == 2
    assert "ANSWERDESK_SERVER__PORT" in done.stderr
