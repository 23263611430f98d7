import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import BadEvaluationFile
from rag.evaluation.asking import Asked, Bench, Outcome, ask
from rag.evaluation.comparing import Baseline, compare, paired_interval, read_baseline, save
from rag.evaluation.figures import BETTER, figures_of, percentile, samples_of
from rag.evaluation.files import parse_golden, read_beir, read_golden, read_judgements, read_squad, squad_documents
from rag.evaluation.questions import Expected, GoldenQuestion, question_from, record_of
from rag.evaluation.retrieval import hit_at_1, ndcg_at, ranked_documents, recall_at
from rag.evaluation.wording import cited_sentences, own_text, token_f1, tokens
from rag.types import Answer, AnswerKind, Citation, Hit, Place, Question, Span, Turn
from tests.rag.corpus import passage

PAGE = "Keep it dry. Descaling takes 25 minutes. Then rinse it."
QUOTE = "Descaling takes 25 minutes."


class Found:
    def __init__(self, *hits: Hit) -> None:
        self.hits = hits
        self.searched_for = "descaling time"


class Desk:
    """A searcher and a chain that do as they are told, and note what they are asked."""

    def __init__(self, found: Found, answer: Answer) -> None:
        self.found, self.told = found, answer
        self.asked: list[Question] = []

    def search(self, question: str, **_: Any) -> Found:
        return self.found

    def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        return self.told


def hit(document: int, score: float, also_at: Sequence[int] = ()) -> Hit:
    places = tuple(Place(f"document-{other}", f"external-{other}", "", ()) for other in also_at)
    return Hit(passage(document, "text", page=1), score, {}, also_at=places)


def citation(quote: str = QUOTE, page: int = 1, external_id: str = "external-1") -> Citation:
    start = max(PAGE.find(quote), 0) or PAGE.index(QUOTE) * (quote not in PAGE)
    spans = (Span(page, start, start + len(quote)),)
    return Citation(1, "p", "d", 1, external_id, "Manual", (), spans, None, quote)


def answer(kind: AnswerKind, text: str = f"{QUOTE} [1]", *cited: Citation, confidence: float = 0.9) -> Answer:
    return Answer(kind, text, cited, (), "", "extractive", None, details={"confidence": confidence})


def asked_of(question: GoldenQuestion, told: Answer, *hits: Hit) -> Asked:
    desk = Desk(Found(*hits), told)
    return ask(Bench(desk, desk, lambda _, page: PAGE if page == 1 else None), question)


EXPECTS = GoldenQuestion("q", "How long does descaling take?", Expected(("external-1",), (), ("25 minutes",)))
SILENT = GoldenQuestion("s", "What does it cost?", None)


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


@pytest.mark.parametrize(
    ("answer_", "gold", "f1"),
    [
        ("Descaling takes the 25 MINUTES.", "25 minutes", 2 * 2 / (4 + 2)),
        ("除垢需要 25 分钟。", "25 分钟", 2 * 3 / (7 + 3)),
        ("never", "25 minutes", 0.0),
        ("DS-10，１００ mL", "DS-10, 100 mL", 1.0),
    ],
)
def test_overlap_counts_words_and_chinese_characters(answer_: str, gold: str, f1: float) -> None:
    assert token_f1(answer_, [gold, "something else"]) == pytest.approx(f1)
    assert tokens("LT-300除垢的时间") == ["lt", "300", *"除垢的时间"]


def test_what_the_product_says_itself_is_not_the_answer() -> None:
    text = (
        "I am not sure that this answers the question, but it may help. It has little.\n\nFrom *Care*, page 16:\n\n"
        "1. Empty the tray. Rinse it. [1]\n2. Fill it. [2]\n\nThat is all I know (not found in the cited pages: all)."
    )
    assert own_text(text) == "1. Empty the tray. Rinse it.\n2. Fill it.\n\nThat is all I know."
    assert cited_sentences(text, ["1. Empty the tray. Rinse it.", "2. Fill it."]) == (3, 4)
    assert cited_sentences("摘自*保养*第 3 页：\n\n除垢需要 25 分钟。[1]", ["除垢需要 25 分钟。"]) == (1, 1)


def test_outcomes_say_why() -> None:
    right = answer(AnswerKind.ANSWER, f"{QUOTE} [1]", citation())
    other = answer(AnswerKind.ANSWER, "Keep it dry. [1]", citation("Keep it dry."))
    refused = answer(AnswerKind.NOT_IN_MANUALS, "No.", confidence=0.1)
    assert asked_of(EXPECTS, right, hit(1, 0.9)).outcome is Outcome.PASSED
    assert asked_of(EXPECTS, right, hit(2, 0.9)).outcome is Outcome.PASSED
    assert asked_of(EXPECTS, other, hit(2, 0.9)).outcome is Outcome.NOT_RETRIEVED
    assert asked_of(EXPECTS, refused, hit(2, 0.9)).outcome is Outcome.NOT_RETRIEVED
    assert asked_of(EXPECTS, other, hit(1, 0.9)).outcome is Outcome.NOT_ANSWERED
    assert asked_of(EXPECTS, refused, hit(1, 0.9)).outcome is Outcome.REFUSED
    assert asked_of(SILENT, right, hit(1, 0.9)).outcome is Outcome.WRONGLY_ANSWERED
    assert asked_of(SILENT, refused, hit(1, 0.9)).outcome is Outcome.PASSED
    by_page = GoldenQuestion("p", "?", Expected(("external-1",), (1,)))
    assert asked_of(by_page, right, hit(1, 0.9)).outcome is Outcome.PASSED
    elsewhere = GoldenQuestion("p", "?", Expected(("external-1",), (7,)))
    assert asked_of(elsewhere, right, hit(1, 0.9)).outcome is Outcome.NOT_RETRIEVED


def test_a_quote_that_is_not_on_its_page_is_told() -> None:
    true, moved = citation(), citation("Descaling takes 26 minutes.")
    gone = citation(page=9)
    values = asked_of(EXPECTS, answer(AnswerKind.ANSWER, f"{QUOTE} [1]", true, moved, gone), hit(1, 0.9)).values
    assert values["citation_precision"] == pytest.approx(1 / 3)
    assert values["answer_contained"] == 1
    assert values["answer_f1"] == pytest.approx(2 * 2 / (4 + 2))


def test_figures_of_a_run_with_refusals_and_turns() -> None:
    right = answer(AnswerKind.ANSWER, f"{QUOTE} [1]", citation())
    later = GoldenQuestion("l", "And then?", EXPECTS.expected, (Turn("customer", "Descaling?"),))
    run = [
        asked_of(EXPECTS, right, hit(1, 0.9)),
        asked_of(later, answer(AnswerKind.NOT_IN_MANUALS, "No.", confidence=0.2), hit(2, 0.9), hit(1, 0.5)),
        asked_of(SILENT, answer(AnswerKind.UNCERTAIN, f"{QUOTE} [1]", citation(), confidence=0.4), hit(1, 0.9)),
    ]
    figures = figures_of(run, unjudged=2)
    values = figures.values
    assert (values["queries"], values["unjudged"], values["answerable"], values["later_turns"]) == (3, 2, 2, 1)
    assert (values["recall@1"], values["recall@5"], values["hit@1"]) == (0.5, 1, 0.5)
    assert (values["first_turns.hit@1"], values["later_turns.hit@1"]) == (1, 0)
    assert (values["false_answers"], values["false_sure_answers"], values["false_refusals"]) == (1, 0, 0.5)
    assert (values["answer_contained"], values["answer_words"]) == (0.5, 4)
    assert figures.outcomes == {"passed": 1, "refused": 1, "wrongly_answered": 1}
    assert [(p.false_answers, p.false_refusals) for p in figures.curve] == [(1, 0), (1, 0), (1, 0.5), (0, 0.5), (0, 1)]
    assert values["false_answers_at_5%_refusals"] == 1
    assert figures.intervals["hit@1"] == (0, 1)
    json.dumps(figures.as_json(), allow_nan=False)


def test_the_gate_tells_what_got_worse_beyond_the_tolerance(tmp_path: Path) -> None:
    right, wrong = (answer(AnswerKind.ANSWER, f"{quote} [1]", citation(quote)) for quote in (QUOTE, "Keep it dry."))
    questions = [GoldenQuestion(str(number), "?", EXPECTS.expected) for number in range(10)]
    good = [asked_of(each, right, hit(1, 0.9)) for each in questions]
    worse = [asked_of(each, wrong if each.id == "3" else right, hit(1, 0.9)) for each in questions]
    save(tmp_path / "baseline.json", figures_of(good), good)
    baseline = read_baseline(tmp_path / "baseline.json")
    now = figures_of(worse)
    fell = {change.figure for change in compare(baseline, now.values, samples_of(worse), 0.05) if change.is_worse}
    assert fell == {"passed", "answer_contained", "answer_contained_in_60_words", "answer_f1"}
    assert not [each for each in compare(baseline, now.values, samples_of(worse), 0.2) if each.is_worse]
    (passed,) = [each for each in compare(baseline, now.values, samples_of(worse), 0.0) if each.figure == "passed"]
    assert (passed.before, passed.now, passed.questions) == (1.0, 0.9, 10)
    assert passed.low is not None
    assert passed.low < -0.1
    assert passed.high == 0
    assert not [each for each in compare(baseline, figures_of(good).values, samples_of(good), 0.0) if each.is_worse]
    lost = {name: value for name, value in now.values.items() if name != "hit@1"}
    assert [each.figure for each in compare(Baseline(baseline.figures, {}), lost, {}, 0.2) if each.is_worse] == [
        "hit@1"
    ]


def test_every_figure_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs/quality.md").read_text(encoding="utf-8")
    assert [name for name in BETTER if f"`{name.partition('@')[0]}" not in page] == []


def test_fewer_false_answers_are_better() -> None:
    before = Baseline({"false_answers": 0.2, "answer_words": 10, "milliseconds_p50": 1}, {})
    (change,) = compare(before, {"false_answers": 0.4, "answer_words": 99}, {}, 0.1)
    assert change.is_worse
    assert not compare(before, {"false_answers": 0.1}, {}, 0.1)[0].is_worse


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_an_interval_holds_the_difference_of_the_means(pairs: list[tuple[float, float]]) -> None:
    before, now = zip(*pairs, strict=True)
    low, high = paired_interval(before, now)
    assert low <= high
    assert min(b - a for a, b in pairs) - 1e-9 <= low
    assert high <= max(b - a for a, b in pairs) + 1e-9


words = st.text(min_size=1, max_size=20).filter(str.strip).map(str.strip)


@given(
    st.builds(
        GoldenQuestion,
        id=words,
        text=words,
        expected=st.none()
        | st.builds(
            Expected,
            documents=st.lists(words, min_size=1, max_size=3).map(tuple),
            pages=st.lists(st.integers(1, 2000), max_size=3).map(tuple),
            answers=st.lists(words, max_size=3).map(tuple),
        ),
        history=st.lists(st.builds(Turn, st.sampled_from(["customer", "assistant"]), st.text(max_size=9))).map(tuple),
        filter=st.dictionaries(words, words, max_size=2),
    )
)
def test_a_question_written_and_read_is_the_same(question: GoldenQuestion) -> None:
    assert question_from(json.loads(json.dumps(record_of(question)))) == question


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1]", "a question is an object, not a list"),
        ("{", "not JSON"),
        ('{"question": " ", "expected": "not answerable"}', '"question" must be a text'),
        ('{"question": "x"}', '"expected" is missing'),
        ('{"question": "x", "expected": "unknown"}', "not answerable"),
        ('{"question": "x", "expected": {}}', 'needs a "document" or an "answer"'),
        ('{"question": "x", "expected": {"page": 1, "answer": "y"}}', 'needs the "document"'),
        ('{"question": "x", "expected": {"document": "d", "page": 0}}', "whole number from 1"),
        ('{"question": "x", "expected": {"document": "d", "pages": 1}}', "has no 'pages'"),
        ('{"question": "x", "expected": {"document": "d"}, "history": "y"}', "must be a list of turns"),
        ('{"question": "x", "expected": {"document": "d"}, "history": [5]}', 'a turn of "history"'),
        ('{"question": "x", "expected": {"document": "d"}, "history": [{"role": "me", "text": "y"}]}', "not 'me'"),
        ('{"question": "first", "expected": {"document": "d"}}', "there already"),
    ],
)
def test_a_bad_line_of_a_golden_file_is_named(line: str, says: str) -> None:
    first = '{"question": "first", "expected": {"document": "d"}}\n\n'
    with pytest.raises(BadEvaluationFile, match=r"golden\.jsonl, line 3: ") as raised:
        parse_golden(first + line + "\n", "golden.jsonl")
    assert says in str(raised.value)


def test_queries_and_judgements_belong_together(tmp_path: Path) -> None:
    queries, beir, trec = (tmp_path / name for name in ("q.jsonl", "beir.tsv", "trec.txt"))
    queries.write_text(
        '{"_id": "a", "text": "first?", "answer": "so", "language": "en"}\n\n'
        '{"_id": 7, "text": "second?", "history": ["earlier", {"role": "assistant", "text": "reply"}]}\n'
        '{"_id": "none", "text": "not judged"}\n'
    )
    beir.write_text("query-id\tcorpus-id\tscore\na\texternal-1\t1\n7\texternal-2\t1\n7\tx y\t1\n")
    trec.write_text("a 0 external-1 1\n7 0 external-2 1\n7 0 x 1\nnone 0 external-1 0\n")
    found, unjudged = read_beir(queries, beir)
    assert unjudged == 1
    assert found[0] == GoldenQuestion("a", "first?", Expected(("external-1",), (), ("so",)))
    assert found[1].expected == Expected(("external-2", "x y"))
    assert [turn.text for turn in found[1].history] == ["earlier", "reply"]
    assert [each.id for each in read_beir(queries, trec)[0]] == ["a", "7"]
    beir.write_text("other\texternal-1\t1\n")
    with pytest.raises(BadEvaluationFile, match="belong together"):
        read_beir(queries, beir)
    for content in ("a b 1\na b", "a b 1\na\tb\tmuch"):
        beir.write_text(content)
        with pytest.raises(BadEvaluationFile, match="line 2"):
            read_judgements(beir)
    queries.write_text('{"_id": 1, "text": "x"}\n{"text": "y"}')
    with pytest.raises(BadEvaluationFile, match="line 2"):
        read_beir(queries, trec)


def test_squad_becomes_documents_and_questions(tmp_path: Path) -> None:
    file = tmp_path / "squad.json"
    paragraph = {
        "context": "Blue is a colour.\u2028So is red.",
        "qas": [
            {"id": "1", "question": "What is blue?", "answers": [{"text": "a colour", "answer_start": 8}] * 2},
            {"id": "2", "question": "What is green?", "answers": [], "is_impossible": True},
        ],
    }
    file.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Red_and_blue", "paragraphs": [paragraph]}]}))
    found = read_squad(file)
    assert [each.expected for each in found.questions] == [Expected(("1-1",), (), ("a colour",)), None]
    (line,) = squad_documents(found)
    assert json.loads(line) == {"_id": "1-1", "title": "Red and blue", "text": paragraph["context"]}
    del paragraph["qas"][1]["answers"]  # type: ignore[attr-defined]
    file.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    with pytest.raises(BadEvaluationFile, match="article 1, paragraph 1, question 2"):
        read_squad(file)
    file.write_text("{\n\n[")
    with pytest.raises(BadEvaluationFile, match="line 3"):
        read_squad(file)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadEvaluationFile, match="No such file"):
        read_golden(tmp_path / "missing")
    (tmp_path / "gbk").write_bytes("中文".encode("gbk"))
    with pytest.raises(BadEvaluationFile, match="UTF-8"):
        read_judgements(tmp_path / "gbk")
    (tmp_path / "empty").write_text("\n\n")
    with pytest.raises(BadEvaluationFile, match="holds no questions"):
        read_golden(tmp_path / "empty")
    for content in ("{", '{"format": 9}', '{"format": 1, "figures": {"passed": "high"}}'):
        (tmp_path / "baseline").write_text(content)
        with pytest.raises(BadEvaluationFile, match="baseline"):
            read_baseline(tmp_path / "baseline")
