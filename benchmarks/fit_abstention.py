"""Fits when the extractive answerer should say that the manuals do not say, on public question sets.

    python -m benchmarks.fit_abstention DATA_FOLDER [--write] [--sample N] [--cache FOLDER]

Leave-out protocol: every second text of a set is indexed, all of its questions are asked, then the other half. A
question whose text is not indexed ought to be refused. Each set is tested with weights fitted on others; what is
written is fitted on three sets, with thresholds at 3% false refusals on average over all of them. Prints, per set,
false answers at 3% false refusals, and what the transferred threshold gives; then how often the gold answer is
inside the cited sentences, abstention off.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.question_sets import Asked, EmbeddedSet, default_embedder, load_sets
from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.extractive.confidence import FEATURES, fitted_model
from rag.chain import AnswerChain
from rag.language import word_count
from rag.types import Answer, Question

FIT_ON = ("xquad en", "xquad zh", "cmrc2018")
"""Not emanual_smart_tv: its sections repeat each other, so that the other half often does answer the question."""

FALSE_REFUSALS = 0.03
"""Few: the half that is left out is harder to tell from the other than what no manual says."""

DOUBTS = 0.10
TYPICAL = 0.10
"""The quantile of the answerable questions taken where there are no rivals: rather a little too careful."""

WEIGHTS_FILE = Path(__file__).parent.parent / "rag" / "answerers" / "extractive" / "confidence.json"

Matrix = NDArray[np.float64]
Samples = tuple[Matrix, NDArray[np.bool_]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    parser.add_argument("--sample", type=int, default=0, help="ask about N questions of each set, evenly spread")
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS_FILE.name}")
    arguments = parser.parse_args()
    embedder = default_embedder(arguments.cache)
    sets = [EmbeddedSet(questions, embedder, arguments.cache / "vectors") for questions in load_sets(arguments.data)]
    samples = {each.set.name: leave_out(each, arguments.sample) for each in sets}
    for name in samples:
        # The two languages of xquad are the same questions: neither may teach the other.
        others = [other for other in FIT_ON if other.split()[0] != name.split()[0]]
        report(name, samples[name], joined([samples[other] for other in others]))
    if arguments.write:
        write(samples)
    for each in sets:
        if each.set.name != "emanual_smart_tv":  # its answers are free text, not spans
            containment(each, arguments.sample)


def leave_out(each: EmbeddedSet, sample: int) -> Samples:
    """Features of every question against each half of the texts, and whether that half can answer it."""
    typical = fitted_model().typical
    rows: list[list[float]] = []
    answerable: list[bool] = []
    for parity in (0, 1):
        half = range(parity, len(each.set.documents), 2)
        chain = AnswerChain(each.retriever(half), ExtractiveAnswerer())
        for asked in spread(each.set.questions, sample):
            signals = chain.answer(Question(asked.text)).details.get("signals") or typical
            assert isinstance(signals, dict)
            rows.append([signals[name] for name in FEATURES])
            answerable.append(bool(asked.answers) and asked.document in half)
    return np.array(rows), np.array(answerable)


def spread(questions: Sequence[Asked], sample: int) -> Sequence[Asked]:
    """About `sample` of the questions, evenly spread; all for 0."""
    return questions[:: max(1, len(questions) // sample)] if sample else questions


def joined(samples: list[Samples]) -> Samples:
    """Several sets as one, each thinned to the size of the smallest so that none outweighs the others."""
    size = min(len(features) for features, _ in samples)
    chosen = [np.linspace(0, len(features) - 1, size).astype(int) for features, _ in samples]
    features = np.concatenate([sample[0][rows] for sample, rows in zip(samples, chosen, strict=True)])
    return features, np.concatenate([sample[1][rows] for sample, rows in zip(samples, chosen, strict=True)])


def fit(samples: Samples, ridge: float = 1e-3) -> tuple[Matrix, float]:
    """Weights and bias of a logistic regression (Newton's method, standardised features, ridge penalty)."""
    features, answerable = samples
    mean, deviation = features.mean(0), features.std(0) + 1e-9
    standard = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    penalty = ridge * len(features) * np.diag([1.0] * features.shape[1] + [0.0])
    solution = np.zeros(standard.shape[1])
    for _ in range(30):
        probability = 1 / (1 + np.exp(-standard @ solution))
        gradient = standard.T @ (probability - answerable) + penalty @ solution
        curvature = (standard * (probability * (1 - probability))[:, None]).T @ standard + penalty
        solution -= np.linalg.solve(curvature, gradient)
    weights = solution[:-1] / deviation
    return weights, float(solution[-1] - weights @ mean)


def probabilities(model: tuple[Matrix, float], features: Matrix) -> Matrix:
    weights, bias = model
    result: Matrix = 1 / (1 + np.exp(-(features @ weights + bias)))
    return result


def report(name: str, tested: Samples, taught: Samples) -> None:
    model = fit(taught)
    sure, answerable = probabilities(model, tested[0]), tested[1]
    own = np.quantile(sure[answerable], FALSE_REFUSALS)
    transferred = np.quantile(probabilities(model, taught[0])[taught[1]], FALSE_REFUSALS)
    similarity = tested[0][:, FEATURES.index("nearness")]
    plain = np.quantile(similarity[answerable], FALSE_REFUSALS)
    print(
        f"{name:18} false answers at {FALSE_REFUSALS:.0%} false refusals: {np.mean(sure[~answerable] >= own):.3f}"
        f" (similarity alone {np.mean(similarity[~answerable] >= plain):.3f});"
        f" with the transferred threshold {transferred:.3f}:"
        f" false answers {np.mean(sure[~answerable] >= transferred):.3f},"
        f" false refusals {np.mean(sure[answerable] < transferred):.3f}",
        flush=True,
    )


def write(samples: dict[str, Samples]) -> None:
    """The fitted file: weights, thresholds, and typical values for where there is nothing to compare with."""
    taught = joined([samples[name] for name in FIT_ON])
    weights, bias = model = fit(taught)
    typical = np.quantile(taught[0][taught[1]], TYPICAL, axis=0)
    content = {
        "bias": round(bias, 4),
        "weights": {name: round(float(value), 4) for name, value in zip(FEATURES, weights, strict=True)},
        "typical": {name: round(float(value), 4) for name, value in zip(FEATURES, typical, strict=True)},
        "refuse_below": round(threshold(model, samples, FALSE_REFUSALS), 4),
        "doubt_below": round(threshold(model, samples, DOUBTS), 4),
    }
    WEIGHTS_FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content))


def threshold(model: tuple[Matrix, float], samples: dict[str, Samples], rate: float) -> float:
    """The probability below which this share of the answerable questions lies, on average over all sets."""
    sure = [probabilities(model, features[answerable]) for features, answerable in samples.values()]
    shares = np.concatenate([np.full(len(each), 1 / len(each) / len(sure)) for each in sure])
    order = np.argsort(values := np.concatenate(sure))
    return float(values[order][np.searchsorted(np.cumsum(shares[order]), rate)])


def containment(each: EmbeddedSet, sample: int) -> None:
    """How often a gold answer is inside one of the quotes, and how long answers are."""
    always = ExtractiveAnswerer(ExtractiveSettings(refuse_below=0, doubt_below=0))
    chain = AnswerChain(each.retriever(range(len(each.set.documents))), always)
    asked = spread([question for question in each.set.questions if question.answers], sample)
    answers = [chain.answer(Question(question.text)) for question in asked]
    held = [
        any(gold in c.quote for c in answer.citations for gold in question.answers)
        for question, answer in zip(asked, answers, strict=True)
    ]
    words = [quoted_words(answer) for answer in answers]
    times = [answer.timings_ms.get("answering", 0.0) for answer in answers]
    print(
        f"{each.set.name:18} gold answer in the cited sentences: {np.mean(held):.3f} of {len(asked)}; words: mean"
        f" {np.mean(words):.0f}, median {np.median(words):.0f}, 95% {np.quantile(words, 0.95):.0f};"
        f" with at most 60 words {np.mean([h and w <= 60 for h, w in zip(held, words, strict=True)]):.3f};"
        f" answering p50 {np.median(times):.1f} ms",
        flush=True,
    )


def quoted_words(answer: Answer) -> float:
    return sum(word_count(citation.quote) for citation in answer.citations)


if __name__ == "__main__":
    main()
