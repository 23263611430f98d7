"""Chat models in process, for tests of whoever asks one: they only stream, as all of ours are asked."""

import hashlib
from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult


class StreamingModel(BaseChatModel):
    """A model that refuses to be asked for whole answers."""

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        raise AssertionError("answers are streamed")


class Scripted(StreamingModel):
    """Streams `pieces`, then raises `error` if there is one. Remembers the messages and whether it was closed early."""

    pieces: list[str] = []  # noqa: RUF012  # a pydantic field
    error: Any = None
    seen: list[Any] = []  # noqa: RUF012
    closed: list[bool] = []  # noqa: RUF012

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.seen.append(messages)
        try:
            for piece in self.pieces:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if self.error:
                raise self.error
        except GeneratorExit:
            self.closed.append(True)
            raise


class Digesting(StreamingModel):
    """Says something else for every other prompt or sampling, and always the same for the same."""

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> Iterator[ChatGenerationChunk]:
        digest = hashlib.sha256(repr(([message.content for message in messages], sorted(more.items()))).encode())
        for piece in ("It is ", f"number {int(digest.hexdigest()[:8], 16)}", " [1]."):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
