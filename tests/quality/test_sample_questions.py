"""The gate over our own questions: the sample manuals, the default embedder, extractive answers.

Where a figure falls for the sake of another, the baseline is saved anew: the README beside this file says how.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.sample.render import render_sample

HERE = Path(__file__).parent
TOLERANCE = "0.1"
QUESTIONS = ["--golden", str(HERE / "sample_questions.jsonl")]
GATE = ["--baseline", str(HERE / "baseline.json"), "--tolerance", TOLERANCE]


class Sample:
    """`answerdesk` over an installation that has read the sample manuals."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {**os.environ, "ANSWERDESK_HOME": str(home)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=600, check=False)

    def evaluate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("evaluate", "--kb", "sample", *arguments)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    manuals = tmp_path_factory.mktemp("manuals")
    render_sample(manuals)
    sample = Sample(tmp_path_factory.mktemp("home"))
    done = sample.run("ingest", "--kb", "sample", str(manuals))
    assert done.returncode == 0, done.stderr
    return sample


def test_our_own_questions_are_answered_as_well_as_before(sample: Sample, tmp_path: Path) -> None:
    run = tmp_path / "run.jsonl"
    done = sample.evaluate(*QUESTIONS, *GATE, "--run-out", str(run), "--json")
    results: list[dict[str, Any]] = [json.loads(line) for line in run.read_text(encoding="utf-8").splitlines()]
    failed = [
        f"{each['query_id']}: {each['outcome']}: {each['answer']}" for each in results if each["outcome"] != "passed"
    ]
    assert done.returncode == 0, "\n".join([done.stderr, *failed])
    figures = json.loads(done.stdout)
    assert figures["queries"] == len(results) > 30
    assert figures["citation_precision"] == 1.0
    assert {each["figure"] for each in figures["changes"]} >= {"passed", "page@1", "false_answers", "answer_contained"}


def test_the_gate_closes_when_everything_is_refused(sample: Sample) -> None:
    refuses = ["--settings", '{"refuse_below": 1, "doubt_below": 1}']
    done = sample.evaluate(*QUESTIONS, *GATE, *refuses)
    assert done.returncode == 1
    assert "Worse: false_refusals was" in done.stderr
    assert "Worse: answer_contained was" in done.stderr
    assert "recall@5" not in done.stderr


def test_a_squad_file_becomes_documents_and_is_asked(sample: Sample, tmp_path: Path) -> None:
    question = {"id": "q", "question": "What is the lever for?", "answers": [{"text": "opens the lid"}]}
    silent = {"id": "s", "question": "Who made it?", "answers": [], "is_impossible": True}
    paragraph = {"context": "The lever opens the lid. It is blue and made of steel.", "qas": [question, silent]}
    squad, documents = tmp_path / "squad.json", tmp_path / "squad.jsonl"
    squad.write_text(json.dumps({"data": [{"title": "Kettle", "paragraphs": [paragraph]}]}))
    made = sample.run("evaluate", "--squad", str(squad), "--make-documents", str(documents))
    assert made.returncode == 0, made.stderr
    assert sample.run("ingest", "--kb", "squad", str(documents)).returncode == 0
    everything = ["--settings", '{"refuse_below": 0, "doubt_below": 0}']
    done = sample.run("evaluate", "--kb", "squad", "--squad", str(squad), *everything, "--json")
    figures = json.loads(done.stdout)
    assert (figures["hit@1"], figures["answer_contained"], figures["false_answers"]) == (1.0, 1.0, 1.0)
    assert figures["abstention_curve"]
    searched = sample.run("evaluate", "--kb", "squad", "--squad", str(squad), "--retrieval-only", "--json")
    figures = json.loads(searched.stdout)
    assert figures["queries"] == 1
    assert "answer_contained" not in figures


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--kb is missing"),
        (["--kb", "none", *QUESTIONS], "no knowledge base 'none'"),
        (["--kb", "sample"], "no golden questions"),
        (["--kb", "sample", "--golden", "{bad}"], "line 1"),
        (["--kb", "sample", "--golden", "{bad}", "--squad", "{bad}"], "not both"),
        (["--kb", "sample", "--queries", "{bad}"], "--qrels belong together"),
        (["--make-documents", "out.jsonl"], "needs --squad"),
        (["--kb", "sample", *QUESTIONS, "--baseline", "{bad}"], "no baseline"),
        (["--kb", "sample", *QUESTIONS, "--settings", '{"colour": 1}'], "colour"),
        (["--kb", "sample", *QUESTIONS, "--settings", "["], "must be JSON"),
    ],
)
def test_mistakes_are_told_in_a_sentence(sample: Sample, tmp_path: Path, arguments: list[str], says: str) -> None:
    """In this process: none of them gets as far as a question."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text('["none"]\n')
    given = [str(bad) if each == "{bad}" else each for each in arguments]
    done = CliRunner().invoke(app, ["evaluate", *given], env={"ANSWERDESK_HOME": str(sample.home)})
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())
