"""The report on a knowledge base's documents: what was found, what each filter does or would do, and the route.

Owns that findings are made once a change and kept in SQL. What is found is `app.document_findings`',
what is done about it `app.document_filters`'.
"""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.bootstrap import Services, ServicesOf
from app.document_filters import is_applied, report_of
from app.document_findings import find
from app.document_shapes import DocumentReportShape, FilterShape, Findings, FoundOut
from app.files import lock_knowledge_base
from app.jobs import LIVE
from app.knowledge_base_settings import DocumentFilter, wanted_filters
from app.models import DocumentReport, Generation, Job, KnowledgeBase, Passage, now
from app.scope import CallerScope, Scope

router = APIRouter(prefix="/api/knowledge-bases", tags=["knowledge bases"])


@router.get("/{knowledge_base}/report")
def get_report(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> DocumentReportShape:
    """What there is to know about the documents: languages, near-duplicates, recurring and unreadable text, filters."""
    return get_document_report(services, scope, knowledge_base)


def get_document_report(services: Services, scope: Scope, id_or_name: str) -> DocumentReportShape:
    """The report as of now, or while uploads are being read the one before, if there is one.

    The first one after a change reads all text: about a second for 1,000 pages. Others who ask meanwhile wait for it.
    """
    with services.database.read() as session:
        row = scope.knowledge_base(session, id_or_name)
        known = _known(session, row, even_if_old=_are_uploads_read(session, row))
    if known is not None:
        return known
    with services.finding.of(row.generation_id):
        return _found_now(services, scope, row.id)


def _found_now(services: Services, scope: Scope, knowledge_base_id: str) -> DocumentReportShape:
    with services.database.read() as session:
        row = scope.knowledge_base(session, knowledge_base_id)
        known = _known(session, row, even_if_old=False)
        if known is not None:
            return known  # whoever was here before has found it
        findings = find(session, row.id, row.generation_id).findings
        kept = session.get(DocumentReport, row.generation_id)
        made = DocumentReport(
            change=row.generation.change,
            made_at=now(),
            applied_change=kept.applied_change if kept else -1,
            filters=kept.filters if kept else [],
            message=kept.message if kept else None,
        )
        shape = _shape(session, row, made, findings)
    _keep(services, row, findings, made.made_at)
    return shape


def _known(session: Session, row: KnowledgeBase, *, even_if_old: bool) -> DocumentReportShape | None:
    kept = session.get(DocumentReport, row.generation_id)
    if kept is None or (kept.change != row.generation.change and not even_if_old):
        return None
    findings = _findings_in(kept.findings)
    return None if findings is None else _shape(session, row, kept, findings)


def _findings_in(kept: dict[str, Any]) -> Findings | None:
    """None for what another version of the program found: something else, or not about every filter."""
    try:
        findings = Findings.model_validate(kept)
    except ValidationError:
        return None
    return findings if set(findings.effects) == set(DocumentFilter) else None


def _are_uploads_read(session: Session, row: KnowledgeBase) -> bool:
    uploads = (Job.knowledge_base_id == row.id, Job.generation_id.is_(None), Job.status.in_(LIVE))
    return session.scalar(select(Job.id).where(*uploads).limit(1)) is not None


def _keep(services: Services, row: KnowledgeBase, findings: Findings, made_at: datetime) -> None:
    """Keeps the findings, with the change number of which they are true, unless later ones are kept by now."""
    with services.database.write() as session:
        lock_knowledge_base(session, row.id)
        if session.get(Generation, row.generation_id) is None:
            return  # dropped meanwhile
        report = report_of(session, row.generation_id)
        if report.change <= row.generation.change:
            report.change, report.made_at = row.generation.change, made_at
            report.findings = findings.model_dump(mode="json")


def _shape(session: Session, row: KnowledgeBase, report: DocumentReport, findings: Findings) -> DocumentReportShape:
    of_generation = (Passage.generation_id == row.generation_id, Passage.excluded.is_not(None))
    query = select(Passage.excluded, func.count()).where(*of_generation).group_by(Passage.excluded)
    excluded = {row[0]: row[1] for row in session.execute(query)}
    on = wanted_filters(row.settings)
    filters = [
        FilterShape(
            name=name,
            setting=name.setting,
            on=name in on,
            passages=findings.effects[name].passages,
            documents=findings.effects[name].documents,
            excluded=excluded.get(name, 0),
            examples=findings.effects[name].examples,
        )
        for name in DocumentFilter
    ]
    applied = is_applied(report, row, row.generation)
    return DocumentReportShape(
        knowledge_base=row.id,
        change=report.change,
        made_at=report.made_at,
        **{name: getattr(findings, name) for name in FoundOut.model_fields},
        filters=filters,
        applied=applied,
        message="" if applied else report.message or "",  # it may be of a filter that was switched off again
    )
