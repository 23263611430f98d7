"""Holds figures against those of an earlier run, and says which have got worse.

Owns the file in which a run is kept as a baseline, and the paired bootstrap. Two runs are compared over the questions
that both have; where nothing but figures is known of one, over those.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import BadEvaluationFile
from rag.evaluation.asking import Asked
from rag.evaluation.figures import RESAMPLES, Figures, Samples, better, samples_of

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """Figures of an earlier run, with the measures they are made of where the file has them."""

    figures: Mapping[str, float]
    samples: Samples


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and now; `now` is None when it is not measured any more.

    `low` and `high` bound the difference (95%), None where questions are not known. `questions` are those that both
    runs have, 0 where only the figures are compared.
    """

    figure: str
    before: float
    now: float | None
    questions: int
    low: float | None
    high: float | None
    is_worse: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "figure": self.figure,
            "before": self.before,
            "now": self.now,
            "difference": None if self.now is None else self.now - self.before,
            "low": self.low,
            "high": self.high,
            "questions": self.questions,
            "is_worse": self.is_worse,
        }


def compare(before: Baseline, figures: Mapping[str, float], samples: Samples, tolerance: float) -> list[Change]:
    """Every figure that can get worse and that both runs have. It is worse when it lost more than `tolerance`.

    A figure of the baseline that is missing now is worse too: what is not measured any more is not held.
    """
    changes = []
    for name, value in before.figures.items():
        wanted = better(name)
        if wanted is None:
            continue
        if name not in figures:
            changes.append(Change(name, value, None, 0, None, None, True))
            continue
        changes.append(_change(name, value, figures[name], before.samples.get(name), samples.get(name), tolerance))
    return changes


def save(path: Path, figures: Figures, asked: Sequence[Asked]) -> None:
    """Keeps a run as a baseline: its figures, and what each question contributed."""
    told = {name: value for name, value in figures.values.items() if "milliseconds" not in name}
    lines = [
        json.dumps({"id": each.question.id, "outcome": each.outcome, "values": dict(each.values)}, ensure_ascii=False)
        for each in asked
    ]
    samples = {name: list(found) for name, found in samples_of(asked).items() if "." in name}
    head = f'{{"format": {FORMAT},\n"figures": {json.dumps(told)},\n"of_turns": {json.dumps(samples)},\n"results": [\n'
    path.write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def read_baseline(path: Path) -> Baseline:
    """What `save` wrote. Raises `BadEvaluationFile`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadEvaluationFile(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadEvaluationFile(f"{path} is no baseline: not JSON ({error})") from error
    try:
        if content["format"] != FORMAT:
            raise BadEvaluationFile(f"{path} is a baseline in format {content['format']}, not {FORMAT}; save it anew")
        figures = {str(name): float(value) for name, value in content["figures"].items()}
        samples: dict[str, dict[str, float]] = {}
        for result in content.get("results", ()):
            for name, value in result["values"].items():
                samples.setdefault(name, {})[result["id"]] = float(value)
        for name, ids in content.get("of_turns", {}).items():
            of_all = samples.get(name.partition(".")[2], {})
            samples[name] = {id_: of_all[id_] for id_ in ids}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadEvaluationFile(
            f"{path} is no baseline: `answerdesk evaluate --save FILE` writes one ({error!r})"
        ) from error
    return Baseline(figures, samples)


def paired_interval(before: Sequence[float], now: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of the mean difference of pairs, by the bootstrap's percentiles, the same each time."""
    differences = np.array(now) - np.array(before)
    drawn = np.random.default_rng(0).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _change(
    name: str,
    before: float,
    now: float,
    earlier: Mapping[str, float] | None,
    later: Mapping[str, float] | None,
    tolerance: float,
) -> Change:
    shared = sorted(earlier.keys() & later.keys()) if earlier and later else []
    low = high = None
    if earlier and later and shared:
        pairs = [earlier[id_] for id_ in shared], [later[id_] for id_ in shared]
        before, now = (float(np.mean(values)) for values in pairs)
        low, high = paired_interval(*pairs)
    loss = before - now if better(name) == "high" else now - before
    return Change(name, before, now, len(shared), low, high, loss > tolerance + 1e-9)
