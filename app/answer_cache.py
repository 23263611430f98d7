"""Answers that need not be made again, because nothing that they depend on has changed.

Owns the key of an answer, which answers are kept, and how a kept one is told again. Knows neither HTTP nor
conversations; a kept answer goes out as the same events as when it was made.

Why an old answer cannot be served: the change number is read before the search, the search sees at least what that
number stands for, and numbers never come twice. An answer is found only under the number that storage has at that
moment, so nothing has changed from before its search until now.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, Protocol

from app.caches import LeastRecentlyUsed
from app.images import digest_of
from app.shapes import CACHED
from rag.answerers.fallback import FALLBACK
from rag.answerers.small_talk import small_talk_in
from rag.chain import AnswerChain, normalised
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Question, Token, Waiting

_KEPT_KINDS = frozenset((AnswerKind.ANSWER, AnswerKind.NOT_IN_MANUALS))

AnswerCache = LeastRecentlyUsed[bytes, tuple[AnswerEvent, ...]]


def fingerprint(**parts: object) -> bytes:
    """32 bytes that differ when any part does. Parts are values that JSON knows, dataclasses and collections."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


class Storage(Protocol):
    """What an answer is made from, as far as a cache must know it; `rag.types.PassageStore` is one."""

    def change(self) -> int:
        """The change number now."""
        ...


class RememberingChain:
    """A chain that answers from the cache where it can; safe for threads.

    `made_by` stands for everything that the answers of this chain depend on besides question and storage: whose
    knowledge base it is, and every setting. When `epoch` gives another number, nothing kept before is served.
    """

    def __init__(
        self,
        chain: AnswerChain,
        cache: AnswerCache,
        store: Storage,
        made_by: bytes,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self._chain = chain
        self._cache = cache
        self._store = store
        self._made_by = made_by.hex()
        self._epoch = epoch

    def answer(self, question: Question) -> Answer:
        """As `AnswerChain.answer`."""
        return next(event.answer for event in self.stream(question) if isinstance(event, Finished))

    def stream(self, question: Question) -> Generator[AnswerEvent]:
        """As `AnswerChain.stream`; a kept answer bears `details["cached"]` and the times of this telling."""
        if small_talk_in(question.text):
            yield from self._chain.stream(question)
            return
        started = time.perf_counter()
        key = self._key(question, self._store.change())
        kept = self._cache.get(key)
        if kept is not None:
            yield from _retold(kept, started)
            return
        made: list[AnswerEvent] = []
        with closing(self._chain.stream(question)) as events:
            for event in events:
                if not isinstance(event, Waiting):
                    made.append(event)
                if isinstance(event, Finished) and _is_worth_keeping(event.answer):
                    self._cache.put(key, tuple(made))  # before it is handed out: nobody need ask for more
                yield event

    def holds(self, question: Question, change: int) -> bool:
        """Whether this question need not be answered anew as long as the change number is this one."""
        return self._cache.holds(self._key(question, change))

    def _key(self, question: Question, change: int) -> bytes:
        """Every field of the question counts, also those it may get one day."""
        asked = {field.name: getattr(question, field.name) for field in dataclasses.fields(question)}
        asked["text"] = normalised(question.text)
        asked["images"] = [digest_of(image) for image in question.images]
        return fingerprint(question=asked, made_by=self._made_by, epoch=self._epoch(), change=change)


def _is_worth_keeping(answer: Answer) -> bool:
    """Not what was made in another's place, and not what was broken off: that may come out whole another time."""
    details = answer.details
    is_whole = details.get("cut") is None and details.get("finish_reason") != "length"
    return answer.kind in _KEPT_KINDS and is_whole and FALLBACK not in details


def _retold(kept: tuple[AnswerEvent, ...], started: float) -> Generator[AnswerEvent]:
    timings: dict[str, float] = {}
    for event in kept:
        if isinstance(event, Token) and "first_token" not in timings:
            timings["first_token"] = _milliseconds_since(started)
        if isinstance(event, Finished):
            timings["total"] = _milliseconds_since(started)
            details = {name: value for name, value in event.answer.details.items() if not name.endswith("_ms")}
            details[CACHED] = True
            event = Finished(dataclasses.replace(event.answer, timings_ms=timings, details=details))
        yield event


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    raise TypeError(f"an answer cannot depend on a {type(value).__name__}: it has no stable text")


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
