"""Generations: build one beside the one that answers, switch, go back, drop.

Owns what an admin can do with generations. What is told of them is in `app.generation_shapes`, the rules are in
`app.generation_state`, the work is a worker's (`app.generation_build`, `app.generation_upkeep`). Knows no HTTP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

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
from app.generation_upkeep import tidy_up
from app.models import Generation, Job, KnowledgeBase, now
from app.open_generations import chunker_of
from app.scope import Scope
from ingestion.chunker import CHUNKER_VERSION, Chunker, ChunkerSettings
from model_runtime.embedder import Embedder
from model_runtime.model_folder import DEFAULT_MODELS


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
    with _locked(services, scope, wanted.knowledge_base_id, wanted.id) as (session, knowledge_base, row, released):
        released += _activate(session, knowledge_base, row)
        return shape_of(services, session, row)


def retry_generation(services: Services, scope: Scope, id_or_name: str, generation: str) -> GenerationShape:
    """Reads the documents again that could not be read for it. Raises `Conflict` when there are none."""
    with _locked(services, scope, id_or_name, generation) as (session, _, row, released):
        if row.status not in FOLLOWED or not failure_count(session, row):
            raise Conflict(f"There is nothing to try again for generation {row.number}.", {"generation": row.id})
        forget_failures(session, row)
        set_building(session, row)
        released += enqueue_missing(session, row)
        return shape_of(services, session, row)


def drop_generation(services: Services, scope: Scope, id_or_name: str, generation: str) -> Generation:
    """From now on a generation is gone; a worker removes its passages, vectors and index when it has time.

    `app.generation_upkeep.finish_drop` does that with the returned row. Raises `Conflict` for the one that answers.
    """
    with _locked(services, scope, id_or_name, generation) as (session, knowledge_base, row, released):
        if knowledge_base.generation_id == row.id:
            raise Conflict(
                f"Generation {row.number} is the one that answers; let another answer before you drop it, or delete "
                "the knowledge base.",
                {"generation": row.id},
            )
        session.execute(update(Generation).where(Generation.id == row.id).values(status=GenerationStatus.DROPPING))
        jobs = delete(Job).where(Job.generation_id == row.id).returning(Job.source_path)
        released += session.scalars(jobs)
    tidy_up(services)
    return row


@contextmanager
def _locked(
    services: Services, scope: Scope, id_or_name: str, generation: str
) -> Iterator[tuple[Session, KnowledgeBase, Generation, list[str]]]:
    """A transaction with both rows locked. Paths that are put into the list are of files that jobs no longer name."""
    with services.database.read() as session:
        wanted = _find(session, scope, id_or_name, generation)
    released: list[str] = []
    with services.database.write() as session:
        knowledge_base, row = locked(session, wanted.id, wanted.knowledge_base_id)
        yield session, knowledge_base, row, released
    files.release(services.database, services.settings.files_folder, wanted.knowledge_base_id, released)


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
