"""Export and import of a knowledge base over HTTP.

Owns the two routes. What is in the file is `app.bundle.format`, how it is filled and read `app.bundle.export` and
`app.bundle.importing`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from app import files
from app.bootstrap import Services, ServicesOf
from app.bundle.export import export_bundle
from app.bundle.format import PIECE
from app.bundle.importing import import_bundle
from app.errors import BadRequest
from app.knowledge_bases import get_knowledge_base
from app.scope import CallerScope, Scope
from app.shapes import KnowledgeBaseShape
from app.uploads import Upload, form_of, received

router = APIRouter(prefix="/api/knowledge-bases", tags=["knowledge bases"])

MEDIA_TYPE = "application/zip"

_FORM = form_of(
    files={"type": "string", "format": "binary", "description": "One bundle."},
    name={"type": "string", "description": "Instead of the name it had."},
)


class ImportResult(BaseModel):
    """`warnings` say what keeps the knowledge base from being asked, if anything does."""

    knowledge_base: KnowledgeBaseShape
    warnings: list[str]


@router.get(
    "/{knowledge_base}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "The bundle."}},
)
def get_export(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> StreamingResponse:
    """One file with everything that is in a knowledge base, as it is now."""
    folder = files.incoming_folder(services.settings.files_folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Made whole before the first byte is sent: what goes wrong is an error and not a broken download, and a slow
    # client keeps no transaction open. The file has no name, so that nothing is left whatever becomes of us.
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        manifest = export_bundle(services, scope, knowledge_base, file)
        stack.pop_all()  # it is closed when it has been sent
    name = quote(f"{manifest.knowledge_base.name}.answerdesk.zip", safe="")
    headers = {"content-length": str(file.tell()), "content-disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(_pieces(file), media_type=MEDIA_TYPE, headers=headers)


@router.post("/import", status_code=201, openapi_extra=_FORM)
async def post_import(request: Request, services: ServicesOf, scope: CallerScope) -> ImportResult:
    """Makes a knowledge base of an exported file; all of it or nothing."""
    limit = services.settings.server.max_request_mb * 2**20
    async with received(request, files.incoming_folder(services.settings.files_folder), limit, limit) as upload:
        return await run_in_threadpool(_import, services, scope, upload)


def _import(services: Services, scope: Scope, upload: Upload) -> ImportResult:
    unknown = upload.fields.keys() - {"name"}
    if len(upload.files) != 1 or unknown:
        raise BadRequest("Send one bundle in the field 'files' and, if you like, the field 'name'; nothing else.")
    (file,) = upload.files
    if file.error is not None:
        raise BadRequest(file.error[1])
    imported = import_bundle(services, scope, file.path, upload.fields.get("name") or None)
    shape = get_knowledge_base(services, scope, imported.knowledge_base.id)
    return ImportResult(knowledge_base=shape, warnings=imported.warnings)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece
