"""The confidence model: what makes an answer surer, and that it needs nothing but the hits."""

from dataclasses import replace
from itertools import pairwise

import pytest

from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.extractive.confidence import FEATURES, SENTENCE_COVERAGE, fitted_model
from rag.types import AnswerKind, Finished, Hit, Question
from tests.rag.answering import FakeFound, hit

QUESTION = "How many litres does the kettle hold?"
ANSWERING = "The kettle holds 1.7 litres of water."
OTHERS = [
    hit(f"The lamp number {n} is red and the cable is black.", best=0.76, key=n, heading_path=["Lamp"])
    for n in range(2, 9)
]


def confidence(*hits: Hit) -> float:
    *_, last = ExtractiveAnswerer().answer(Question(QUESTION), FakeFound(hits, QUESTION))
    assert isinstance(last, Finished)
    value = last.answer.details["confidence"]
    assert isinstance(value, float)
    return value


def test_a_near_window_a_lead_and_the_questions_words_each_make_it_surer() -> None:
    rising = [
        confidence(hit("The lamp is red.", best=0.78), *OTHERS),
        confidence(hit(ANSWERING, best=0.82), *OTHERS),
        confidence(hit(ANSWERING, best=0.93), *OTHERS),
    ]
    assert all(first < second for first, second in pairwise(rising))
    rivals = [hit(ANSWERING.replace("1.7", str(n)), best=0.92, key=n, heading_path=["More"]) for n in range(2, 9)]
    assert confidence(hit(ANSWERING, best=0.93), *rivals) < rising[-1]


def test_a_clear_answer_is_given_and_a_stranger_refused_with_few_and_with_many_hits() -> None:
    kinds = {}
    for number in (0, 1, 7):
        for name, first in (("clear", hit(ANSWERING, best=0.93)), ("stranger", hit("The lamp is red.", best=0.76))):
            *_, last = ExtractiveAnswerer().answer(Question(QUESTION), FakeFound([first, *OTHERS[:number]], QUESTION))
            assert isinstance(last, Finished)
            kinds[name, number] = last.answer.kind
    assert {kind for (name, _), kind in kinds.items() if name == "clear"} == {AnswerKind.ANSWER}
    assert {kind for (name, _), kind in kinds.items() if name == "stranger"} == {AnswerKind.NOT_IN_MANUALS}


def test_passages_of_the_same_section_and_translations_are_no_rivals() -> None:
    clear = hit(ANSWERING, best=0.9)
    same = hit("The kettle also boils milk.", best=0.9, score=2.0, key=20)
    chinese = hit("水壶可以装一点七升水。", best=0.9, score=2.0, key=21, heading_path=["容量"])
    stranger = replace(same, passage=replace(same.passage, heading_path=("Boiling",)))
    assert confidence(clear, same, chinese, *OTHERS) == pytest.approx(confidence(clear, *OTHERS), abs=0.05)
    assert confidence(clear, stranger, *OTHERS) < confidence(clear, same, *OTHERS)


def test_a_row_with_the_code_asked_for_makes_it_surer_and_a_code_that_is_nowhere_less_sure() -> None:
    codes = (
        "The display shows an error code.\nCode | Meaning | Remedy\nE-41 | Lid open | Close it\nE-42 | Dry | Fill it"
    )
    values = {}
    for code in ("E-42", "E-99"):
        question = f"What does error {code} mean?"
        *_, last = ExtractiveAnswerer().answer(Question(question), FakeFound([hit(codes, best=0.83)], question))
        assert isinstance(last, Finished)
        values[code] = last.answer.kind
    assert values == {"E-42": AnswerKind.ANSWER, "E-99": AnswerKind.NOT_IN_MANUALS}


def test_a_passage_without_windows_can_be_judged() -> None:
    bare = Hit(hit(ANSWERING).passage, 1.0, {}, ())
    assert 0 < confidence(bare) < 1


@pytest.mark.parametrize(
    ("refuse", "doubt", "kind"), [(0.0, 0.0, "answer"), (0.0, 1.1, "uncertain"), (1.1, 1.1, "not_in_manuals")]
)
def test_thresholds_are_settings(refuse: float, doubt: float, kind: str) -> None:
    answerer = ExtractiveAnswerer(ExtractiveSettings(refuse_below=refuse, doubt_below=doubt))
    *_, last = answerer.answer(Question(QUESTION), FakeFound([hit(ANSWERING)], QUESTION))
    assert isinstance(last, Finished)
    assert last.answer.kind == kind


def test_thresholds_follow_the_wanted_rate_of_errors_and_only_one_wish_decides() -> None:
    model = fitted_model()
    rates = [0.0, 0.01, 0.03, 0.1, 0.5]
    by_refusals = [ExtractiveSettings(false_refusals=rate).thresholds(model)[0] for rate in rates]
    assert by_refusals == sorted(by_refusals)
    assert by_refusals[0] == 0.0 < by_refusals[2] < by_refusals[-1]
    by_answers = [ExtractiveSettings(false_answers=rate).thresholds(model)[0] for rate in rates]
    assert by_answers == sorted(by_answers, reverse=True)
    assert by_answers[0] == 1.0
    for threshold in model.thresholds:
        assert model.for_false_refusals(threshold.false_refusals) == threshold.probability
    with pytest.raises(ValueError, match="each of them decides alone"):
        ExtractiveSettings(refuse_below=0.1, false_answers=0.1)


def test_a_name_and_a_number_that_the_passage_lacks_make_it_less_sure() -> None:
    def sure(question: str) -> float:
        found = FakeFound([hit(ANSWERING, best=0.88), *OTHERS], question)
        *_, last = ExtractiveAnswerer().answer(Question(question), found)
        assert isinstance(last, Finished)
        value = last.answer.details["confidence"]
        assert isinstance(value, float)
        return value

    plain, named, numbered = (
        sure(f"How many litres of water does the kettle {more} hold?") for more in ("always", "of Braun", "number 77")
    )
    assert named < plain
    assert numbered < plain


def test_words_in_another_language_than_the_passages_are_not_held_against_it() -> None:
    question = "水壶能装多少升水？"
    *_, last = ExtractiveAnswerer().answer(Question(question), FakeFound([hit(ANSWERING, best=0.9), *OTHERS], question))
    assert isinstance(last, Finished)
    assert last.answer.kind is not AnswerKind.NOT_IN_MANUALS


def test_the_score_of_the_ranking_plays_no_part() -> None:
    hits = [hit(ANSWERING, best=0.88), *OTHERS]
    assert confidence(*hits) == confidence(*[replace(each, score=100 * each.score - 7) for each in hits])


def test_the_fitted_file_is_complete_and_sane() -> None:
    model = fitted_model()
    assert set(model.weights) == set(FEATURES)
    assert set(model.typical) == {*FEATURES, SENTENCE_COVERAGE}
    assert all(weight > 0 for weight in model.weights.values())
    assert 0 < model.refuse_below < model.doubt_below < 1
    for one, other in pairwise(model.thresholds):
        assert one.probability < other.probability
        assert one.false_refusals < other.false_refusals
        assert one.false_answers > other.false_answers
