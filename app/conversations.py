"""The conversation manager: receives questions, has them answered, and sees to it that each is answered once.

Owns the running answers of this process: their threads, leases, and what happens when readers leave or a process dies.
No database session is open while a chain works: the question is committed, then answered, then the answer is committed
(`app.answer_saving`). Knows no HTTP and no SQL (`app.messages`), and nothing of how events reach readers
(`app.events`).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from app import message_leases, message_reading, messages
from app.admission import Admitted, Admitting, Place
from app.answer_saving import AnswerSaver, Ended
from app.bootstrap import Services
from app.errors import BadFilter, RuntimeBusy
from app.events import Draft, EventBus, Subscription
from app.message_leases import Assignment
from app.metrics import AnswerClock, Metrics
from app.models import new_id
from app.publicity import only_public
from app.scope import Role, Scope
from app.service.desk import Desk
from app.shapes import ErrorShape, MessageShape
from rag.errors import ModelFailed, UnknownFilter
from rag.types import Answer, Cited, Finished, Waiting

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

TICK_S = 0.2
"""How often the running answers are looked after."""

LOOK_AGAIN_S = 0.5
"""How often it is asked whether somebody still listens in another process."""

STORAGE_THREADS = 8


@dataclass(eq=False, slots=True)
class _Running:
    """An answer that this process makes. `is_kept` ones go on without readers; `is_over` tells the thread to end.

    `is_made` ones are whole and wait to be saved.
    """

    assignment: Assignment
    draft: Draft
    admitted: Admitted
    is_kept: bool
    is_over: bool = False
    is_made: bool = False
    clock: AnswerClock = field(default_factory=AnswerClock)
    kept_text: str = ""
    citation_ids: dict[int, str] = field(default_factory=dict)


class ConversationManager:
    """Everything about conversations that needs more than one transaction. Lives on the event loop."""

    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services = services
        self._database = services.database
        self._settings = services.settings.answers
        self.metrics = metrics
        self._process = new_id()
        self._storage = ThreadPoolExecutor(STORAGE_THREADS, "storage")
        self._answering = ThreadPoolExecutor(self._settings.parallel, "answering")
        self._marking = ThreadPoolExecutor(1, "marking")  # a slow page must not hold up answers
        self._running: dict[str, _Running] = {}
        self._waiting: dict[str, set[str]] = {}  # answers by conversation that the one before them keeps waiting
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: set[asyncio.Task[None]] = set()
        self._beginning: set[asyncio.Task[None]] = set()
        self.bus = EventBus(self._database, self._storage, self._process)
        self._saver = AnswerSaver(services, metrics)
        self._desk = Desk(services)

    async def start(self) -> None:
        self.bus.start()
        self._tasks = [
            asyncio.create_task(self._every(TICK_S, self._stop_unheard)),
            asyncio.create_task(self._every(self._settings.lease_s / 4, self._renew)),
            asyncio.create_task(self._every(min(2.0, self._settings.lease_s / 2), self._take_over)),
        ]

    async def stop(self) -> None:
        """Ends the streams and gives up the leases, so that the next process goes on at once."""
        for task in (*self._tasks, *self._beginning):
            task.cancel()
        self.bus.close()
        left = [running.assignment for running in self._running.values()]
        for running in self._running.values():
            running.is_over = True
        if self._stopping:
            await asyncio.wait(self._stopping)  # no more is asked of them than a write each
        if left:
            await self._in_storage(message_leases.release, self._database, left)
        for pool in (self._answering, self._marking):
            pool.shutdown(wait=False, cancel_futures=True)
        self._storage.shutdown(wait=False, cancel_futures=True)

    async def receive(
        self, scope: Scope, conversation_id: str, *, text: str, client_message_id: str, request: Mapping[str, Any]
    ) -> Subscription:
        """Keeps a question and starts its answer; gives the answer's events, whoever makes it.

        The same `client_message_id` again gives the same answer: at once when it is there, joined when it is in
        progress, started again when it was stopped. While people have the conversation, the only event is `done`
        with the customer's own message. Raises `NotFound`, `BadFilter`, `BadImage` and, when the chat model
        has no place for a new question, `RuntimeBusy`: then nothing is kept.
        """
        if scope.role is Role.CUSTOMER:
            request = only_public(request)
        if request.get("filter"):
            await self._in_storage(self._check_filter, scope, conversation_id, request["filter"])
        with Admitting(self._services.admit_new) as admitting:
            receipt = await self._in_storage(
                partial(
                    messages.receive,
                    self._database,
                    scope,
                    conversation_id,
                    text=text,
                    client_message_id=client_message_id,
                    request=request,
                    lease=self._new_lease(),
                    lease_s=self._settings.lease_s,
                    admit=admitting,
                )
            )
        reply = receipt.reply
        if receipt.question is None:
            reader = await self.listen(scope, conversation_id, message_id=reply.id)
            return reader if reply.role == "assistant" else self.bus.end_with(reader, reply)
        if receipt.assignment is None and reply.role == "assistant":  # the answer before it is still being made
            reader = self.bus.join(scope, conversation_id, message_id=reply.id, seen=receipt.change - 2)
            self.bus.publish(receipt.change - 1, receipt.question)
            self.bus.publish(receipt.change, reply)
            self._waiting.setdefault(conversation_id, set()).add(reply.id)
            self._begin_next(conversation_id)  # that one may have ended meanwhile
            return reader
        if receipt.assignment is None:  # people have the conversation: they will reply
            reader = self.bus.join(scope, conversation_id, message_id=reply.id, seen=receipt.change - 1)
            self.bus.publish(receipt.change, receipt.question)
            return self.bus.end_with(reader, reply)
        before = receipt.change - 2
        reader = self.bus.join(scope, conversation_id, message_id=reply.id, seen=before)
        self.bus.publish(before + 1, receipt.question)
        self._begin(receipt.assignment, admitting.admitted)
        return reader

    async def listen(
        self, scope: Scope, conversation_id: str, *, message_id: str | None = None, after: int | None = None
    ) -> Subscription:
        """Events of a conversation from change `after` on (None: from now on), or all of one message.

        A reader who comes back to a stopped answer starts it again, if the chat model has a place. Raises `NotFound`
        and, for lack of a place, `RuntimeBusy` to those who asked for this message.
        """
        reader = self.bus.join(scope, conversation_id, message_id=message_id, seen=None)
        try:
            stopped = message_id or await self._in_storage(
                message_reading.newest_stopped, self._database, scope, conversation_id
            )
            if stopped is not None:
                try:
                    await self._restart(stopped)
                except RuntimeBusy:
                    if message_id is not None:
                        raise
                    _LOG.info("Message %s stays stopped: the chat model has no place.", stopped)
            await self.bus.bring_up_to_date(reader, after)
        except BaseException:
            reader.close()
            raise
        return reader

    def run(self, work: Callable[[], None], admitted: Admitted) -> None:
        """Runs what makes an answer in a thread: of the chat model's, when it is its turn, or of all others'.

        They are apart so that a slow model never keeps an answer waiting that needs none.
        """
        if isinstance(admitted, Place):
            admitted.start(work)
        else:
            self._answering.submit(work)

    def _begin(self, assignment: Assignment, admitted: Admitted, *, is_kept: bool = False) -> None:
        message = assignment.message
        if superseded := self._running.get(message.id):
            self._drop(superseded)
        running = _Running(assignment, self.bus.begin(message), admitted, is_kept)
        self._running[message.id] = running
        waiting = self._waiting.get(message.conversation_id, set())
        waiting.discard(message.id)
        if not waiting:
            self._waiting.pop(message.conversation_id, None)
        self.bus.publish(assignment.change, message)
        self.run(partial(self._make, running), admitted)

    def _make(self, running: _Running) -> None:
        """In a thread: makes one answer. It is saved in another one: a place at the model is not for that."""
        if running.is_over:
            return
        made: Answer | Exception | None
        try:
            made = self._stream(running)
        except Exception as error:  # noqa: BLE001  whatever it is, the question must not stay without a reply
            made = error
        running.is_made = made is not None
        _submit(self._storage, self._save, running, made)

    def _stream(self, running: _Running) -> Answer | None:
        """Hands the chain's events on; None when nobody wants the answer any more."""
        with closing(self._desk.stream(running.assignment, running.admitted)) as events:
            for event in events:
                if running.is_over:
                    return None
                running.clock.saw(event)
                if isinstance(event, Finished):
                    return event.answer
                if isinstance(event, Waiting):
                    continue
                citation_id = new_id()
                if isinstance(event, Cited):
                    running.citation_ids[event.citation.marker] = citation_id
                self.bus.post(partial(self._advance, running, event, citation_id))
        raise RuntimeError("the chain ended without an answer")

    def _advance(self, running: _Running, event: Any, citation_id: str) -> None:
        if not running.is_over:
            self.bus.advance(running.draft, event, citation_id)

    def _save(self, running: _Running, made: Answer | Exception | None) -> None:
        """In a thread: saves what was made; nothing was when nobody wants it any more."""
        ended: Ended | None = None
        try:
            if isinstance(made, Answer):
                ended = self._saver.finish(running.assignment, made, running.citation_ids, running.clock)
            elif made is not None and not running.is_over:
                ended = self._saver.fail(running.assignment, made)
        except Exception:  # noqa: BLE001  a thread's last frame: logged, and the lease lets somebody else try
            _LOG.exception("Message %s could not be saved; it is taken up again later.", running.draft.message.id)
        finally:
            self.bus.post(partial(self._end, running, ended))
        if ended is not None and ended[1].citations:
            _submit(self._marking, self._add_boxes, ended[1])

    def _add_boxes(self, message: MessageShape) -> None:
        for citation in self._saver.add_boxes(message):
            self.bus.post(partial(self.bus.cite, message, citation))

    def _end(self, running: _Running, ended: Ended | None) -> None:
        self._drop(running)
        if ended is not None:
            change, message = ended
            if message.error is not None:
                details = {**message.error.details, "message_id": message.id}
                self.bus.report_error(message, ErrorShape.of(message.error.code, message.error.message, details))
            self.bus.publish(change, message)
        self._begin_next(running.draft.message.conversation_id)

    def _begin_next(self, conversation_id: str) -> None:
        """Has a look at once whether a message's turn has come; elsewhere it comes with the next look for orphans."""
        if conversation_id in self._waiting and not any(
            each.draft.message.conversation_id == conversation_id for each in self._running.values()
        ):
            task = asyncio.create_task(self._look_for_next())
            self._beginning.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._beginning.discard)

    async def _look_for_next(self) -> None:
        with suppress(SQLAlchemyError):  # the next look for orphans finds it, and says what is wrong
            await self._take_over()

    def _drop(self, running: _Running) -> None:
        running.is_over = True
        if isinstance(running.admitted, Place):
            running.admitted.give_up()
        message_id = running.draft.message.id
        if self._running.get(message_id) is running:
            del self._running[message_id]
            del self.bus.drafts[message_id]

    async def _restart(self, message_id: str) -> None:
        with Admitting(self._services.admit) as admitting:
            assignment = await self._in_storage(
                partial(
                    message_leases.restart,
                    self._database,
                    message_id,
                    lease=self._new_lease(),
                    lease_s=self._settings.lease_s,
                    admit=admitting,
                )
            )
        if assignment is not None:
            self._begin(assignment, admitting.admitted)

    async def _stop_unheard(self) -> None:
        """Stops the answers that nobody has listened to for a while, here or in another process."""
        now = asyncio.get_running_loop().time()
        unheard = [running for running in self._running.values() if self._is_unheard(running, now)]
        if not unheard:
            return
        conversations = [running.draft.message.conversation_id for running in unheard]
        elsewhere = await self._in_storage(message_reading.heard_elsewhere, self._database, conversations)
        for running in unheard:
            if running.is_over or not self._is_unheard(running, now):
                continue  # ended, or its reader came back, while we asked
            if running.draft.message.conversation_id in elsewhere:
                running.draft.unheard_since = now - self._settings.stop_after_reader_left_s + LOOK_AGAIN_S
                continue
            self._drop(running)  # at once: the model is free for others, however long writing takes
            task = asyncio.create_task(self._save_stopped(running.assignment, running.draft))
            self._stopping.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._stopping.discard)

    def _is_unheard(self, running: _Running, now: float) -> bool:
        since = running.draft.unheard_since
        is_ours_to_stop = not (running.is_kept or running.is_made)
        return is_ours_to_stop and since is not None and now - since >= self._settings.stop_after_reader_left_s

    async def _save_stopped(self, assignment: Assignment, draft: Draft) -> None:
        """Keeps what there is of an answer that is no longer made, for the reader who comes back.

        Who has come back already does not get to see it stopped, if it can be started again.
        """
        try:
            stopped = await self._in_storage(
                partial(
                    messages.stop,
                    self._database,
                    assignment,
                    text=draft.text,
                    citations=list(draft.citations),
                    ids=dict(draft.citation_ids),
                )
            )
            if stopped is None:  # somebody listens elsewhere since a moment ago: let it be taken up at once
                await self._in_storage(message_leases.release, self._database, [assignment])
            elif not (self.bus.has_readers(draft.message.conversation_id) and await self._is_restarted(draft)):
                self.bus.publish(*stopped)
        except SQLAlchemyError:
            _LOG.exception("Message %s could not be kept as stopped; its lease runs out.", draft.message.id)

    async def _is_restarted(self, draft: Draft) -> bool:
        try:
            await self._restart(draft.message.id)
        except RuntimeBusy:
            _LOG.info("Message %s stays stopped: the chat model has no place.", draft.message.id)
        return draft.message.id in self._running

    async def _renew(self) -> None:
        """Prolongs the leases, and keeps what has been written so far for other processes' readers."""
        for running in list(self._running.values()):
            text = running.draft.text
            written = text if text != running.kept_text else None
            change = await self._in_storage(
                message_leases.renew, self._database, running.assignment, written, self._settings.lease_s
            )
            if change is None:
                self._drop(running)  # it has just ended, or another process has taken over
                continue
            running.kept_text = text
            if written is not None:
                self.bus.note(running.draft.message.conversation_id, change)

    async def _take_over(self) -> None:
        """Makes the answers of processes that died, readers or not, and gives up on those that killed too many.

        So it does with those whose turn has come.
        """
        free = self._settings.parallel - len(self._running)
        if free <= 0:
            return
        for orphan in await self._in_storage(message_leases.orphans, self._database, free):
            if orphan.message_id in self._running:
                continue
            with Admitting(partial(self._services.admit, beyond_limit=True)) as admitting:  # it was let in before
                assignment = await self._in_storage(
                    partial(
                        message_leases.claim,
                        self._database,
                        orphan,
                        lease=self._new_lease(),
                        lease_s=self._settings.lease_s,
                        admit=admitting,
                    )
                )
            if assignment is None:
                continue
            if orphan.lease is not None:
                _LOG.warning("Message %s was left unanswered by its process; attempt %d.", *orphan.next_attempt)
            if orphan.attempts >= self._settings.max_attempts:
                tried = ModelFailed(f"{orphan.attempts} attempts ended before there was an answer.", transient=False)
                if isinstance(admitting.admitted, Place):
                    admitting.admitted.give_up()
                ended = await self._in_storage(self._saver.fail, assignment, tried)
                if ended is not None:
                    self.bus.publish(*ended)
            else:
                self._begin(assignment, admitting.admitted, is_kept=True)

    def _check_filter(self, scope: Scope, conversation_id: str, filter: Mapping[str, Any]) -> None:
        with self._database.read() as session:
            conversation = scope.conversation(session, conversation_id)
            knowledge_base = scope.knowledge_base(session, conversation.knowledge_base_id)
        try:
            self._services.passages(knowledge_base).document_keys(filter)
        except UnknownFilter as error:
            raise BadFilter(str(error), {"filter": dict(filter)}) from error

    def _new_lease(self) -> str:
        return f"{self._process}/{new_id()}"

    async def _in_storage(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._storage, partial(work, *arguments))

    async def _every(self, seconds: float, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await look()
            except SQLAlchemyError:
                _LOG.exception("The database did not answer; trying again.")


def _submit(pool: ThreadPoolExecutor, work: Callable[..., None], *arguments: Any) -> None:
    with suppress(RuntimeError):  # it takes nothing more: the process ends, and gives its leases up
        pool.submit(work, *arguments)
