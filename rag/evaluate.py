"""Measures retrieval: queries and judgements in, figures out.

Owns the metrics and the file formats. Documents are named by their external id. Does not know where the retriever
gets its hits, nor how figures are printed.
"""

import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rag.errors import BadEvaluationFile
from rag.retriever import SearchResult
from rag.types import Hit, Turn

RECALL_AT = (1, 5, 10)
NDCG_AT = (5, 10)

Judgements = Mapping[str, Mapping[str, int]]
"""Query id -> external id -> grade; above 0 is relevant."""


class Searches(Protocol):
    """What is measured; `rag.retriever.HybridRetriever` is one."""

    def search(self, question: str, *, top_k: int, history: Sequence[Turn]) -> SearchResult: ...


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it is asked in the evaluation, after the turns in `history`."""

    id: str
    text: str
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEntry:
    """What one query found: external ids and scores, best first, each document once."""

    query_id: str
    documents: tuple[str, ...]
    scores: tuple[float, ...]
    searched_for: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Means over `queries` judged queries; `unjudged` ones had no relevant document and were not asked.

    recall and ndcg are by cut-off; `milliseconds` are retrieval times per query by percentile (50, 95), the
    embedding of the question included.
    """

    queries: int
    unjudged: int
    top_k: int
    recall: Mapping[int, float]
    hit_at_1: float
    ndcg: Mapping[int, float]
    milliseconds: Mapping[int, float]
    run: tuple[RunEntry, ...]


def evaluate(
    retriever: Searches,
    queries: Sequence[Query],
    judgements: Judgements,
    top_k: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationReport:
    """Asks every judged query and compares what it finds with the judgements.

    A cut-off beyond `top_k` is measured on the `top_k` passages there are. Raises `BadEvaluationFile` when no query
    is judged, and what the retriever raises.
    """
    judged = [query for query in queries if any(grade > 0 for grade in judgements.get(query.id, {}).values())]
    if not judged:
        raise BadEvaluationFile("none of the queries has a relevant document: do both files belong together?")
    run = []
    for number, query in enumerate(judged, start=1):
        run.append(_asked(retriever, query, top_k))
        if progress:
            progress(number, len(judged))
    found = [(entry.documents, judgements[entry.query_id]) for entry in run]
    return EvaluationReport(
        queries=len(judged),
        unjudged=len(queries) - len(judged),
        top_k=top_k,
        recall={k: _mean(recall_at(documents, grades, k) for documents, grades in found) for k in RECALL_AT},
        hit_at_1=_mean(hit_at_1(documents, grades) for documents, grades in found),
        ndcg={k: _mean(ndcg_at(documents, grades, k) for documents, grades in found) for k in NDCG_AT},
        milliseconds={p: percentile([entry.milliseconds for entry in run], p) for p in (50, 95)},
        run=tuple(run),
    )


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


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest values."""
    return float(np.percentile(values, percent))


def read_queries(path: Path) -> list[Query]:
    """JSONL of `{"_id", "text", "history"?}`; a turn is a text (the customer's) or `{"role", "text", "cited"?}`.

    Raises `BadEvaluationFile` with the line that is wrong.
    """
    queries = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            turns = tuple(_turn(turn) for turn in record.get("history") or ())
            queries.append(Query(str(record["_id"]), str(record["text"]), turns))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadEvaluationFile(
                f'{path}, line {number}: expected {{"_id": ..., "text": ..., "history": [...]}} ({error!r})'
            ) from error
    return queries


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Tab- or blank-separated judgements, as BEIR (`query-id corpus-id score`, with that header) or TREC
    (`query 0 document grade`) has them. Raises `BadEvaluationFile` with the line that is wrong.
    """
    judgements: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(path), start=1):
        # Ids may hold blanks where tabs separate.
        columns = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE), []) if "\t" in line else line.split()
        if not columns or (number == 1 and columns[0] == "query-id"):
            continue
        try:
            query, document, grade = columns if len(columns) == 3 else (columns[0], *columns[2:])
            judgements.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            raise BadEvaluationFile(
                f"{path}, line {number}: expected query, document and a whole number, or TREC's four columns"
            ) from error
    return judgements


def _asked(retriever: Searches, query: Query, top_k: int) -> RunEntry:
    began = time.perf_counter()
    result = retriever.search(query.text, top_k=top_k, history=query.history)
    milliseconds = 1000 * (time.perf_counter() - began)
    ranked = ranked_documents(result.hits)
    return RunEntry(query.id, tuple(ranked), tuple(ranked.values()), result.searched_for, milliseconds)


def _turn(turn: object) -> Turn:
    if isinstance(turn, str):
        return Turn("customer", turn)
    if not isinstance(turn, dict):
        raise TypeError(f"a turn is a text or an object, not {turn!r}")
    return Turn(str(turn.get("role", "customer")), str(turn["text"]), tuple(turn.get("cited") or ()))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadEvaluationFile(f"{path} is not a text in UTF-8") from error
    except OSError as error:
        raise BadEvaluationFile(f"{path} cannot be read: {error.strerror}") from error


def _discounted(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
