"""The metrics of retrieval over ranked documents.

Owns the formulas. Documents are named by their external id; a grade above 0 means relevant.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from rag.types import Hit

RECALL_AT = (1, 5, 10)
NDCG_AT = (5, 10)


def ranked_documents(hits: Iterable[Hit]) -> dict[str, float]:
    """External id -> score, best first: each document at its best passage, near-duplicates right behind their hit."""
    ranked: dict[str, float] = {}
    for hit in hits:
        for external_id in (hit.passage.external_id, *(place.external_id for place in hit.also_at)):
            ranked.setdefault(external_id, hit.score)
    return ranked


def recall_at(documents: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Share of the relevant documents that are among the first `k`."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant.intersection(documents[:k])) / len(relevant)


def hit_at_1(documents: Sequence[str], grades: Mapping[str, int]) -> float:
    """1 when the first document is relevant, else 0."""
    return float(bool(documents) and grades.get(documents[0], 0) > 0)


def ndcg_at(documents: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Normalised discounted cumulative gain with linear gains, as trec_eval has it (Järvelin and Kekäläinen, 2002)."""
    gains = [max(grades.get(document, 0), 0) for document in documents[:k]]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k]
    return _discounted(gains) / _discounted(ideal)


def is_at(hit: Hit, documents: Sequence[str], pages: Sequence[int]) -> bool:
    """Whether a hit stands in one of the documents and, where pages are given, touches one of them."""
    places = [(hit.passage.external_id, hit.passage.spans), *((each.external_id, each.spans) for each in hit.also_at)]
    return any(
        external_id in documents and (not pages or any(span.page in pages for span in spans))
        for external_id, spans in places
    )


def _discounted(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
