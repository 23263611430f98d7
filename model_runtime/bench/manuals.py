"""Knowledge bases made for a measurement: manuals of random words, so long that prompts get the wanted length.

Owns how long the passages must be, found by asking twice and reading what the model server counted. Speaks to an
Answerdesk made for the measurement, over HTTP, as any client.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence

import httpx

from model_runtime.bench.errors import BenchError
from model_runtime.bench.relay import Relay
from model_runtime.bench.targets import AnswerdeskTarget
from model_runtime.bench.words import MOST_PASSAGES, WORDS, PromptSize, prompt_size, question, record

MOST_QUESTIONS = 1000
"""Of one prompt length: each has a document of its own, and so many are listed at once."""

_PROBE_WORDS = 24
_FINAL = frozenset(("ready", "ready_with_warnings", "failed", "cancelled"))
_POLL_S = 0.3


class Manuals:
    """Makes knowledge bases through `answerdesk`; `relay` tells how long its prompts became. A worker must run."""

    def __init__(self, answerdesk: httpx.AsyncClient, relay: Relay, seed: int, *, longest_wait_s: float = 600) -> None:
        self._answerdesk = answerdesk
        self._relay = relay
        self._seed = seed
        self._longest_wait_s = longest_wait_s

    async def sizes(self, wanted: Sequence[int], tokens_per_word: float) -> list[PromptSize]:
        """What prompts of each wanted length are made of. Raises `BenchError` when the questions fail."""
        await self._make("probe", MOST_PASSAGES, PromptSize(1, _PROBE_WORDS))
        measured = []
        for passages in (1, 2):
            await self._set_passages("probe", passages)
            dice = random.Random(self._seed)
            asked = AnswerdeskTarget(self._answerdesk, "probe", [question(passages, MOST_PASSAGES, dice)], self._relay)
            await asked.prepare(1)
            (answer,) = await asked.counted([await asked.ask(0)])
            if answer.error or not answer.prompt_tokens:
                raise BenchError(f"Answerdesk could not answer a first question: {answer.error or 'no usage'}")
            measured.append(answer.prompt_tokens)
        one, two = measured
        return [
            prompt_size(each, one_passage=one, two_passages=two, words=_PROBE_WORDS, tokens_per_word=tokens_per_word)
            for each in wanted
        ]

    async def knowledge_base(self, name: str, size: PromptSize, questions: int) -> list[str]:
        """Makes one for prompts of `size`; its questions are the answer, each about another document."""
        documents = max(questions, MOST_PASSAGES)
        await self._make(name, documents, size)
        dice = random.Random(f"{self._seed} {name}")
        return [question(number, documents, dice) for number in range(questions)]

    async def _make(self, name: str, documents: int, size: PromptSize) -> None:
        (await self._answerdesk.post("/api/knowledge-bases", json={"name": name, "language": "en"})).raise_for_status()
        await self._set_passages(name, size.passages)
        dice = random.Random(f"{self._seed} {name} text")
        lines = [json.dumps(record(number, size.words, dice)) for number in range(documents)]
        files = [("files", ("manuals.jsonl", "\n".join(lines).encode()))]
        (await self._answerdesk.post(f"/api/knowledge-bases/{name}/documents", files=files)).raise_for_status()
        await self._wait_until_ready(name, documents)

    async def _set_passages(self, name: str, passages: int) -> None:
        settings = {"settings": {"answer_passages": passages}}
        (await self._answerdesk.patch(f"/api/knowledge-bases/{name}", json=settings)).raise_for_status()

    async def _wait_until_ready(self, name: str, documents: int) -> None:
        deadline = time.monotonic() + self._longest_wait_s
        while time.monotonic() < deadline:
            path, page = f"/api/knowledge-bases/{name}/documents", {"limit": MOST_QUESTIONS}
            found = (await self._answerdesk.get(path, params=page)).raise_for_status().json()["documents"]
            failed = [each["message"] for each in found if each["status"] in ("failed", "cancelled")]
            if failed:
                raise BenchError(f"a manual made for the measurement could not be read: {failed[0]}")
            if len(found) >= documents and all(each["status"] in _FINAL for each in found):
                return
            await asyncio.sleep(_POLL_S)
        raise BenchError(f"the manuals made for the measurement were not read within {self._longest_wait_s:.0f} s")


async def tokens_per_word(model_server: httpx.AsyncClient, model: str) -> float:
    """Of the model's own tokenizer, over the words that the manuals are made of."""
    text = " ".join(WORDS)
    answer = await model_server.post("/tokenize", json={"model": model, "prompt": text})
    return int(answer.raise_for_status().json()["count"]) / len(WORDS)
