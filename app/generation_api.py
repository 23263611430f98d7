"""Generations over HTTP. Owns the routes; what they do is `app.generations`."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app import generations
from app.bootstrap import ServicesOf
from app.generation_shapes import GenerationShape, NewGeneration
from app.scope import CallerScope

router = APIRouter(prefix="/api/knowledge-bases/{knowledge_base}/generations", tags=["generations"])


class GenerationList(BaseModel):
    """Newest first."""

    generations: list[GenerationShape]


@router.get("")
def get_generations(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> GenerationList:
    """Lists what was and is made of the documents: which embedder and chunker, which one answers, how far one is."""
    return GenerationList(generations=generations.list_generations(services, scope, knowledge_base))


@router.post("", status_code=202)
def post_generation(
    knowledge_base: str, new: NewGeneration, services: ServicesOf, scope: CallerScope
) -> GenerationShape:
    """Reads all documents again with another embedder or chunker, beside the generation that answers."""
    return generations.build_generation(services, scope, knowledge_base, new)


@router.get("/{generation}")
def get_one_generation(
    knowledge_base: str, generation: str, services: ServicesOf, scope: CallerScope
) -> GenerationShape:
    """One generation, by id or number."""
    return generations.get_generation(services, scope, knowledge_base, generation)


@router.post("/{generation}/activate")
def post_generation_activate(
    knowledge_base: str, generation: str, services: ServicesOf, scope: CallerScope
) -> GenerationShape:
    """Lets a generation answer: at once when it has every document, else as soon as it has."""
    return generations.activate_generation(services, scope, knowledge_base, generation)


@router.post("/{generation}/retry")
def post_generation_retry(
    knowledge_base: str, generation: str, services: ServicesOf, scope: CallerScope
) -> GenerationShape:
    """Reads the documents again that could not be read for it."""
    return generations.retry_generation(services, scope, knowledge_base, generation)


@router.delete("/{generation}", status_code=204)
def delete_generation(knowledge_base: str, generation: str, services: ServicesOf, scope: CallerScope) -> Response:
    """Drops a generation that does not answer, with its passages, vectors and index."""
    generations.drop_generation(services, scope, knowledge_base, generation)
    return Response(status_code=204)
