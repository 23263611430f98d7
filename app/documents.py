"""Documents: upload, list, look into, delete. The first file of a document's way.

Owns the routes, what is refused at once, and what becomes a job. What is in a file is found out by the worker
(`app.worker`, which runs `ingestion.pipeline`); the next file of the way is `ingestion/pipeline.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app import files, jobs
from app.bootstrap import Services, ServicesOf
from app.errors import BadRequest, Conflict, TooLargeRequest, UnsupportedUpload
from app.models import Document, Job, KnowledgeBase, Passage, new_id
from app.passages import PASSAGES, passage_from_row, raise_change
from app.scope import AgentScope, CallerScope, Role, Scope
from app.shapes import DocumentShape, DocumentStatus, ErrorBody, HitShape, JobShape
from app.sink import remove_documents
from app.uploads import ReceivedFile, Upload, form_of, received
from ingestion.detect import HOLDS_SEVERAL, parser_for
from ingestion.errors import IngestionError

router = APIRouter(prefix="/api", tags=["documents"])

_MULTIPART = form_of(
    files={"type": "array", "items": {"type": "string", "format": "binary"}},
    external_id={"type": "string", "description": "For a single file; else its path."},
    facets={"type": "string", "description": 'JSON such as {"product": "LT-300"}.'},
    is_public={"type": "string", "enum": ["true", "false"], "description": "Whether visitors may see the documents."},
)


class RejectedFile(BaseModel):
    name: str
    error: ErrorBody


class UploadResult(BaseModel):
    """`documents` in the order of the files; files with many records have a job only."""

    documents: list[DocumentShape]
    jobs: list[JobShape]
    rejected: list[RejectedFile]


class DocumentList(BaseModel):
    """Newest first. `jobs` are sources that are waiting, being read, or failed, newest first.

    `languages` counts all documents of the knowledge base that have been read, by language.
    """

    documents: list[DocumentShape]
    jobs: list[JobShape]
    total: int
    languages: dict[str, int]
    next_cursor: str | None


class PassageList(BaseModel):
    passages: list[HitShape]
    next_cursor: str | None


def accept(
    services: Services,
    scope: Scope,
    id_or_name: str,
    upload: Upload,
    *,
    removes_missing: bool = True,
    also: Callable[[Session], None] = lambda _: None,
) -> UploadResult:
    """Stores the files and queues them. A file that cannot be right is refused, the others go on.

    Documents that an earlier upload of the same file brought and this one no longer has are removed when it has been
    read, unless the caller sees to that. What the caller does `also` is done in the same transaction: both or neither.
    Raises `BadRequest`, `TooLargeRequest` or `UnsupportedUpload` when no file was accepted.
    """
    external_id, facets, is_public = upload.external_id(), upload.facets(), upload.is_public()
    checked = [(file, _check(services, file)) for file in upload.files]
    rejected = [RejectedFile(name=file.name, error=found) for file, found in checked if isinstance(found, ErrorBody)]
    if len(rejected) == len(checked):
        raise _all_refused(rejected)
    result = UploadResult(documents=[], jobs=[], rejected=rejected)
    replaced: list[str] = []
    with services.database.write() as session:
        knowledge_base = scope.knowledge_base(session, id_or_name)
        files.lock_knowledge_base(session, knowledge_base.id)
        jobs.lock_sources(session, knowledge_base.id, {external_id or file.name for file, _ in checked})
        also(session)
        for file, media_type in checked:
            if isinstance(media_type, str):
                job = _job(knowledge_base.id, file, external_id or file.name, media_type, facets, is_public)
                document, queued = _queue(session, job, replaced, removes_missing)
                if is_public is not None:
                    _mark(session, knowledge_base.id, document, queued, is_public)
                if queued is job:
                    files.keep(services.settings.files_folder, file.path, job.source_path)
                result.documents.extend([DocumentShape.of(document, queued)] if document else [])
                result.jobs.extend([JobShape.of(queued)] if queued else [])
    files.release(services.database, services.settings.files_folder, knowledge_base.id, replaced)
    return result


def list_documents(
    services: Services,
    scope: Scope,
    id_or_name: str,
    status: Sequence[str],
    limit: int,
    cursor: str | None,
    language: Sequence[str] = (),
) -> DocumentList:
    """A page of documents, of these statuses and languages only when there are any.

    `cursor` is the last id of the page before. The language of documents of which it is not known is "".
    """
    with services.database.read() as session:
        knowledge_base = scope.knowledge_base(session, id_or_name)
        shown = [Document.knowledge_base_id == knowledge_base.id]
        shown += [Document.is_public.is_(True)] if scope.role is Role.CUSTOMER else []
        conditions = [*shown]
        conditions += [Document.status.in_(status)] if status else []
        conditions += [Document.language.in_(language)] if language else []
        total = session.scalar(select(func.count()).select_from(Document).where(*conditions)) or 0
        after = [Document.id < cursor] if cursor else []
        query = select(Document, Job).outerjoin(Job, Job.id == Document.job_id).where(*conditions, *after)
        rows = session.execute(query.order_by(Document.id.desc()).limit(limit + 1)).all()
        unfinished = select(Job).where(
            Job.knowledge_base_id == knowledge_base.id,
            Job.generation_id.is_(None),
            Job.status.in_((*jobs.LIVE, jobs.JobStatus.FAILED)),
        )
        sources = session.scalars(unfinished.order_by(Job.id.desc()).limit(limit)).all()
        sources = [] if scope.role is Role.CUSTOMER else sources
        read = (*shown, Document.version > 0)
        languages = session.execute(
            select(Document.language, func.count()).where(*read).group_by(Document.language).order_by(Document.language)
        ).all()
    return DocumentList(
        documents=[DocumentShape.of(document, job) for document, job in rows[:limit]],
        jobs=[JobShape.of(job) for job in sources],
        total=total,
        languages={row[0]: row[1] for row in languages},
        next_cursor=rows[limit - 1][0].id if len(rows) > limit else None,
    )


def get_document(services: Services, scope: Scope, document_id: str) -> DocumentShape:
    with services.database.read() as session:
        return _shape(session, scope.document(session, document_id))


def delete_document(services: Services, scope: Scope, document_id: str) -> None:
    """Removes the document from answers at once, and its file unless another document has the same.

    No upload that is under way brings it back; the next one that has it does.
    """
    with services.database.write() as session:
        document = scope.document(session, document_id)
        change = raise_change(session, document.knowledge_base_id)
        own_jobs = delete(Job).where(
            Job.knowledge_base_id == document.knowledge_base_id,
            Job.external_id == document.external_id,
            Job.media_type.not_in(HOLDS_SEVERAL),
        )
        paths = [document.file_path, *session.scalars(own_jobs.returning(Job.source_path))]
        jobs.leave_out(session, document.knowledge_base_id, document.external_id)
        remove_documents(session, document.knowledge_base_id, [document.key], change)
    files.release(services.database, services.settings.files_folder, document.knowledge_base_id, paths)


def list_passages(
    services: Services, scope: Scope, document_id: str, page: int | None, limit: int, cursor: int
) -> PassageList:
    """Passages in reading order, from number `cursor` on; of one page those that touch it. Excluded ones say why."""
    with services.database.read() as session:
        document = scope.document(session, document_id)
        answers = select(KnowledgeBase.generation_id).where(KnowledgeBase.id == document.knowledge_base_id)
        of_document = (Passage.document_key == document.key, Passage.generation_id == answers.scalar_subquery())
        query = PASSAGES.add_columns(Passage.excluded).where(*of_document, Passage.ordinal >= cursor)
        if page is not None:
            query = query.where(Passage.first_page <= page, Passage.last_page >= page)
        rows = session.execute(query.order_by(Passage.ordinal).limit(limit + 1)).all()
    passages = [(passage_from_row(row[:-1]), row.excluded) for row in rows]
    return PassageList(
        passages=[HitShape.of_passage(passage, excluded) for passage, excluded in passages[:limit]],
        next_cursor=str(passages[limit][0].ordinal) if len(passages) > limit else None,
    )


def retry_document(services: Services, scope: Scope, document_id: str) -> DocumentShape:
    """Reads a failed or cancelled document again. Raises `Conflict` when there is nothing to try again."""
    with services.database.write() as session:
        document = scope.document(session, document_id)
        jobs.retry(session, _job_of(session, document))
        session.refresh(document)
        return _shape(session, document)


def cancel_document(services: Services, scope: Scope, document_id: str) -> DocumentShape:
    """Stops the reading of a document; an older version goes on answering. Raises `Conflict` when it has ended."""
    with services.database.write() as session:
        document = scope.document(session, document_id)
        jobs.cancel(session, _job_of(session, document))
        session.refresh(document)
        return _shape(session, document)


def _check(services: Services, file: ReceivedFile) -> str | ErrorBody:
    """The media type, or why the file is refused at once."""
    if file.error is not None:
        return ErrorBody(code=file.error[0], message=file.error[1])
    try:
        return parser_for(file.path, services.limits).media_type
    except IngestionError as error:
        return ErrorBody(code=error.code, message=str(error).replace(file.path.name, file.name))


def _queue(
    session: Session, job: Job, replaced: list[str], removes_missing: bool
) -> tuple[Document | None, Job | None]:
    """The source's document and the job that reads it: the given one unless the same content is there already.

    Files with many records have no document of their own, files that are there already no job. The paths of files
    that are no longer wanted are added to `replaced`.
    """
    holds_several = job.media_type in HOLDS_SEVERAL
    of_source = (
        Job.knowledge_base_id == job.knowledge_base_id,
        Job.external_id == job.external_id,
        Job.generation_id.is_(None),
    )
    before = session.scalar(select(Job).where(*of_source, Job.status.in_(jobs.LIVE)))
    document = session.scalar(
        select(Document).where(
            Document.knowledge_base_id == job.knowledge_base_id, Document.external_id == job.external_id
        )
    )
    if before is not None and before.content_hash == job.content_hash and not before.removed:
        return (None if holds_several else document), before
    if holds_several:
        replaced.extend(jobs.enqueue(session, job, takes_over=removes_missing))
        return None, job
    if document is not None and document.version and document.content_hash == job.content_hash:
        replaced.extend(jobs.withdraw(session, job))  # a newer upload that waits or failed is taken back by this one
        session.refresh(document)
        document.status, document.message = "ready_with_warnings" if document.warnings else "ready", ""
        session.flush()
        return document, None
    replaced.extend(jobs.enqueue(session, job, takes_over=removes_missing))
    if document is None:
        document = Document(
            knowledge_base_id=job.knowledge_base_id,
            external_id=job.external_id,
            title=job.source_name,
            facets=job.facets,
            media_type=job.media_type,
        )
        session.add(document)
    else:
        session.refresh(document)  # its earlier jobs may have had the last word
    document.job_id, document.status, document.message = job.id, "queued", ""
    session.flush()
    return document, job


def _mark(
    session: Session, knowledge_base_id: str, document: Document | None, job: Job | None, is_public: bool
) -> None:
    """What is there already is marked now, if its content is what was uploaded; else it is only made internal.

    An older version may hold what is not for everybody: what the job brings is marked when it is stored.
    """
    if job is not None:
        job.is_public = is_public
        session.flush()
    own = Document.job_id == job.id if job is not None else Document.id == (document.id if document else "")
    if job is None or not is_public:
        changed = session.scalars(update(Document).where(own).values(is_public=is_public).returning(Document.id)).all()
        if changed:
            raise_change(session, knowledge_base_id)
        if document is not None:
            session.refresh(document)


def _job(
    knowledge_base_id: str,
    file: ReceivedFile,
    external_id: str,
    media_type: str,
    facets: Mapping[str, Any],
    is_public: bool | None,
) -> Job:
    return Job(
        id=new_id(),
        knowledge_base_id=knowledge_base_id,
        source_name=file.name,
        source_path=files.stored_path(knowledge_base_id, file.content_hash, file.name),
        external_id=external_id,
        content_hash=file.content_hash,
        media_type=media_type,
        facets=dict(facets),
        is_public=is_public,
    )


def _all_refused(rejected: Sequence[RejectedFile]) -> BadRequest | TooLargeRequest | UnsupportedUpload:
    details = {"rejected": [file.model_dump() for file in rejected]}
    message = rejected[0].error.message if len(rejected) == 1 else f"None of the {len(rejected)} files can be read."
    codes = {file.error.code for file in rejected}
    if codes == {"too_large"}:
        return TooLargeRequest(message, details)
    if codes <= {"unsupported_type", "wrong_type"}:
        return UnsupportedUpload(message, details)
    return BadRequest(message, details)


def _shape(session: Session, document: Document) -> DocumentShape:
    job = session.get(Job, document.job_id) if document.job_id else None
    return DocumentShape.of(document, job)


def _job_of(session: Session, document: Document) -> Job:
    job = session.get(Job, document.job_id) if document.job_id else None
    if job is None:
        raise Conflict(f"{document.external_id} is not being read.", {"document": document.id})
    return job


_Limit = Annotated[int, Query(ge=1, le=1000)]


@router.post("/knowledge-bases/{knowledge_base}/documents", status_code=202, openapi_extra=_MULTIPART)
async def post_documents(
    knowledge_base: str, request: Request, services: ServicesOf, scope: CallerScope
) -> UploadResult:
    """Uploads files; each becomes a document, or a new version of the one with the same external id."""
    settings = services.settings
    incoming = files.incoming_folder(settings.files_folder)
    limits = (settings.ingestion.max_file_mb * 2**20, settings.server.max_request_mb * 2**20)
    async with received(request, incoming, *limits) as upload:
        return await run_in_threadpool(accept, services, scope, knowledge_base, upload)


@router.get("/knowledge-bases/{knowledge_base}/documents")
def get_documents(
    knowledge_base: str,
    services: ServicesOf,
    scope: CallerScope,
    status: Annotated[list[DocumentStatus], Query()] = [],  # noqa: B006  FastAPI copies it
    language: Annotated[list[str], Query(max_length=20)] = [],  # noqa: B006
    limit: _Limit = 100,
    cursor: str | None = None,
) -> DocumentList:
    """Lists documents, newest first, with the progress of those being read."""
    return list_documents(services, scope, knowledge_base, status, limit, cursor, language)


@router.get("/documents/{document_id}")
def get_one_document(document_id: str, services: ServicesOf, scope: CallerScope) -> DocumentShape:
    """One document with its progress."""
    return get_document(services, scope, document_id)


@router.delete("/documents/{document_id}", status_code=204)
def remove_document(document_id: str, services: ServicesOf, scope: CallerScope) -> Response:
    """Deletes a document; it is gone from answers at once."""
    delete_document(services, scope, document_id)
    return Response(status_code=204)


@router.get("/documents/{document_id}/passages")
def get_passages(
    document_id: str,
    services: ServicesOf,
    scope: CallerScope,
    page: Annotated[int | None, Query(ge=1)] = None,
    limit: _Limit = 50,
    cursor: Annotated[int, Query(ge=0)] = 0,
) -> PassageList:
    """Lists a document's passages in reading order, or those of one page."""
    return list_passages(services, scope, document_id, page, limit, cursor)


@router.post("/documents/{document_id}/retry")
def post_retry(document_id: str, services: ServicesOf, scope: CallerScope) -> DocumentShape:
    """Reads a failed or cancelled document again."""
    return retry_document(services, scope, document_id)


@router.post("/documents/{document_id}/cancel")
def post_cancel(document_id: str, services: ServicesOf, scope: CallerScope) -> DocumentShape:
    """Stops the reading of a document."""
    return cancel_document(services, scope, document_id)


@router.get("/jobs/{job_id}")
def get_job(job_id: str, services: ServicesOf, scope: AgentScope) -> JobShape:
    """One source that was uploaded: how far it is, or why it failed."""
    with services.database.read() as session:
        return JobShape.of(scope.job(session, job_id))


@router.post("/jobs/{job_id}/retry")
def post_job_retry(job_id: str, services: ServicesOf, scope: CallerScope) -> JobShape:
    """Reads a failed or cancelled source again."""
    with services.database.write() as session:
        job = scope.job(session, job_id)
        jobs.retry(session, job)
        session.refresh(job)
        return JobShape.of(job)


@router.post("/jobs/{job_id}/cancel")
def post_job_cancel(job_id: str, services: ServicesOf, scope: CallerScope) -> JobShape:
    """Stops the reading of a source; what has been stored of it stays."""
    with services.database.write() as session:
        job = scope.job(session, job_id)
        jobs.cancel(session, job)
        session.refresh(job)
        return JobShape.of(job)
