"""Fits the guard against injections in questions, on prompts written for it.

    python -m benchmarks.fit_injection_guard DATA_FOLDER [--write] [--cache FOLDER]

Fits on `injection_prompts.jsonl` (own words; many of the honest ones are full of trigger words), on the same injections
put behind honest questions, and on ordinary questions of clinc150 (its training part) and xquad as further honest ones.
The thresholds are those at which `FALSE_POSITIVES` of our own honest prompts fire in cross-validation. Weights and
thresholds have seen no part of notinject; that two models are averaged, and that prompts on bending the output were
added, was decided after a look at its totals. `benchmarks.injection_guard` says how it does on other data.
"""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.question_sets import default_embedder
from rag.guard.features import FEATURES, features_of
from rag.guard.judge import MODEL_FILE

PROMPTS = Path(__file__).parent / "injection_prompts.jsonl"
FALSE_POSITIVES = 0.05
FOLDS = 8
SIGNS_RIDGE, VECTOR_RIDGE = 0.3, 1 / 64
"""Penalties on the squared weights, chosen in cross-validation; the vector's parts are small numbers."""

APPENDED_WEIGHT, ORDINARY_WEIGHT = 0.4, 0.5
_APPENDED = frozenset(
    re.findall(
        r"\w+",
        "override reveal secret authority output_manipulation promotion side_task encoded zh_override zh_reveal "
        "zh_output",
    )
)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Texts with their labels (1: injection), weights, folds, and whether they are prompts as they were written."""

    texts: list[str]
    labels: Matrix
    weights: Matrix
    folds: NDArray[np.int64]
    own: NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "answerdesk")
    parser.add_argument("--write", action="store_true", help=f"write {MODEL_FILE.name}")
    arguments = parser.parse_args()
    embedder = default_embedder(arguments.cache)
    examples = examples_of(arguments.data)
    vectors = np.array([embedder.embed_question(text) for text in examples.texts], np.float64)
    features = np.array([features_of(text) for text in examples.texts])
    signs = cross_validated(examples, features, SIGNS_RIDGE)
    vector = cross_validated(examples, vectors - vectors.mean(0), VECTOR_RIDGE)
    thresholds = {
        name: report(name, examples, score)
        for name, score in (("signs", signs), ("vector", vector), ("both", (signs + vector) / 2))
    }
    if arguments.write:
        write(embedder.identity, examples, features, vectors, thresholds)


def examples_of(data: Path) -> Examples:
    """Our prompts, injections behind honest questions (in the fold of the injection), and ordinary questions."""
    prompts = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    folds = np.random.default_rng(0).integers(0, FOLDS, len(prompts))
    honest = {
        language: [each["text"] for each in prompts if each["family"] in families]
        for language, families in (("en", ("manual_en", "general_en")), ("zh", ("manual_zh",)))
    }
    appended: list[tuple[str, int]] = []
    for fold, each in zip(folds.tolist(), prompts, strict=True):
        if each["injection"] and each["family"] in _APPENDED:
            questions = honest["zh" if each["family"].startswith("zh") else "en"]
            appended.append((f"{questions[len(appended) % len(questions)]} {each['text']}", fold))
    ordinary = _ordinary(data)
    counts = (len(prompts), len(appended), len(ordinary))
    return Examples(
        texts=[*(each["text"] for each in prompts), *(text for text, _ in appended), *ordinary],
        labels=np.array([*(float(each["injection"]) for each in prompts), *[1.0] * counts[1], *[0.0] * counts[2]]),
        weights=np.repeat([1.0, APPENDED_WEIGHT, ORDINARY_WEIGHT], counts),
        folds=np.array([*folds, *(fold for _, fold in appended), *(n % FOLDS for n in range(counts[2]))]),
        own=np.repeat([True, False, False], counts),
    )


def _ordinary(data: Path) -> list[str]:
    """Some hundred questions and requests that nobody chose for this."""
    intents = json.loads((data / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    asked = [text for text, _ in intents["train"][::30]] + [text for text, _ in intents["oos_train"][:60]]
    for language in ("en", "zh"):
        articles = json.loads((data / "xquad" / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
        questions = [q["question"] for a in articles for p in a["paragraphs"] for q in p["qas"]]
        asked += questions[1::24]
    return asked


def cross_validated(examples: Examples, inputs: Matrix, ridge: float) -> Matrix:
    """Each example's score by the model that was fitted without its fold."""
    scores = np.zeros(len(examples.labels))
    for fold in range(FOLDS):
        held_out = examples.folds == fold
        weights, bias = fitted(inputs[~held_out], examples.labels[~held_out], examples.weights[~held_out], ridge)
        scores[held_out] = inputs[held_out] @ weights + bias
    return scores


def fitted(inputs: Matrix, labels: Matrix, weights: Matrix, ridge: float) -> tuple[Matrix, float]:
    """Weights and bias of a logistic regression (Newton's method); both classes weigh the same."""
    share = float(np.average(labels, weights=weights))
    balanced = weights * np.where(labels == 1, 0.5 / share, 0.5 / (1 - share))
    extended = np.column_stack([inputs, np.ones(len(inputs))])
    penalty = ridge * np.diag([1.0] * inputs.shape[1] + [0.0])
    solution = np.zeros(extended.shape[1])
    for _ in range(12):
        probability = 1 / (1 + np.exp(-extended @ solution))
        gradient = extended.T @ (balanced * (probability - labels)) + penalty @ solution
        curvature = (extended * (balanced * probability * (1 - probability))[:, None]).T @ extended + penalty
        solution -= np.linalg.solve(curvature, gradient)
    return solution[:-1], float(solution[-1])


def report(name: str, examples: Examples, scores: Matrix) -> float:
    """Prints detection at some rates of false positives among our own prompts; the threshold for the wanted one."""
    honest = scores[examples.own & (examples.labels == 0)]
    injections = scores[examples.own & (examples.labels == 1)]
    rates = (0.02, FALSE_POSITIVES, 0.1)
    found = [float(np.mean(injections > np.quantile(honest, 1 - rate))) for rate in rates]
    told = ", ".join(f"{detected:.3f} at {rate:.0%}" for rate, detected in zip(rates, found, strict=True))
    print(f"{name:7} cross-validated on {len(honest)} honest prompts and {len(injections)} injections: {told}")
    return float(np.quantile(honest, 1 - FALSE_POSITIVES))


def write(embedder: str, examples: Examples, features: Matrix, vectors: Matrix, thresholds: dict[str, float]) -> None:
    """The fitted file. The vectors' mean is in the bias."""
    fit: Callable[[Matrix, float], tuple[Matrix, float]] = lambda inputs, ridge: fitted(  # noqa: E731
        inputs, examples.labels, examples.weights, ridge
    )
    signs, signs_bias = fit(features, SIGNS_RIDGE)
    mean = vectors.mean(0)
    vector, vector_bias = fit(vectors - mean, VECTOR_RIDGE)
    content = {
        "signs": dict(zip(FEATURES, rounded(signs), strict=True)),
        "signs_bias": round(signs_bias, 4),
        "signs_threshold": round(thresholds["signs"], 4),
        "embedder": embedder,
        "vector_bias": round(vector_bias - float(vector @ mean), 4),
        "threshold": round(thresholds["both"], 4),
        "vector": rounded(vector),
    }
    MODEL_FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def rounded(values: Matrix) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    main()
