"""Small corpora for index tests, made from words so that a brute-force reference is easy."""

from collections.abc import Sequence

import numpy as np

from model_runtime.fakes import HashingEmbedder
from rag.types import NO_PAGE, Passage, Span, Vectors
from tests.fakes.passage_store import MemoryPassageStore

EMBEDDER = HashingEmbedder(dimension=32)


def passage(
    key: int,
    text: str,
    *,
    document: int | None = None,
    title: str = "",
    facets: dict[str, object] | None = None,
    windows: Sequence[tuple[int, int]] | None = None,
    page: int = NO_PAGE,
) -> Passage:
    """A passage that is its own document unless told otherwise, with one window that is all of it."""
    document = key if document is None else document
    return Passage(
        key=key,
        id=f"passage-{key}",
        document_key=document,
        document_id=f"document-{document}",
        document_version=1,
        external_id=f"external-{document}",
        title=title,
        heading_path=(),
        spans=(Span(page, 0, len(text)),),
        page_label=None,
        text=text,
        windows=tuple(windows if windows is not None else [(0, len(text))]),
        facets=facets or {},
    )


def vectors_of(passage: Passage) -> Vectors:
    texts = [passage.text, *(passage.text[start:end] for start, end in passage.windows)]
    return EMBEDDER.embed_passages(texts).astype(np.float16)


def add(store: MemoryPassageStore, *passages: Passage) -> None:
    store.add(passages, [vectors_of(one) for one in passages])
