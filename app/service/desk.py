"""The desk: who answers a message, and the answer of whoever does.

Owns the order in which handlers are tried, what becomes of a flow that a question interrupts, and when a person is
called. Has the chain's shape: events, then `Finished`. Writes nothing: what a turn changes goes with its answer
(`app.service.turn`). Knows no HTTP and no threads.

    a flow waits for this ──► it goes on
    else the router says:     knowledge ──► the manuals; found nothing too often ──► a person
                              flow ──► it begins      chat ──► a reply
                              hand-off ──► a person   refusal ──► a word
    and what a flow was waiting for is said again behind whatever interrupted it.
"""

import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import Any

from app.admission import Admitted
from app.bootstrap import Chain, Services
from app.message_leases import Assignment
from app.service.flows.flows import Expectation, FlowTurn
from app.service.handoff.opening import hand_off_reply, service_settings
from app.service.language import language_here
from app.service.replies import REFUSED
from app.service.routing.router import Routing
from app.service.tools import DeskTools
from app.service.turn import FAILURES, FLOW, ROUTING, Handler, HandOffReason, HandOffWanted, ServiceAnswer
from rag.chain import normalised
from rag.language import Language
from rag.types import Answer, AnswerEvent, AnswerKind, Finished, Token

LANGUAGE = "language"
"""In a conversation's state: the language it is in."""

NOT_IN_MANUALS = "not_in_manuals"
"""In a message's details: people were called because the manuals do not have it."""

NAME = "service"
"""The answerer of what is said without the manuals."""

_QUESTION = re.compile(r"[?？]|[吗呢么]\s*$")
_FOUND_NOTHING = frozenset((AnswerKind.NOT_IN_MANUALS,))
_ANSWERED = frozenset((AnswerKind.ANSWER, AnswerKind.QUESTION_BACK, AnswerKind.CHAT))


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message at the desk. `flow` is the state of a flow that waits for something, if one does."""

    assignment: Assignment
    chain: Chain
    language: Language
    asked: FlowTurn
    flow: Mapping[str, Any] | None
    routing: Routing | None = None
    routing_ms: float = 0.0

    @property
    def state(self) -> Mapping[str, Any]:
        return self.assignment.state


class Desk:
    """Safe for threads."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def stream(self, assignment: Assignment, admitted: Admitted) -> Generator[AnswerEvent]:
        """The events of an answer, as `rag.chain.AnswerChain.stream` gives them. Raises what that raises.

        In a knowledge base without customer service they are the chain's.
        """
        chain = self._services.chain(assignment.knowledge_base, admitted)
        if assignment.knowledge_base.settings.get("service") is None:
            events: Iterator[AnswerEvent] = chain.stream(assignment.question)
        else:
            events = self._served(self._turn(assignment, chain))
        with closing(events):  # type: ignore[type-var]  # both are generators
            yield from events

    def _turn(self, assignment: Assignment, chain: Chain) -> _Turn:
        question = assignment.question
        language = language_here(question.text, assignment.state, question.context)
        asked = FlowTurn(
            text=normalised(question.text),
            message_id=assignment.message.id,
            language=language,
            at=assignment.message.created_at,  # not when it is made: "yesterday" must stay the same day
            question=question,
            tools=DeskTools(self._services, assignment.knowledge_base, chain, question),
            customer=assignment.customer,
        )
        return _Turn(assignment, chain, language, asked, assignment.state.get(FLOW))

    def _served(self, turn: _Turn) -> Generator[AnswerEvent]:
        flows = self._services.flows
        asked_for = self._services.router.person_asked_for(turn.asked.text) if turn.flow is not None else None
        if asked_for is not None and asked_for.hand_off is not None:
            yield from self._person(replace(turn, routing=asked_for), asked_for.hand_off)
            return
        if turn.flow is not None and flows.expects(turn.flow, turn.asked) is not Expectation.OTHER:
            yield from self._with_person(turn, flows.go_on(turn.flow, turn.asked))
            return
        started = time.perf_counter()
        routing = self._services.router.route(
            turn.asked.text,
            knowledge_base=turn.assignment.knowledge_base,
            state=turn.state,
            vector_of=self._services.question_vector(turn.assignment.knowledge_base),
        )
        turn = replace(turn, routing=routing, routing_ms=(time.perf_counter() - started) * 1000)
        match routing.handler:
            case Handler.FLOW if routing.flow is not None:
                yield from self._task(turn, routing.flow)
            case Handler.HAND_OFF if routing.hand_off is not None:
                yield from self._person(turn, routing.hand_off)
            case Handler.REFUSAL:
                yield from self._said(
                    turn, AnswerKind.REFUSAL, _in(turn.language, routing.reply) or REFUSED[turn.language]
                )
            case Handler.CHAT if reply := _in(turn.language, routing.reply):
                yield from self._said(turn, AnswerKind.CHAT, reply)
            case _ if turn.flow is not None:
                yield from self._in_between(turn, turn.flow)
            case _:
                yield from self._from_manuals(turn)

    def _task(self, turn: _Turn, name: str) -> Generator[AnswerEvent]:
        """Begins a flow, or goes on with the one of that name. Another that was waiting is dropped."""
        flows = self._services.flows
        if turn.flow is not None and turn.flow.get("name") == name:
            yield from self._with_person(turn, flows.go_on(turn.flow, turn.asked))
        else:
            yield from self._with_person(turn, flows.begin(name, turn.asked))

    def _from_manuals(self, turn: _Turn) -> Generator[AnswerEvent]:
        """The chain's answer; after too many in a row that found nothing, a person is called behind it."""
        with closing(turn.chain.stream(turn.assignment.question)) as events:
            for event in events:
                if not isinstance(event, Finished):
                    yield event
                    continue
                failures = _failures_after(event.answer, turn.state)
                settings = service_settings(turn.assignment.knowledge_base)
                if failures < settings.failures_before_hand_off:
                    yield self._finished(turn, event.answer, {FAILURES: failures})
                    continue
                wanted = HandOffWanted(HandOffReason.REPEATED_FAILURE)
                more = "\n\n" + self._reply(turn, wanted)
                yield Token(more)
                details = {**event.answer.details, NOT_IN_MANUALS: True}
                text = event.answer.text + more
                answer = replace(event.answer, kind=AnswerKind.HAND_OFF, text=text, details=details)
                yield self._finished(turn, answer, {FAILURES: 0}, wanted)

    def _in_between(self, turn: _Turn, flow: Mapping[str, Any]) -> Generator[AnswerEvent]:
        """A question while a flow waits: answered, and the flow's own said again. What is no question, and in no
        manual, is the flow's to deal with: it was meant for it.
        """
        answer = turn.chain.answer(turn.assignment.question)
        if answer.kind in _FOUND_NOTHING and not _QUESTION.search(turn.asked.text):
            yield from self._with_person(turn, self._services.flows.go_on(flow, turn.asked))
            return
        reminder = self._services.flows.reminder(flow, turn.language)
        text = "\n\n".join(each for each in (answer.text, reminder) if each)
        yield Token(text)
        choices = self._services.flows.choices(flow, turn.language)
        details = {**answer.details, FLOW: {"name": flow.get("name"), "choices": choices, "is_over": False}}
        yield self._finished(turn, replace(answer, text=text, details=details), {FAILURES: 0})

    def _person(self, turn: _Turn, wanted: HandOffWanted) -> Generator[AnswerEvent]:
        """Hands the conversation over. A flow that was waiting ends with that (`app.service.handoff.opening`)."""
        text = self._reply(turn, wanted)
        yield Token(text)
        yield self._finished(turn, self._words(turn, AnswerKind.HAND_OFF, text), {FAILURES: 0}, wanted)

    def _with_person(self, turn: _Turn, events: Generator[AnswerEvent]) -> Generator[AnswerEvent]:
        """A flow's events; where it calls a person, what the customer is told of that stands behind its words."""
        with closing(events):
            for event in events:
                if not isinstance(event, Finished):
                    yield event
                    continue
                answer = event.answer
                state = dict(answer.state) if isinstance(answer, ServiceAnswer) else {}
                wanted = answer.hand_off if isinstance(answer, ServiceAnswer) else None
                if wanted is not None:
                    more = ("\n\n" if answer.text else "") + self._reply(turn, wanted)
                    yield Token(more)
                    answer = replace(answer, kind=AnswerKind.HAND_OFF, text=answer.text + more)
                yield self._finished(turn, answer, {FAILURES: 0, **state}, wanted)

    def _said(self, turn: _Turn, kind: AnswerKind, text: str) -> Generator[AnswerEvent]:
        """Words of our own, and behind them what a flow still waits for."""
        details: dict[str, object] = {}
        if turn.flow is not None:
            text = "\n\n".join(each for each in (text, self._services.flows.reminder(turn.flow, turn.language)) if each)
            choices = self._services.flows.choices(turn.flow, turn.language)
            details[FLOW] = {"name": turn.flow.get("name"), "choices": choices, "is_over": False}
        yield Token(text)
        yield self._finished(turn, replace(self._words(turn, kind, text), details=details), {})

    def _reply(self, turn: _Turn, wanted: HandOffWanted) -> str:
        with self._services.database.read() as session:
            return hand_off_reply(
                session,
                turn.assignment.knowledge_base,
                wanted,
                turn.language,
                conversation_id=turn.assignment.message.conversation_id,
            )

    def _words(self, turn: _Turn, kind: AnswerKind, text: str) -> Answer:
        return Answer(kind, text, (), (), "", NAME, None)

    def _finished(
        self, turn: _Turn, answer: Answer, state: Mapping[str, object], hand_off: HandOffWanted | None = None
    ) -> Finished:
        """The answer with what it changes, and with how its handler was found."""
        known = {each.name: getattr(answer, each.name) for each in fields(Answer)}
        if turn.routing is not None:
            known["details"] = {**answer.details, ROUTING: turn.routing.details()}
            known["timings_ms"] = {**answer.timings_ms, "routing": turn.routing_ms}
        return Finished(ServiceAnswer(**known, state={LANGUAGE: turn.language, **state}, hand_off=hand_off))


def _in(language: Language, said: Mapping[Language, str] | None) -> str | None:
    """The words in this language, else in the other one."""
    return None if not said else said.get(language) or next(iter(said.values()))


def _failures_after(answer: Answer, state: Mapping[str, Any]) -> int:
    """What an uncertain answer was worth is not known: it counts neither way."""
    before = int(state.get(FAILURES) or 0)
    if answer.kind in _FOUND_NOTHING:
        return before + 1
    return 0 if answer.kind in _ANSWERED else before
