"""What is measured: the model server itself, and Answerdesk in front of it. Each asks one question and reads it out.

Owns the requests that are sent. Both are spoken to over HTTP alone; nothing here knows how either works.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import httpx

from model_runtime.bench.errors import BenchError
from model_runtime.bench.figures import StreamRecord
from model_runtime.bench.streams import answerdesk_stream, openai_stream
from model_runtime.bench.words import WORDS


class ServedAnswer(Protocol):
    """What somebody between us and the model server saw of an answer; see `figures.StreamRecord`."""

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...

    @property
    def was_cut(self) -> bool: ...


class Counter(Protocol):
    """Somebody who sees what the model server serves: its last answer to a question, if there was one."""

    async def answer_to(self, question: str) -> ServedAnswer | None: ...


class Target(Protocol):
    """`prepare(count)` makes ready for so many questions, outside the clock; `ask` takes the numbers below `count`,
    in any order. `counted` adds to the records of all of them, in order, what somebody else counted."""

    name: str

    async def prepare(self, count: int) -> None: ...

    async def ask(self, number: int) -> StreamRecord: ...

    async def counted(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]: ...


@dataclass
class ModelTarget:
    """The model server, straight: completions of `prompt_tokens` random token ids that answer with `output_tokens`.

    `vocabulary`: ids to choose from. `dice` decides the prompts; two targets with equal dice ask the same.
    """

    client: httpx.AsyncClient
    model: str
    vocabulary: Sequence[int]
    prompt_tokens: int
    output_tokens: int
    dice: random.Random
    name: str = "model"

    async def prepare(self, count: int) -> None:
        """Nothing to prepare."""

    async def ask(self, number: int) -> StreamRecord:
        body = {
            "model": self.model,
            "prompt": self.dice.choices(self.vocabulary, k=self.prompt_tokens),
            "max_tokens": self.output_tokens,
            "min_tokens": self.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
        }
        return await openai_stream(self.client, "/v1/completions", body)

    async def counted(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        return records


@dataclass
class ChatTarget:
    """Any OpenAI-compatible chat, straight. `questions` are asked by number; how long the answers are is its affair."""

    client: httpx.AsyncClient
    model: str
    questions: Sequence[str]
    name: str = "model"

    async def prepare(self, count: int) -> None:
        _require_enough(self.questions, count)

    async def ask(self, number: int) -> StreamRecord:
        body = {"model": self.model, "messages": [{"role": "user", "content": self.questions[number]}]}
        return await openai_stream(self.client, "/v1/chat/completions", body)

    async def counted(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        return records


@dataclass
class AnswerdeskTarget:
    """Answerdesk's API: each question in a conversation of its own, begun beforehand.

    With `once` no question is asked twice, over all legs: a model server would have its prompt in the cache.
    """

    client: httpx.AsyncClient
    knowledge_base: str
    questions: Sequence[str]
    counter: Counter | None = None
    once: bool = True
    name: str = "answerdesk"
    _first: int = 0
    _next: int = 0
    _conversations: list[str] = field(default_factory=list)

    async def prepare(self, count: int) -> None:
        self._first = self._next if self.once else 0
        self._next = self._first + count
        _require_enough(self.questions, self._next)
        self._conversations = []
        for _ in range(count):
            begun = await self.client.post("/api/conversations", json={"knowledge_base": self.knowledge_base})
            self._conversations.append(begun.raise_for_status().json()["id"])

    async def ask(self, number: int) -> StreamRecord:
        return await answerdesk_stream(self.client, self._conversations[number], self.questions[self._first + number])

    async def counted(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        if self.counter is None:
            return records
        return [
            await self._counted(self.counter, self.questions[self._first + number], record)
            for number, record in enumerate(records)
        ]

    async def _counted(self, counter: Counter, question: str, record: StreamRecord) -> StreamRecord:
        answer = None if record.error else await counter.answer_to(question)
        if answer is None:
            return record
        return replace(
            record,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            was_cut=answer.was_cut,
        )


def _require_enough(questions: Sequence[str], count: int) -> None:
    if count > len(questions):
        raise BenchError(f"{count} questions are needed and {len(questions)} were made")


@dataclass(frozen=True)
class Server:
    """What a model server says of itself. `root`: where its model is from; `context`: tokens it reads, 0 if it does not
    say; `vocabulary`: token ids that occur in ordinary text."""

    model: str
    root: str
    context: int
    vocabulary: tuple[int, ...]


async def inspect_server(client: httpx.AsyncClient, model: str = "") -> Server:
    """Asks the server for its models and for the tokens of some words; the first model unless one is named.

    Raises `BenchError` when nothing answers there, the model is not served, or it is no vLLM.
    """
    try:
        answer = await client.get("/v1/models")
        models = {each["id"]: each for each in answer.raise_for_status().json()["data"]}
        name = model or next(iter(models))
        if name not in models:
            raise BenchError(f"{client.base_url} does not serve {name!r}, but: {', '.join(models)}")
        tokens = await client.post("/tokenize", json={"model": name, "prompt": " ".join(WORDS)})
        vocabulary = tuple(sorted(set(tokens.raise_for_status().json()["tokens"])))
    except (httpx.HTTPError, KeyError, ValueError, StopIteration) as error:
        raise BenchError(
            f"no vLLM answers at {client.base_url} ({type(error).__name__}: {error}). Start one with "
            "`answerdesk runtime start`, or name it with --address."
        ) from error
    return Server(name, models[name].get("root") or name, int(models[name].get("max_model_len") or 0), vocabulary)
