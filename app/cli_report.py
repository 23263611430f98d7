"""`answerdesk kb report`: the report on a knowledge base's documents, for people."""

from rich.markup import escape

from app.cli_verbs import SCOPE, services_for
from app.document_report import get_document_report
from app.document_shapes import DocumentReportShape
from app.settings import Settings

_SHOWN = 10
_LONGEST = 160


def document_report(settings: Settings, name: str) -> DocumentReportShape:
    """Raises `NotFound`."""
    services = services_for(settings)
    return get_document_report(services, SCOPE, name)


def for_people(report: DocumentReportShape) -> str:
    """The report as plain text, the first ten of each kind."""
    languages = ", ".join(f"{each.language or 'unknown'} {each.documents:,}" for each in report.languages)
    lines = [f"{report.documents:,} documents, {report.passages:,} passages. Languages: {languages or 'none'}."]
    lines.append(f"\nNearly the same ({report.duplicate_groups:,}):")
    for group in report.duplicates[:_SHOWN]:
        names = ", ".join(each.external_id for each in group.documents[:4])
        more = f" and {group.count - 4:,} more" if group.count > 4 else ""
        lines.append(f"  {group.kind}, at least {group.share:.0%} in common: {names}{more}")
    lines.append(f"\nRecurring text ({report.boilerplate_texts:,}):")
    for each in report.boilerplate[:_SHOWN]:
        lines.append(f"  {each.count:,} times in {each.documents:,} documents: {_short(each.text)}")
    lines.append(f"\nUnreadable ({report.unreadable_documents:,} documents):")
    for found in report.unreadable[:_SHOWN]:
        pages = f"pages {', '.join(map(str, found.pages[:20]))}; " if found.pages else ""
        lines.append(f"  {found.external_id}: {pages}{found.passages:,} passages")
    lines.append("\nFilters:")
    for filter_ in report.filters:
        state = f"on, {filter_.excluded:,} excluded" if filter_.on else "off"
        lines.append(
            f"  {filter_.name} ({state}): {filter_.passages:,} passages of {filter_.documents:,} documents"
            f"{'' if filter_.on else ' would be excluded'}"
        )
        lines.extend(f"    {example.external_id}: {_short(example.text)}" for example in filter_.examples)
    if not report.applied:
        lines.append(f"\n{report.message or 'A worker has yet to apply the filters.'}")
    return escape("\n".join(lines))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
