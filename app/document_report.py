"""The report on a knowledge base's documents: what was found, and what each filter does or would do.

Owns that findings are made once a change and kept in SQL. What is found is `app.document_findings`',
what is done about it `app.document_filters`'.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.document_filters import is_applied, report_of
from app.document_findings import find
from app.document_shapes import DocumentReportShape, FilterShape, Findings
from app.files import lock_knowledge_base
from app.knowledge_base_settings import DocumentFilter, wanted_filters
from app.models import DocumentReport, Generation, KnowledgeBase, Passage, now
from app.scope import Scope


def get_document_report(services: Services, scope: Scope, id_or_name: str) -> DocumentReportShape:
    """The report as of now. The first one after a change reads all text: about a second for 1,000 pages."""
    with services.database.read() as session:
        row = scope.knowledge_base(session, id_or_name)
        kept = session.get(DocumentReport, row.generation_id)
        if kept is not None and kept.change == row.generation.change:
            return _shape(session, row, kept, Findings.model_validate(kept.findings))
        findings = find(session, row.id, row.generation_id).findings
        made = DocumentReport(
            change=row.generation.change,
            made_at=now(),
            applied_change=kept.applied_change if kept else -1,
            filters=kept.filters if kept else [],
        )
        shape = _shape(session, row, made, findings)
    _keep(services, row, findings, made.made_at)
    return shape


def _keep(services: Services, row: KnowledgeBase, findings: Findings, made_at: datetime) -> None:
    """Keeps the findings unless they are no longer true."""
    with services.database.write() as session:
        lock_knowledge_base(session, row.id)
        generation = session.get(Generation, row.generation_id)
        if generation is not None and generation.change == row.generation.change:
            report = report_of(session, generation.id)
            report.change, report.made_at = generation.change, made_at
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
    return DocumentReportShape(
        knowledge_base=row.id,
        change=report.change,
        made_at=report.made_at,
        documents=findings.documents,
        passages=findings.passages,
        languages=findings.languages,
        duplicates=findings.duplicates,
        duplicate_groups=findings.duplicate_groups,
        boilerplate=findings.boilerplate,
        boilerplate_texts=findings.boilerplate_texts,
        unreadable=findings.unreadable,
        unreadable_documents=findings.unreadable_documents,
        filters=filters,
        applied=is_applied(report, row),
    )
