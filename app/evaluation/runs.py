"""Runs of golden questions: begun, looked at, compared, cancelled, deleted. A worker asks (`app.evaluation.worker`).

    queued ──a worker takes it──> running ──every question asked──> done
      ^│                            └── something is wrong, or its worker died too often ──> failed
      │└──────────── cancelled ─────┘
      └──retry── failed, cancelled

Owns the rows of runs and their results as admins see them. A run copies its questions when it begins.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.errors import BadRequest, Conflict
from app.evaluation.shapes import (
    FigureChange,
    GoldenResultList,
    GoldenResultShape,
    GoldenRunList,
    GoldenRunShape,
    NewGoldenRun,
    OutcomeChange,
    RunComparison,
)
from app.knowledge_base_settings import DocumentFilter
from app.models import GoldenQuestion, GoldenResult, GoldenRun, KnowledgeBase, now
from app.scope import Scope
from rag.evaluation.asking import Asked, Outcome
from rag.evaluation.comparing import Baseline, compare
from rag.evaluation.figures import samples_of
from rag.evaluation.questions import question_from

LIVE = ("queued", "running")
_MOST_WAITING = 10
_RUNS_SHOWN = 100


def begin_run(services: Services, scope: Scope, knowledge_base: str, new: NewGoldenRun) -> GoldenRunShape:
    """Queues a run over all golden questions. Raises `Conflict` without any, and `BadRequest` for filters: they change
    what is indexed, which a run cannot.
    """
    tried = new.settings.model_dump(mode="json", exclude_none=True)
    if refused := sorted({each.setting for each in DocumentFilter} & tried.keys()):
        raise BadRequest(
            f"{refused[0]} changes what is indexed and cannot be tried in a run: build a knowledge base of its own.",
            {"settings": refused},
        )
    with services.database.write() as session:
        base = scope.knowledge_base(session, knowledge_base)
        session.refresh(base, with_for_update=True)  # numbers are given one at a time
        questions = session.scalars(scope.golden_question_query(base).order_by(GoldenQuestion.id)).all()
        if not questions:
            raise Conflict("There is nothing to run: add golden questions to this knowledge base first.")
        _require_place(session, base)
        last = session.scalar(select(func.max(GoldenRun.number)).where(GoldenRun.knowledge_base_id == base.id)) or 0
        run = GoldenRun(
            knowledge_base_id=base.id, number=last + 1, note=new.note.strip(), tried=tried, total=len(questions)
        )
        session.add(run)
        session.flush()
        session.add_all(
            GoldenResult(run_id=run.id, ordinal=ordinal, question_id=each.id, record=each.record)
            for ordinal, each in enumerate(questions, start=1)
        )
        return GoldenRunShape.of(run, {})


def list_runs(services: Services, scope: Scope, knowledge_base: str) -> GoldenRunList:
    with services.database.read() as session:
        base = scope.knowledge_base(session, knowledge_base)
        newest = scope.golden_run_query(base).order_by(GoldenRun.number.desc()).limit(_RUNS_SHOWN)
        return GoldenRunList(runs=_shapes(session, session.scalars(newest).all()))


def get_run(services: Services, scope: Scope, knowledge_base: str, run: str) -> GoldenRunShape:
    with services.database.read() as session:
        row = scope.golden_run(session, scope.knowledge_base(session, knowledge_base), run)
        return _shapes(session, [row])[0]


def list_results(
    services: Services,
    scope: Scope,
    knowledge_base: str,
    run: str,
    outcomes: Sequence[Outcome],
    limit: int,
    cursor: int,
) -> GoldenResultList:
    """The questions of a run in order, from ordinal `cursor` on; those with certain outcomes where some are named."""
    with services.database.read() as session:
        row = scope.golden_run(session, scope.knowledge_base(session, knowledge_base), run)
        query = select(GoldenResult).where(GoldenResult.run_id == row.id, GoldenResult.ordinal >= cursor)
        if outcomes:
            query = query.where(GoldenResult.outcome.in_(outcomes))
        rows = session.scalars(query.order_by(GoldenResult.ordinal).limit(limit + 1)).all()
    return GoldenResultList(
        results=[GoldenResultShape.of(each) for each in rows[:limit]],
        next_cursor=str(rows[limit].ordinal) if len(rows) > limit else None,
    )


def cancel_run(services: Services, scope: Scope, knowledge_base: str, run: str) -> GoldenRunShape:
    """What has been asked stays. Raises `Conflict` when it has ended."""
    with services.database.write() as session:
        row = scope.golden_run(session, scope.knowledge_base(session, knowledge_base), run)
        still = (GoldenRun.id == row.id, GoldenRun.status.in_(LIVE))
        ended = {"status": "cancelled", "finished_at": now(), "lease_owner": None, "lease_until": None}
        if session.execute(update(GoldenRun).where(*still).values(ended).returning(GoldenRun.id)).first() is None:
            raise Conflict(f"Run {row.number} has ended already.", {"run": row.id})
        session.refresh(row)
        return _shapes(session, [row])[0]


def retry_run(services: Services, scope: Scope, knowledge_base: str, run: str) -> GoldenRunShape:
    """Has a failed or cancelled run go on where it was, with all its attempts. Raises `Conflict` for any other."""
    with services.database.write() as session:
        base = scope.knowledge_base(session, knowledge_base)
        row = scope.golden_run(session, base, run)
        _require_place(session, base)
        ended = (GoldenRun.id == row.id, GoldenRun.status.in_(("failed", "cancelled")))
        again = {"status": "queued", "attempts": 0, "message": "", "finished_at": None, "lease_until": None}
        if session.execute(update(GoldenRun).where(*ended).values(again).returning(GoldenRun.id)).first() is None:
            raise Conflict(f"Run {row.number} has not failed: there is nothing to go on with.", {"run": row.id})
        unasked = (GoldenResult.run_id == row.id, GoldenResult.outcome.is_(None))
        session.execute(update(GoldenResult).where(*unasked).values(details={}))  # its pauses are counted anew
        session.refresh(row)
        return _shapes(session, [row])[0]


def delete_run(services: Services, scope: Scope, knowledge_base: str, run: str) -> None:
    """Also one that is under way; its worker notices."""
    with services.database.write() as session:
        session.delete(scope.golden_run(session, scope.knowledge_base(session, knowledge_base), run))


def compare_runs(services: Services, scope: Scope, knowledge_base: str, first: str, second: str) -> RunComparison:
    """Two runs side by side. Raises `Conflict` unless both are done."""
    with services.database.read() as session:
        base = scope.knowledge_base(session, knowledge_base)
        rows = [scope.golden_run(session, base, each) for each in (first, second)]
        for row in rows:
            if row.status != "done":
                raise Conflict(f"Run {row.number} is {row.status}; only runs that are done can be compared.")
        shapes = _shapes(session, rows)
        asked = [asked_in(session, row.id) for row in rows]
    before, after = rows
    figures = [{name: value for name, value in row.figures.items() if isinstance(value, int | float)} for row in rows]
    changes = compare(Baseline(figures[0], samples_of(asked[0])), figures[1], samples_of(asked[1]), tolerance=0.0)
    return RunComparison(
        first=shapes[0],
        second=shapes[1],
        settings={
            name: [before.used.get(name), after.used.get(name)]
            for name in sorted(before.used.keys() | after.used.keys())
            if before.used.get(name) != after.used.get(name)
        },
        figures=[FigureChange.of(change) for change in changes],
        questions=_outcome_changes(asked[0], asked[1]),
    )


def asked_in(session: Session, run_id: str) -> list[Asked]:
    """The questions of a run that have been asked, as far as figures and comparisons need them."""
    rows = session.scalars(
        select(GoldenResult)
        .where(GoldenResult.run_id == run_id, GoldenResult.outcome.is_not(None))
        .order_by(GoldenResult.ordinal)
    )
    return [
        Asked(
            question=question_from(row.record),
            outcome=Outcome(row.outcome or ""),
            values=row.values,
            documents=(),
            scores=(),
            searched_for=row.details["searched_for"],
            milliseconds=row.details["milliseconds"],
            answer_milliseconds=row.details["answer_milliseconds"],
            confidence=row.details["confidence"],
        )
        for row in rows
    ]


def _outcome_changes(first: Sequence[Asked], second: Sequence[Asked]) -> list[OutcomeChange]:
    later: dict[str, Any] = {each.question.id: each for each in second}
    return [
        OutcomeChange(
            question_id=each.question.id,
            question=each.question.text,
            first=each.outcome,
            second=later[each.question.id].outcome,
        )
        for each in first
        if each.question.id in later and later[each.question.id].outcome is not each.outcome
    ]


def _require_place(session: Session, knowledge_base: KnowledgeBase) -> None:
    live = (GoldenRun.knowledge_base_id == knowledge_base.id, GoldenRun.status.in_(LIVE))
    if (session.scalar(select(func.count()).where(*live)) or 0) >= _MOST_WAITING:
        raise Conflict(f"{_MOST_WAITING} runs are waiting already; cancel one, or begin this one later.")


def _shapes(session: Session, rows: Sequence[GoldenRun]) -> list[GoldenRunShape]:
    """Only runs that are not done are counted: pages ask for the list every second."""
    outcomes: dict[str, dict[str, int]] = {row.id: row.figures.get("outcomes", {}) for row in rows}
    counted = (
        select(GoldenResult.run_id, GoldenResult.outcome, func.count())
        .where(
            GoldenResult.run_id.in_([row.id for row in rows if row.status != "done"]),
            GoldenResult.outcome.is_not(None),
        )
        .group_by(GoldenResult.run_id, GoldenResult.outcome)
    )
    for run_id, outcome, count in session.execute(counted):
        outcomes[run_id][str(outcome)] = count
    return [GoldenRunShape.of(row, outcomes[row.id]) for row in rows]
