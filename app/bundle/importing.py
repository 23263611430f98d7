"""A bundle into a new knowledge base, whole or not at all.

Rows are written in small transactions, so that questions and uploads go on, under a knowledge base that belongs to no
workspace yet: no scope finds it. The last transaction gives it its name and its workspace. Whoever imports renews a
sign of life with each batch; what a process that died has left is removed by `remove_abandoned`.

Owns what is imported and what the admin is told; the rows are written by `app.bundle.staging`. Ids of documents and
passages are kept unless one in this installation has them already; the knowledge base's own is always new, because
indexes and caches remember ids.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from app.bootstrap import Services
from app.bundle.format import Bundle, open_bundle
from app.bundle.staging import STAGING, name_is_taken, remove_staged, staged
from app.errors import BadBundle
from app.generation_shapes import ChunkerChange
from app.knowledge_base_settings import KnowledgeBaseSettings
from app.knowledge_bases import NewKnowledgeBase, checked_name
from app.models import Generation, KnowledgeBase, new_id, now
from app.scope import Scope

ABANDONED_AFTER = timedelta(minutes=10)
"""One batch takes seconds; only the copying of one large file may take long, and it renews the sign as it goes."""


@dataclass(frozen=True, slots=True)
class Imported:
    """`warnings` are what the admin should know: of another embedder's vectors, nothing can be asked."""

    knowledge_base: KnowledgeBase
    warnings: list[str]


def import_bundle(services: Services, scope: Scope, path: Path, name: str | None = None) -> Imported:
    """Makes a knowledge base of the bundle at `path`, under `name` or the name it had.

    Raises `BadBundle` with the reason for a file that cannot be used, and `Conflict` when the name is taken; then
    nothing of it is left.
    """
    remove_abandoned(services)
    with open_bundle(path) as bundle:
        made = bundle.manifest.knowledge_base
        new = _checked(bundle, name)
        _require_free(services, scope, new.name)
        warnings = _warnings(services, bundle)
        row = KnowledgeBase(
            id=new_id(),
            workspace_id=STAGING,
            name=new_id(),
            language=new.language,
            generation_id=new_id(),
            settings=new.settings.model_dump(exclude_none=True, mode="json"),
        )
        generation = Generation(
            id=row.generation_id,
            knowledge_base_id=row.id,
            embedder=made.embedder,
            dimension=made.dimension,
            chunker_version=made.chunker_version,
            chunker=_chunker(bundle),
            switched_at=now(),
        )
        with staged(services, row, generation) as staging:
            paths = staging.write_files(bundle)
            documents = staging.write_documents(bundle, paths)
            staging.write_pages(bundle, documents)
            staging.write_passages(bundle, documents)
            documents.require_complete()
            staging.write_golden(bundle)
            staging.publish(scope, new.name)
        return Imported(row, warnings)


def remove_abandoned(services: Services) -> int:
    """Removes what importers that died have left; how many."""
    silent = KnowledgeBase.created_at < now() - ABANDONED_AFTER
    with services.database.read() as session:
        ids = session.scalars(select(KnowledgeBase.id).where(KnowledgeBase.workspace_id == STAGING, silent)).all()
    for id_ in ids:
        remove_staged(services, id_, silent)
    return len(ids)


def _checked(bundle: Bundle, name: str | None) -> NewKnowledgeBase:
    """What an admin could have asked for as well. Raises `BadBundle` for what this version does not allow."""
    made = bundle.manifest.knowledge_base
    try:
        settings = KnowledgeBaseSettings.model_validate(made.settings)
        new = NewKnowledgeBase(name=name or made.name, language=made.language, settings=settings)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"]))
        raise BadBundle(f"The knowledge base's {where} cannot be used here: {found['msg']}.") from error
    return new.model_copy(update={"name": checked_name(new.name)})


def _chunker(bundle: Bundle) -> dict[str, Any]:
    """The chunker's settings, for later uploads. Raises `BadBundle` for what this version does not allow."""
    try:
        change = ChunkerChange.model_validate(bundle.manifest.knowledge_base.chunker)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"]))
        raise BadBundle(f"The chunker's {where} cannot be used here: {found['msg']}.") from error
    return change.model_dump(exclude_none=True)


def _require_free(services: Services, scope: Scope, name: str) -> None:
    with services.database.read() as session:
        if session.scalar(scope.knowledge_base_query().where(KnowledgeBase.name == name)) is not None:
            raise name_is_taken(name)


def _warnings(services: Services, bundle: Bundle) -> list[str]:
    made, here = bundle.manifest.knowledge_base, services.embedder
    if (made.embedder, made.dimension) == (here.identity, here.dimension):
        return []
    return [
        f"Its vectors were made with {made.embedder} ({made.dimension} dimensions), but {here.identity} "
        f"({here.dimension}) is in use: nothing can be asked until ANSWERDESK_EMBEDDER__MODEL is the former, or all "
        "documents have been read again for the latter: `answerdesk kb rebuild NAME --embedder MODEL --switch`."
    ]
