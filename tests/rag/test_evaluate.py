import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag.errors import BadEvaluationFile
from rag.evaluate import (
    Query,
    evaluate,
    hit_at_1,
    ndcg_at,
    percentile,
    ranked_documents,
    read_judgements,
    read_queries,
    recall_at,
)
from rag.retriever import SearchResult
from rag.types import Hit, Place, Turn
from tests.rag.corpus import passage


def hit(document: int, score: float, also_at: Sequence[int] = ()) -> Hit:
    places = tuple(Place(f"document-{other}", f"external-{other}", "", ()) for other in also_at)
    return Hit(passage(document, "text"), score, {}, also_at=places)


def test_metrics_by_hand() -> None:
    grades = {"a": 2, "b": 1, "c": 1, "d": 0}
    ranked = ["d", "a", "x", "b"]
    assert [recall_at(ranked, grades, k) for k in (1, 2, 4)] == [0, 1 / 3, 2 / 3]
    assert hit_at_1(ranked, grades) == 0
    assert hit_at_1(["a"], grades) == 1
    assert hit_at_1([], grades) == 0
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at(ranked, grades, 5) == pytest.approx((2 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert ndcg_at(["a", "c", "b"], grades, 5) == pytest.approx(1)
    assert percentile([1, 2, 3, 4], 50) == 2.5


def test_a_document_counts_once_and_duplicates_follow_their_hit() -> None:
    hits = [hit(1, 0.9, also_at=[5]), hit(2, 0.8), hit(1, 0.7), hit(5, 0.6), hit(3, 0.5)]
    assert ranked_documents(hits) == {
        "external-1": 0.9, "external-5": 0.9, "external-2": 0.8, "external-3": 0.5,
    }  # fmt: skip


class Scripted:
    asked: list[tuple[str, int, tuple[str, ...]]]

    def __init__(self) -> None:
        self.asked = []

    def search(self, question: str, *, top_k: int, history: Sequence[Turn]) -> SearchResult:
        self.asked.append((question, top_k, tuple(turn.text for turn in history)))
        return SearchResult((hit(1, 0.9), hit(2, 0.5)), question + "!", np.zeros(2, np.float32))


def test_a_run_from_files_to_figures(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(
        '{"_id": "a", "text": "first?"}\n\n'
        '{"_id": 7, "text": "second?", "history": ["earlier", {"role": "assistant", "text": "reply"}]}\n'
        '{"_id": "none", "text": "not judged"}\n'
    )
    (tmp_path / "beir.tsv").write_text("query-id\tcorpus-id\tscore\na\texternal-1\t1\n7\texternal-2\t1\n7\tx y\t1\n")
    (tmp_path / "trec.txt").write_text("a 0 external-1 1\n7 0 external-2 1\n7 0 x 1\nnone 0 external-1 0\n")
    queries = read_queries(tmp_path / "q.jsonl")
    assert queries[1] == Query("7", "second?", (Turn("customer", "earlier"), Turn("assistant", "reply")))
    steps: list[tuple[int, int]] = []
    for name in ("beir.tsv", "trec.txt"):
        retriever = Scripted()
        report = evaluate(retriever, queries, read_judgements(tmp_path / name), 10, lambda *step: steps.append(step))
        assert retriever.asked == [("first?", 10, ()), ("second?", 10, ("earlier", "reply"))]
        assert (report.queries, report.unjudged, report.hit_at_1) == (2, 1, 0.5)
        assert report.recall == {1: 0.5, 5: 0.75, 10: 0.75}
        assert report.ndcg[5] == pytest.approx((1 + (1 / math.log2(3)) / (1 + 1 / math.log2(3))) / 2)
        assert report.milliseconds[95] >= report.milliseconds[50] > 0
        assert report.run[0].documents == ("external-1", "external-2")
        assert report.run[0].searched_for == "first?!"
    assert steps == [(1, 2), (2, 2)] * 2


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ('{"_id": 1, "text": "x"}\n{"text": "y"}', read_queries),
        ("\n[1]", read_queries),
        ('\n{"_id": 1, "text": "x", "history": [5]}', read_queries),
        ("a b 1\na b", read_judgements),
        ("a b 1\na\tb\tmuch", read_judgements),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, read) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text(content)
    with pytest.raises(BadEvaluationFile, match="line 2"):
        read(tmp_path / "file")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadEvaluationFile, match="No such file"):
        read_queries(tmp_path / "missing")
    (tmp_path / "gbk").write_bytes("中文".encode("gbk"))
    with pytest.raises(BadEvaluationFile, match="UTF-8"):
        read_judgements(tmp_path / "gbk")
    with pytest.raises(BadEvaluationFile, match="belong together"):
        evaluate(Scripted(), [Query("a", "x")], {"b": {"c": 1}})
