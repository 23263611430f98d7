"""Asks transformers what the right answers are, and picks probes with which the check can see.

Owns starting `reference_program.py` as a program of the runtime environment (the app's own needs no torch), and what
its results mean.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_runtime.environment import without_ours
from model_runtime.verify.comparison import LogProbabilities, Position, Probes, Tolerance
from model_runtime.verify.errors import NoReference
from model_runtime.verify.small_models import VOCABULARY

LIKELIEST = 5
"""How many of the likeliest tokens are compared at each position, besides the one that follows."""

_PROGRAM = Path(__file__).with_name("reference_program.py")
_SEQUENCES, _SEQUENCE_TOKENS = 4, 160
# A continuation crosses the end of a KV cache block, whether it has 16, 32, 64 or 128 tokens.
_PROMPTS, _PROMPT_TOKENS, _NEW_TOKENS = 8, 120, 16
_PROMPTS_KEPT = 4
_CLEAR_NATS = 1.0
_WITHIN_S = 900.0


@dataclass(frozen=True)
class Computed:
    """What transformers computes, as arrays: `scores` [sequences, tokens - 1, vocabulary], `tokens` [prompts, new] and
    `steps` [prompts, new, vocabulary]; the last two are empty where nothing was to be continued."""

    scores: NDArray[np.float32]
    tokens: NDArray[np.int64]
    steps: NDArray[np.float32]

    @property
    def margins(self) -> NDArray[np.float32]:
        """Nats between the first and second token, of every position."""
        return np.concatenate([_margins(self.scores).ravel(), _margins(self.steps).ravel()])

    @property
    def clear_share(self) -> float:
        """Of how many positions the first token is more than one nat above the second."""
        return float((self.margins > _CLEAR_NATS).mean())

    def answers(self) -> LogProbabilities:
        """With the log-probabilities of all tokens."""
        return LogProbabilities(
            scores=tuple(tuple(map(_all, sequence)) for sequence in self.scores),
            continuations=tuple(tuple(map(int, tokens)) for tokens in self.tokens),
            steps=tuple(tuple(map(_all, steps)) for steps in self.steps),
        )

    def answers_of_a_server(self, probes: Probes) -> LogProbabilities:
        """Of the sequences alone, with as many tokens a position as a server tells."""
        return LogProbabilities(
            scores=tuple(
                tuple(_some(row, following) for row, following in zip(rows, tokens[1:], strict=True))
                for rows, tokens in zip(self.scores, probes.sequences, strict=True)
            )
        )


def draw_probes(seed: int) -> Probes:
    """Random tokens: a model that was never taught knows no others."""
    random = np.random.default_rng(seed)
    return Probes(
        sequences=_rows(random.integers(2, VOCABULARY, (_SEQUENCES, _SEQUENCE_TOKENS))),
        prompts=_rows(random.integers(2, VOCABULARY, (_PROMPTS, _PROMPT_TOKENS))),
        new_tokens=_NEW_TOKENS,
    )


def clearest(probes: Probes, computed: Computed, tolerance: Tolerance) -> tuple[Probes, Computed]:
    """Keeps the prompts whose continuation comes nowhere near a tie: there, any rounding might choose the other token.

    Raises `NoReference` when the first token is not on the whole a nat above the second, or when, with a tolerance that
    lets no position be off, two values within it could still mean different tokens.
    """
    nearest = _margins(computed.steps).min(axis=-1)
    kept = np.sort(np.argsort(-nearest)[:_PROMPTS_KEPT])
    if computed.clear_share <= 0.5 or (tolerance.share == 0 and nearest[kept].min() <= 2 * tolerance.nats):
        raise NoReference("this random model has margins too small to compare anything by: take another seed")
    prompts = tuple(probes.prompts[number] for number in kept)
    return (
        Probes(probes.sequences, prompts, probes.new_tokens),
        Computed(computed.scores, computed.tokens[kept], computed.steps[kept]),
    )


def ask_transformers(interpreter: Path, folders: Sequence[tuple[Path, Probes]], workshop: Path) -> list[Computed]:
    """What the models in the folders answer, in order. `workshop`: a folder for what is passed to and fro.

    Raises `NoReference` with the program's last words.
    """
    results = [workshop / f"reference-{number}.npz" for number in range(len(folders))]
    jobs = [_job(folder, probes, result) for (folder, probes), result in zip(folders, results, strict=True)]
    (workshop / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    try:
        # -P: our folder, where the program lies, is not to be a place to import from.
        ended = subprocess.run(
            [interpreter, "-P", _PROGRAM, workshop / "jobs.json"],
            env={**without_ours(os.environ), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoReference(f"transformers needed more than {_WITHIN_S:g} seconds for small models") from error
    if ended.returncode != 0:
        said = "\n".join(ended.stdout.splitlines()[-15:])
        raise NoReference(f"{interpreter} has no reference from transformers (status {ended.returncode}):\n{said}")
    return [_read(result) for result in results]


def _job(folder: Path, probes: Probes, result: Path) -> dict[str, Any]:
    asked = {"sequences": probes.sequences, "prompts": probes.prompts, "new_tokens": probes.new_tokens}
    return {"folder": str(folder), **asked, "result": str(result)}


def _read(result: Path) -> Computed:
    with np.load(result) as arrays:
        vocabulary = arrays["scores"].shape[-1]
        return Computed(
            scores=arrays["scores"],
            tokens=arrays["tokens"] if "tokens" in arrays else np.empty((0, 0), np.int64),
            steps=arrays["steps"] if "steps" in arrays else np.empty((0, 0, vocabulary), np.float32),
        )


def _margins(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    best = np.sort(scores, axis=-1)[..., -2:]
    margins: NDArray[np.float32] = best[..., 1] - best[..., 0]
    return margins


def _all(row: NDArray[np.float32]) -> Position:
    return dict(enumerate(row.tolist()))


def _some(row: NDArray[np.float32], following: int) -> Position:
    named = {*np.argsort(row)[-LIKELIEST:].tolist(), following}
    return {token: float(row[token]) for token in named}


def _rows(tokens: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, row)) for row in tokens)
