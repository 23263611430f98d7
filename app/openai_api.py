"""`/v1`: the API that OpenAI's clients speak, a knowledge base being a model.

Owns the translation between OpenAI's shapes and ours. The history comes with the request and nothing is stored;
citations are in `choices[].message.citations`, when streaming in the last chunk's delta. A client that leaves
aborts its answer. Parameters of sampling are taken and have no effect: the knowledge base's answerer decides.
Format: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.admission import Admitted, Admitting, Place
from app.bootstrap import Services, ServicesOf
from app.chat_api import CLIENT_LEFT, ManagerOf, Text
from app.error_responses import describe, for_readers
from app.errors import BadRequest, Unavailable
from app.event_stream import EventStream, watching
from app.images import checked_images
from app.messages import citation_row
from app.metrics import AnswerClock, Metrics
from app.models import KnowledgeBase, new_id
from app.scope import CallerScope
from app.shapes import CACHED, CitationShape
from rag.answerers.fallback import FALLBACK
from rag.answerers.generative.history import first_handed_over
from rag.types import Answer, AnswerEvent, Finished, Question, Token, Turn

router = APIRouter(prefix="/v1", tags=["OpenAI"])

_DONE = b"data: [DONE]\n\n"
_LONGEST_TURN = 4000
"""Characters of an earlier turn, as many as a question may have. What is longer is cut and not refused."""
_ROLES = {"user": "customer", "assistant": "assistant"}


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ImageAddress(BaseModel):
    url: str = Field(description="A data URL; addresses on the web are refused.")


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageAddress


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    @property
    def images(self) -> list[str]:
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if isinstance(part, ImagePart)]


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What has an effect here; clients may send whatever else OpenAI's API takes."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="Name or id of a knowledge base."
    )
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000, description="The last one is the question.")
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None


class _Asked(BaseModel):
    """The question alone, under the same limits as everywhere."""

    text: Text


@router.get("/models")
def get_models(services: ServicesOf, scope: CallerScope) -> dict[str, Any]:
    """The knowledge bases, as models."""
    with services.database.read() as session:
        rows = session.scalars(scope.knowledge_base_query().order_by(KnowledgeBase.name)).all()
    return {"object": "list", "data": [_model(row) for row in rows]}


@router.get("/models/{model:path}")
def get_model(model: str, services: ServicesOf, scope: CallerScope) -> dict[str, Any]:
    """One knowledge base, by name or id."""
    with services.database.read() as session:
        return _model(scope.knowledge_base(session, model))


@router.post("/chat/completions", response_model=dict[str, Any])
async def post_chat_completion(
    asked: ChatRequest, request: Request, services: ServicesOf, manager: ManagerOf, scope: CallerScope
) -> Response:
    """Answers the last message with the knowledge base named as model, with the turns before it in mind."""

    def find() -> KnowledgeBase:
        with services.database.read() as session:
            return scope.knowledge_base(session, asked.model)

    question = await run_in_threadpool(_question, asked.messages)
    knowledge_base = await run_in_threadpool(find)
    with Admitting(services.admit_new) as admitting:
        await run_in_threadpool(admitting, knowledge_base, question)
        answering = _Answering(services, manager.metrics, knowledge_base, question, admitting.admitted)
        manager.run(answering.work, admitting.admitted)
    chat = _Completion(services, asked, question)
    if asked.stream:
        return EventStream(_Chunks(answering, chat, request))
    answer: Answer | None = None
    with answering, watching(request.receive, answering):
        async for event in answering:
            if isinstance(event, Finished):
                answer = event.answer
    if answer is None:
        if await request.is_disconnected():
            return Response(status_code=CLIENT_LEFT)
        raise Unavailable("The server is stopping; ask again.")
    return Response(json.dumps(await run_in_threadpool(chat.whole, answer)), media_type="application/json")


class _Answering:
    """A chain at work in a thread, its events for one reader on the event loop; closing it aborts the chain.

    Until its turn at the chat model has come it is in no thread; then closing it frees its place.
    """

    def __init__(
        self,
        services: Services,
        metrics: Metrics,
        knowledge_base: KnowledgeBase,
        question: Question,
        admitted: Admitted,
    ) -> None:
        self._services = services
        self._metrics = metrics
        self._knowledge_base = knowledge_base
        self._question = question
        self._admitted = admitted
        self._clock = AnswerClock()
        self._events: asyncio.Queue[AnswerEvent | Exception | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._is_over = False

    def work(self) -> None:
        """In a thread."""
        try:
            if self._is_over:
                return
            chain = self._services.chain(self._knowledge_base, self._admitted)
            with closing(chain.stream(self._question)) as events:
                for event in events:
                    if self._is_over:
                        return
                    self._clock.saw(event)
                    self._post(event)
                    if isinstance(event, Finished):
                        self._metrics.count_answer(event.answer, self._clock)
        except Exception as error:  # noqa: BLE001  handed on, raised where the reader is
            self._metrics.count_failure(for_readers(error).error.code)
            self._post(error)
        finally:
            self._post(None)

    def _post(self, item: AnswerEvent | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._events.put_nowait, item)

    def __aiter__(self) -> "_Answering":
        return self

    async def __anext__(self) -> AnswerEvent:
        item = None if self._is_over else await self._events.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        if not self._is_over:
            self._is_over = True
            if isinstance(self._admitted, Place):
                self._admitted.give_up()
            self._events.put_nowait(None)

    def __enter__(self) -> "_Answering":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Completion:
    """One completion in OpenAI's shapes."""

    def __init__(self, services: Services, asked: ChatRequest, question: Question) -> None:
        self._services = services
        self._asked = asked
        self._question = question
        self._frame = {"id": f"chatcmpl-{new_id()}", "created": int(time.time()), "model": asked.model}

    def whole(self, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer.text, "refusal": None, "citations": _citations(answer)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {
            **self._frame,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage(answer.text),
            "answerer": answer.answerer,
            "kind": answer.kind.value,
            **_how_made(answer),
        }

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return self._encoded([choice], None)

    def last_chunks(self, answer: Answer, sent: str) -> Iterator[bytes]:
        """What is missing of the text, the citations, and the usage when it was asked for."""
        if answer.text.startswith(sent) and answer.text != sent:
            yield self.chunk({"content": answer.text[len(sent) :]})
        yield self.chunk({"citations": _citations(answer), **_how_made(answer)}, "stop")
        if self._wants_usage:
            yield self._encoded([], self._usage(answer.text))
        yield _DONE

    @property
    def _wants_usage(self) -> bool:
        return self._asked.stream_options is not None and self._asked.stream_options.include_usage

    def _encoded(self, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, int] | None) -> bytes:
        shape: dict[str, Any] = {**self._frame, "object": "chat.completion.chunk", "choices": choices}
        if self._wants_usage:
            shape["usage"] = usage
        return _data(shape)

    def _usage(self, text: str) -> dict[str, int]:
        """In tokens of the embedder, which every installation has."""
        embedder = self._services.embedder
        texts = [*(turn.text for turn in self._question.history), self._question.text, text]
        *prompt, completion = (count - embedder.overhead_tokens for count in embedder.count_tokens(texts))
        return {
            "prompt_tokens": sum(prompt),
            "completion_tokens": completion,
            "total_tokens": sum(prompt) + completion,
        }


class _Chunks:
    """The events of an answer as chunks; an error becomes the last one."""

    def __init__(self, answering: _Answering, chat: _Completion, request: Request) -> None:
        self._answering = answering
        self._chat = chat
        self._request = request
        self._sent = ""
        self._ready: list[bytes] = [chat.chunk({"role": "assistant", "content": ""})]
        self._is_over = False

    async def __anext__(self) -> bytes:
        while not self._ready:
            if self._is_over:
                raise StopAsyncIteration
            try:
                self._take(await anext(self._answering))
            except StopAsyncIteration:
                raise
            except Exception as error:  # noqa: BLE001  the response has begun: it can only be told in the stream
                _, shape = describe(error, f"{self._request.method} {self._request.url.path}")
                self._ready.append(_data({"error": {**shape.error.model_dump(), "type": "server_error"}}))
                self._is_over = True
        return self._ready.pop(0)

    def _take(self, event: AnswerEvent) -> None:
        match event:
            case Token(text=text):
                self._sent += text
                self._ready.append(self._chat.chunk({"content": text}))
            case Finished(answer=answer):
                self._ready.extend(self._chat.last_chunks(answer, self._sent))
                self._is_over = True

    def close(self) -> None:
        self._answering.close()


def _question(messages: Sequence[ChatMessage]) -> Question:
    """The last message, pictures included, with the texts of the turns before it, each to its first characters.

    Raises `BadRequest` when nobody asks anything, and `BadImage`.
    """
    *before, last = messages
    if last.role != "user":
        raise BadRequest("The last message must be the user's question.", {"role": last.role})
    try:
        text = _Asked(text=last.text).text
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", "messages")} for each in error.errors()]) from error
    turns = [Turn(_ROLES[each.role], each.text[:_LONGEST_TURN]) for each in before if each.role in _ROLES and each.text]
    return Question(text, tuple(turns[first_handed_over(len(turns)) :]), images=checked_images(last.images))


def _how_made(answer: Answer) -> dict[str, Any]:
    """What an answer is marked with beyond OpenAI's shapes, under the names that messages have."""
    return {"fallback": answer.details.get(FALLBACK), "cached": answer.details.get(CACHED, False)}


def _citations(answer: Answer) -> list[dict[str, Any]]:
    return [CitationShape.of(citation_row(each)).model_dump(mode="json") for each in answer.citations]


def _model(row: KnowledgeBase) -> dict[str, Any]:
    return {"id": row.name, "object": "model", "created": int(row.created_at.timestamp()), "owned_by": "answerdesk"}


def _data(shape: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(shape, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
