"""What processes do about generations without being asked: open those that will answer, close and remove the others.

Owns what is kept open, and the removal of what was dropped. What an admin can do with generations is in
`app.generations`; who calls this, and when, is `app.warm_up`'s and `app.upkeep`'s.
"""

import logging
import shutil
from datetime import timedelta

from sqlalchemy import delete, or_, select

from app.bootstrap import Services
from app.errors import ServiceError
from app.generation_state import GenerationStatus
from app.models import Generation, GenerationDocument, KnowledgeBase, Page, Passage, now
from app.open_generations import CLOSED_AFTER_S
from rag.errors import RagError

_LOG = logging.getLogger(__name__)

_DOCUMENTS_AT_ONCE = 50  # in one transaction of a removal; a long one has some thousands of passages
_COMING = (GenerationStatus.BUILDING, GenerationStatus.READY)


def open_coming(services: Services) -> dict[str, str]:
    """Opens what will answer, so that the first question need not wait; closes what rests. What it could not open.

    The embedder of a generation while it is being built, its index when it is ready. For processes that answer
    questions, every second or so. The problems are by knowledge base and number, as people name a generation.
    """
    query = (
        select(Generation, KnowledgeBase.name)
        .join(KnowledgeBase, KnowledgeBase.id == Generation.knowledge_base_id)
        .where(Generation.status.in_(_COMING))
    )
    with services.database.read() as session:
        coming = session.execute(query).all()
    tidy_up(services)
    problems = {}
    for generation, name in coming:
        try:
            services.embedders.of(generation)
            if generation.status == GenerationStatus.READY:
                services.generations.index(generation).refresh(services.generations.store(generation))
        except (ServiceError, RagError, OSError) as error:
            problems[f"{name}, generation {generation.number}"] = f"It cannot be opened here: {error}"
    return problems


def tidy_up(services: Services) -> None:
    """Closes generations that have not answered for a while, and lets go of embedders that nobody needs."""
    lately = now() - timedelta(seconds=CLOSED_AFTER_S)
    rests_long = (Generation.status == GenerationStatus.RETIRED) & (Generation.switched_at < lately)
    rests = or_(Generation.status == GenerationStatus.DROPPING, rests_long)
    with services.database.read() as session:
        rows = session.execute(select(Generation.id, Generation.embedder).where(~rests)).all()
    services.generations.keep_only({row.id for row in rows})
    services.embedders.keep_only({row.embedder for row in rows})


def dropping(services: Services) -> list[Generation]:
    """Those whose removal has begun and not ended."""
    with services.database.read() as session:
        return list(session.scalars(select(Generation).where(Generation.status == GenerationStatus.DROPPING)))


def finish_drop(services: Services, generation: Generation) -> None:
    """Removes all that is left of a generation, in small transactions. May be called again after a crash."""
    services.generations.close(generation.id)
    of_generation = GenerationDocument.generation_id == generation.id
    while True:
        with services.database.write() as session:
            some = select(GenerationDocument.document_key).where(of_generation).limit(_DOCUMENTS_AT_ONCE)
            keys = session.scalars(some).all()
            for table in (Passage, Page, GenerationDocument):
                of_documents = (table.generation_id == generation.id, table.document_key.in_(keys))
                session.execute(delete(table).where(*of_documents))
            if not keys:
                session.execute(delete(Passage).where(Passage.generation_id == generation.id))
                session.execute(delete(Generation).where(Generation.id == generation.id))
                break
    folder = services.generations.folder(generation.knowledge_base_id, generation.id)
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return  # no snapshot was ever written, or somebody else was at it as well
    except OSError as error:  # a worker may just be writing there; an idle one removes it later
        _LOG.warning("%s of a dropped generation could not be removed yet: %s", folder, error)
