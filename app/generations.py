"""Generations: build one beside the one that answers, switch, go back, drop.

Owns what an admin can do with generations. What is told of them is in `app.generation_shapes`, the rules are in
`app.generation_state`, the work is a worker's (`app.generation_build`). Knows no HTTP.
"""

import logging
import shutil
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from app import files
from app.bootstrap import Services
from app.errors import BadRequest, Conflict, NotFound
from app.generation_shapes import ChunkerChange, GenerationShape, NewGeneration, shape_of
from app.generation_state import (
    FOLLOWED,
    GenerationStatus,
    enqueue_missing,
    failure_count,
    forget_failures,
    lacks_any,
    locked,
    set_building,
    switch,
)
from app.models import Generation, GenerationDocument, Job, KnowledgeBase, Page, Passage, now
from app.open_generations import CLOSED_AFTER_S, chunker_of
from app.scope import Scope
from ingestion.chunker import CHUNKER_VERSION, Chunker, ChunkerSettings
from model_runtime.embedder import Embedder
from model_runtime.model_folder import DEFAULT_MODELS

_LOG = logging.getLogger(__name__)

_DOCUMENTS_AT_ONCE = 50  # in one transaction of a removal; a long one has some thousands of passages


def list_generations(services: Services, scope: Scope, id_or_name: str) -> list[GenerationShape]:
    """All that have not been dropped, newest first."""
    with services.database.read() as session:
        row = scope.knowledge_base(session, id_or_name)
        query = select(Generation).where(
            Generation.knowledge_base_id == row.id, Generation.status != GenerationStatus.DROPPING
        )
        return [shape_of(services, session, each) for each in session.scalars(query.order_by(Generation.number.desc()))]


def get_generation(services: Services, scope: Scope, id_or_name: str, generation: str) -> GenerationShape:
    with services.database.read() as session:
        return shape_of(services, session, _find(session, scope, id_or_name, generation))


def build_generation(services: Services, scope: Scope, id_or_name: str, new: NewGeneration) -> GenerationShape:
    """Begins a generation beside the one that answers; a worker reads every document again for it.

    Raises `BadRequest` for an embedder or settings that cannot be used and `Conflict` while another is being built;
    then nothing has been begun.
    """
    with services.database.read() as session:
        answers = scope.knowledge_base(session, id_or_name).generation
    model, embedder = _embedder(services, answers, new.embedder)
    chunker = _chunker(services, answers, new.chunker, embedder)
    with services.database.write() as session:
        knowledge_base, _ = locked(session, answers.id, answers.knowledge_base_id)
        _require_none_under_way(session, knowledge_base)
        newest = select(func.max(Generation.number)).where(Generation.knowledge_base_id == knowledge_base.id)
        row = Generation(
            knowledge_base_id=knowledge_base.id,
            number=(session.scalar(newest) or 0) + 1,
            status=GenerationStatus.BUILDING,
            change=knowledge_base.change,
            embedder=embedder.identity,
            embedder_model=model,
            dimension=embedder.dimension,
            chunker_version=CHUNKER_VERSION,
            chunker=asdict(chunker),
            switch_when_ready=new.switch_when_ready,
            building_since=now(),
        )
        session.add(row)
        session.flush()
        enqueue_missing(session, row)
        return shape_of(services, session, row)


def activate_generation(services: Services, scope: Scope, id_or_name: str, generation: str) -> GenerationShape:
    """Lets a generation answer: at once when it has every document, else as soon as a worker has brought it there.

    Raises `Conflict` when it answers already, cannot be asked here, or could not read every document.
    """
    with services.database.read() as session:
        wanted = _find(session, scope, id_or_name, generation)
    if wanted.status in (GenerationStatus.READY, GenerationStatus.RETIRED):
        services.embedders.of(wanted)
        services.generations.index(wanted).refresh(services.generations.store(wanted))  # not while others wait
    with services.database.write() as session:
        knowledge_base, row = locked(session, wanted.id, wanted.knowledge_base_id)
        released = _activate(session, knowledge_base, row)
        shape = shape_of(services, session, row)
    files.release(services.database, services.settings.files_folder, row.knowledge_base_id, released)
    return shape


def retry_generation(services: Services, scope: Scope, id_or_name: str, generation: str) -> GenerationShape:
    """Reads the documents again that could not be read for it. Raises `Conflict` when there are none."""
    with services.database.read() as session:
        wanted = _find(session, scope, id_or_name, generation)
    with services.database.write() as session:
        _, row = locked(session, wanted.id, wanted.knowledge_base_id)
        if row.status not in FOLLOWED or not failure_count(session, row):
            raise Conflict(f"There is nothing to try again for generation {row.number}.", {"generation": row.id})
        forget_failures(session, row)
        set_building(session, row)
        released = enqueue_missing(session, row)
        shape = shape_of(services, session, row)
    files.release(services.database, services.settings.files_folder, row.knowledge_base_id, released)
    return shape


def drop_generation(services: Services, scope: Scope, id_or_name: str, generation: str) -> None:
    """Deletes a generation with its passages, vectors and index. Raises `Conflict` for the one that answers."""
    with services.database.read() as session:
        wanted = _find(session, scope, id_or_name, generation)
    with services.database.write() as session:
        knowledge_base, row = locked(session, wanted.id, wanted.knowledge_base_id)
        if knowledge_base.generation_id == row.id:
            raise Conflict(
                f"Generation {row.number} is the one that answers; let another answer before you drop it, or delete "
                "the knowledge base.",
                {"generation": row.id},
            )
        session.execute(update(Generation).where(Generation.id == row.id).values(status=GenerationStatus.DROPPING))
        jobs = delete(Job).where(Job.generation_id == row.id).returning(Job.source_path)
        released = list(session.scalars(jobs))
    files.release(services.database, services.settings.files_folder, wanted.knowledge_base_id, released)
    finish_drop(services, wanted)
    tidy_up(services)


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


def dropping(services: Services) -> list[Generation]:
    """Those whose removal has begun and not ended."""
    with services.database.read() as session:
        return list(session.scalars(select(Generation).where(Generation.status == GenerationStatus.DROPPING)))


def open_ready(services: Services) -> None:
    """Opens generations before they answer, so that the first question need not wait; closes those that rest.

    For processes that answer questions, every second or so. Raises `Conflict` or `RagError` for one that cannot be
    opened.
    """
    with services.database.read() as session:
        query = select(Generation).where(Generation.status == GenerationStatus.READY)
        ready = list(session.scalars(query))
    tidy_up(services)
    for generation in ready:
        services.embedders.of(generation)
        services.generations.index(generation).refresh(services.generations.store(generation))


def tidy_up(services: Services) -> None:
    """Closes generations that have not answered for a while, and lets go of embedders that nobody needs."""
    lately = now() - timedelta(seconds=CLOSED_AFTER_S)
    rests = or_(Generation.status == GenerationStatus.DROPPING, _retired_before(lately))
    with services.database.read() as session:
        rows = session.execute(select(Generation.id, Generation.embedder).where(~rests)).all()
    services.generations.keep_only({row.id for row in rows})
    services.embedders.keep_only({row.embedder for row in rows})


def _retired_before(moment: datetime) -> Any:
    return (Generation.status == GenerationStatus.RETIRED) & (Generation.switched_at < moment)


def _find(session: Session, scope: Scope, id_or_name: str, generation: str) -> Generation:
    knowledge_base = scope.knowledge_base(session, id_or_name)
    named = [Generation.id == generation]
    if generation.isascii() and generation.isdigit() and len(generation) < 9:
        named.append(Generation.number == int(generation))
    query = select(Generation).where(
        Generation.knowledge_base_id == knowledge_base.id,
        Generation.status != GenerationStatus.DROPPING,
        or_(*named),
    )
    found = session.scalars(query).first()
    if found is None:
        raise NotFound(
            f"{knowledge_base.name!r} has no generation {generation!r}; `answerdesk kb generations` lists them.",
            {"knowledge_base": knowledge_base.id, "generation": generation},
        )
    return found


def _embedder(services: Services, answers: Generation, wanted: str | None) -> tuple[str, Embedder]:
    """The name under which it is loaded later, and the embedder."""
    if wanted is not None:
        model = "" if wanted in DEFAULT_MODELS else wanted
        embedder = services.embedders.named(model)
        folder = Path(model)
        return (str(folder.resolve()) if model and folder.is_dir() else model), embedder  # workers start elsewhere
    embedder = services.embedders.of(answers)
    own_model = services.embedders.own_model
    return answers.embedder_model or (own_model if embedder is services.embedders.own else ""), embedder


def _chunker(services: Services, answers: Generation, change: ChunkerChange, embedder: Embedder) -> ChunkerSettings:
    """Raises `BadRequest` for settings that leave a passage no room."""
    chunker = replace(chunker_of(answers, services.chunker_settings), **change.model_dump(exclude_none=True))
    try:
        Chunker(embedder, chunker)
    except ValueError as error:
        raise BadRequest(f"Documents cannot be cut like this: {error}.", {"chunker": asdict(chunker)}) from error
    return chunker


def _require_none_under_way(session: Session, knowledge_base: KnowledgeBase, besides: str = "") -> None:
    query = select(Generation).where(
        Generation.knowledge_base_id == knowledge_base.id, Generation.status.in_(FOLLOWED), Generation.id != besides
    )
    other = session.scalars(query).first()
    if other is not None:
        raise Conflict(
            f"Generation {other.number} of {knowledge_base.name!r} is {other.status} and does not answer yet: let it "
            "answer, or drop it, before another is built.",
            {"generation": other.id, "number": other.number, "status": other.status},
        )


def _activate(session: Session, knowledge_base: KnowledgeBase, row: Generation) -> list[str]:
    """Switches now, or notes that it is to be done. Returns the paths of files that jobs no longer name."""
    match row.status:
        case GenerationStatus.ACTIVE:
            raise Conflict(f"Generation {row.number} answers already.", {"generation": row.id})
        case GenerationStatus.DROPPING:
            raise Conflict(f"Generation {row.number} is being dropped.", {"generation": row.id})
        case GenerationStatus.FAILED:
            raise Conflict(f"Generation {row.number} is not complete. {row.message}", {"generation": row.id})
        case GenerationStatus.READY | GenerationStatus.RETIRED if not _is_incomplete(session, row):
            return switch(session, knowledge_base, row)
    _require_none_under_way(session, knowledge_base, besides=row.id)
    if row.status != GenerationStatus.BUILDING:
        set_building(session, row)
    session.execute(update(Generation).where(Generation.id == row.id).values(switch_when_ready=True))
    session.refresh(row)
    return enqueue_missing(session, row)


def _is_incomplete(session: Session, generation: Generation) -> bool:
    return lacks_any(session, generation) or failure_count(session, generation) > 0
