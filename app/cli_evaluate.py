"""`answerdesk evaluate`: figures of a knowledge base's answers, and the gate against an earlier run.

Owns the verb's arguments, which questions are asked, and how figures are printed. The figures are `rag.evaluation`'s.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from app.cli_calibrate import calibrate_by
from app.cli_output import JsonOption, errors_for_people, fail, json_object, messages, print_result

if TYPE_CHECKING:
    from rag.evaluation.asking import Asked
    from rag.evaluation.comparing import Baseline, Change
    from rag.evaluation.figures import Figures
    from rag.evaluation.questions import GoldenQuestion

_FILE = {"exists": True, "dir_okay": False}


def evaluate(
    kb: Annotated[str, typer.Option("--kb", help="Name or id of the knowledge base.")] = "",
    golden: Annotated[
        Path | None, typer.Option(**_FILE, help="Golden questions, JSONL; without a file those of the knowledge base.")
    ] = None,
    squad: Annotated[
        Path | None, typer.Option(**_FILE, help="Questions in SQuAD's format, about --make-documents.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(**_FILE, help="JSONL of {_id, text, history?, answer?}; needs --qrels.")
    ] = None,
    qrels: Annotated[Path | None, typer.Option(**_FILE, help="TSV of query id, external id, score.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=200, help="How many passages.")] = 10,
    settings: Annotated[
        str, typer.Option("--settings", help='Settings to try in place of its own, as JSON: {"refuse_below": 0}.')
    ] = "{}",
    retrieval_only: Annotated[bool, typer.Option("--retrieval-only", help="Measure the search, not answers.")] = False,
    make_documents: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Only write --squad's paragraphs as JSONL to be ingested.")
    ] = None,
    run_out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write what became of each question, as JSONL.")
    ] = None,
    save: Annotated[Path | None, typer.Option(dir_okay=False, help="Keep the figures, to be a --baseline.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(**_FILE, help="Compare with what --save kept; exits 1 when a figure got worse.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="How much a figure may lose before it counts as worse.")
    ] = 0.01,
    calibrate: Annotated[
        float | None,
        typer.Option(
            min=0.005, max=0.5, help="Share of false answers wanted: sets the knowledge base's refuse_below for it."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure retrieval, answers, citations and refusals on questions whose answers are known."""
    with errors_for_people():
        if make_documents is not None:
            _make_documents(squad, make_documents)
            return
        if not kb:
            fail("--kb is missing: name the knowledge base that is asked.")
        tried = json_object(settings, "--settings", '{"refuse_below": 0}')
        _require_folder("--run-out", run_out)
        _require_folder("--save", save)
        if calibrate is not None and (retrieval_only or tried):
            fail("--calibrate sets a threshold for answers as they are: leave out --retrieval-only and --settings.")
        before = None if baseline is None else _baseline(baseline)
        files = _Files(golden, squad, queries, qrels)
        done = _measured(kb, files, tried, top_k, answers=not retrieval_only, calibrates=calibrate is not None)
        changes = [] if before is None else _changes(done, before, tolerance)
        told = {**done.figures.as_json(), **({"changes": [each.as_json() for each in changes]} if baseline else {})}
        try:
            _write(done, run_out, save)
            if calibrate is not None:
                told["calibration"] = calibrate_by(done.asked, kb, calibrate)
        finally:  # whatever fails by now, the figures took long
            print_result(told, as_json, _compared(changes) if baseline else _table(done.figures))
    if worse := [change for change in changes if change.is_worse]:
        for change in worse:
            messages.print(_sentence(change, tolerance), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Files:
    """Where the questions are: at most one of the three kinds."""

    golden: Path | None
    squad: Path | None
    queries: Path | None
    qrels: Path | None


@dataclass(frozen=True)
class _Measured:
    figures: "Figures"
    asked: "Sequence[Asked]"


def _measured(
    kb: str, files: _Files, tried: Mapping[str, Any], top_k: int, *, answers: bool, calibrates: bool
) -> _Measured:
    from app.bootstrap import build_services
    from app.cli_verbs import SCOPE, migrate
    from app.evaluation.bench import bench_of
    from app.evaluation.calibration import require_promising
    from app.settings import Settings
    from rag.evaluation.asking import ask
    from rag.evaluation.figures import figures_of

    installation = Settings()
    migrate(installation)
    services = build_services(installation)
    try:
        with services.database.read() as session:
            row = SCOPE.knowledge_base(session, kb)
        questions, unjudged = _questions(files, services, row.id)
        if not answers:
            questions = [each for each in questions if each.expected is not None and each.expected.documents]
            if not questions:
                fail("None of the questions names a document, and --retrieval-only looks at nothing else.")
        if not questions:
            fail("There are no questions to ask: the file has none that are judged.")
        if calibrates:
            require_promising(services, row, questions)
        bench = bench_of(services, row, tried, top_k=top_k, answers=answers)
        asked = []
        with messages.status("Asking…") as status:
            for number, question in enumerate(questions, start=1):
                asked.append(ask(bench, question))
                status.update(f"{number:,} of {len(questions):,} questions asked")
    finally:
        services.close()
    return _Measured(figures_of(asked, unjudged=unjudged, top_k=top_k), asked)


def _questions(files: _Files, services: Any, knowledge_base_id: str) -> "tuple[list[GoldenQuestion], int]":
    """The questions to ask, and how many others nothing is known of."""
    from app.evaluation.questions import all_questions
    from rag.evaluation.files import read_beir, read_golden, read_squad

    kinds = [name for name in ("golden", "squad", "queries") if getattr(files, name) is not None]
    if len(kinds) > 1:
        fail(f"Give one of --{' and --'.join(kinds)}, not both.")
    if (files.queries is None) != (files.qrels is None):
        fail("--queries and --qrels belong together: questions, and which documents answer them.")
    if files.golden is not None:
        return read_golden(files.golden), 0
    if files.squad is not None:
        return list(read_squad(files.squad).questions), 0
    if files.queries is not None and files.qrels is not None:
        return read_beir(files.queries, files.qrels)
    if found := all_questions(services, knowledge_base_id):
        return found, 0
    fail("This knowledge base has no golden questions: add some, or name a file with --golden, --squad or --queries.")


def _require_folder(option: str, path: Path | None) -> None:
    """Before anything is asked: that takes time."""
    if path is not None and not path.parent.is_dir():
        fail(f"{option} {path}: the folder {path.parent} does not exist; make it first.")


def _write(done: _Measured, run_out: Path | None, save: Path | None) -> None:
    from rag.evaluation import comparing

    with errors_for_people(OSError):
        if run_out is not None:
            _write_run(run_out, done.asked)
        if save is not None:
            comparing.save(save, done.figures, done.asked)


def _make_documents(squad: Path | None, target: Path) -> None:
    from rag.evaluation.files import read_squad, squad_documents

    if squad is None:
        fail("--make-documents needs --squad FILE, of which the paragraphs are taken.")
    found = read_squad(squad)
    with target.open("w", encoding="utf-8") as file:
        file.writelines(squad_documents(found))
    messages.print(f"Wrote {len(found.documents):,} paragraphs. Next: answerdesk ingest --kb NAME {target}")


def _baseline(path: Path) -> "Baseline":
    """Read before anything is asked: that takes time."""
    from rag.evaluation.comparing import read_baseline

    return read_baseline(path)


def _changes(done: _Measured, before: "Baseline", tolerance: float) -> "list[Change]":
    from rag.evaluation.comparing import compare
    from rag.evaluation.figures import samples_of

    return compare(before, done.figures.values, samples_of(done.asked), tolerance)


def _write_run(path: Path, asked: "Sequence[Asked]") -> None:
    from rag.evaluation.questions import record_of

    def line(each: "Asked") -> dict[str, Any]:
        answer = each.answer
        return {
            "query_id": each.question.id,
            "documents": each.documents,
            "scores": each.scores,
            "searched_for": each.searched_for,
            "milliseconds": each.milliseconds,
            "question": record_of(each.question),
            "outcome": each.outcome,
            "values": each.values,
            "kind": answer and answer.kind,
            "answer": answer and answer.text,
            "quotes": answer and [citation.quote for citation in answer.citations],
            "confidence": each.confidence,
            "answer_milliseconds": each.answer_milliseconds,
        }

    path.write_text("".join(json.dumps(line(each), ensure_ascii=False) + "\n" for each in asked), encoding="utf-8")


def _table(figures: "Figures") -> Table:
    table = Table("figure", "value", "95% interval")
    for name, value in figures.values.items():
        low, high = figures.intervals.get(name, (math.nan, math.nan))
        table.add_row(name, _number(value), "" if math.isnan(low) else f"{low:.3f} – {high:.3f}")
    for outcome, count in figures.outcomes.items():
        table.add_row(f"questions {outcome.replace('_', ' ')}", str(count), "")
    return table


def _compared(changes: "Sequence[Change]") -> Table:
    table = Table("figure", "before", "now", "difference", "95% interval", "")
    for each in changes:
        interval = "" if each.low is None or each.high is None else f"{each.low:+.3f} – {each.high:+.3f}"
        difference = "" if each.now is None else f"{each.now - each.before:+.4f}"
        now = "not measured" if each.now is None else f"{each.now:.4f}"
        table.add_row(each.figure, f"{each.before:.4f}", now, difference, interval, "worse" if each.is_worse else "")
    return table


def _sentence(change: "Change", tolerance: float) -> str:
    now = "is not measured any more" if change.now is None else f"is {change.now:.4f} now"
    return f"Worse: {change.figure} was {change.before:.4f} and {now} (tolerance {tolerance:g})."


def _number(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
