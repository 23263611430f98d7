"""What the steps of a flow do, one after the other, until one waits for the customer or the flow is over.

Owns the order, what is said, and what a turn leaves behind: its answer with state and details. A kind of step is a
method that gives the name of the next, or None where it waits. Nothing that a customer, an API, a table or the manuals
say can raise out of it: what was called in a turn has been done, and the turn has to be kept.
"""

import json
import logging
import re
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from app.errors import ServiceError
from app.service.flows import calls, expressions, product_texts, texts, words
from app.service.flows import slots as slot_values
from app.service.flows.expressions import CannotEvaluate
from app.service.flows.progress import Progress
from app.service.flows.schema import (
    END,
    AnswerStep,
    AnyStep,
    Branch,
    Call,
    Collect,
    Confirm,
    Decide,
    HandOffStep,
    Reject,
    Say,
    SearchProducts,
    Slot,
    Text,
    texts_in,
)
from app.service.flows.turn import FlowTurn
from app.service.flows.version import Version
from app.service.turn import DECISIONS, FLOW, PRODUCTS_FOUND, HandOffReason, HandOffWanted, ServiceAnswer
from rag.chain import CHOICES
from rag.errors import RagError
from rag.types import AnswerEvent, AnswerKind, Citation, Cited, Finished, Hit, Token, Waiting

_LOG = logging.getLogger(__name__)

STATE = FLOW
"""The key of a conversation's state under which a flow keeps its own."""

ANSWERER = "flow"
_LARGEST_TAKEN = 32 * 1024
_MARKER = re.compile(r"\[(\d{1,3})\]")

Step = Generator[AnswerEvent, None, str | None]


class Going:
    """One turn of a flow in one conversation."""

    def __init__(self, version: Version, progress: Progress, turn: FlowTurn, api_urls: Mapping[str, str]) -> None:
        self.progress = progress
        progress.run = progress.run or turn.message_id
        progress.hear(turn.text)
        zone = turn.tools.timezone()
        progress.timezone = zone.key if zone is not None else None
        self._version = version
        self._turn = turn
        self._api_urls = api_urls
        self._said: list[str] = []
        self._citations: list[Citation] = []
        self._hits: list[Hit] = []
        self._calls: list[dict[str, Any]] = []
        self._decisions: list[dict[str, Any]] = []
        self._products: list[dict[str, Any]] = []
        self._choices: list[str] = []
        self._rejected: set[str] = set()
        self._hand_off: HandOffWanted | None = None

    def run(self, name: str | None) -> Generator[AnswerEvent]:
        """From the step of that name to where the customer has the word, then `Finished`.

        No step comes twice in a turn: whatever leads back waits first (`app.service.flows.checks`).
        """
        self.progress.step = None
        for _ in range(2 * len(self._version.flow.steps) + 1):
            if name is None or name == END:
                break
            name = yield from self._do(self._version.steps[name])
        yield self._finished()

    def again(self, step: Collect | Confirm) -> Generator[AnswerEvent]:
        """What was waited for did not come: asked again, or the way out."""
        yield from self._then_run(self._ask_again(step))

    def cancel(self) -> Generator[AnswerEvent]:
        """The customer wants it no longer."""
        title = self._version.flow.title
        language = self._turn.language
        yield self._say(words.PHRASES[language].cancelled.format(title.zh if language == "zh" else title.en))
        self.progress.step = None
        yield self._finished()

    def take_volunteered(self, slots: Mapping[str, Slot], but: Any = None) -> None:
        """Fills what is not known from the message, where it is beyond doubt and no two slots could mean it."""
        found: dict[str, Any] = {}
        for name, slot in slots.items():
            if name not in self.progress.slots and name not in self._rejected:
                asked = self.progress.asked(self._version, name, self._turn.now)
                values = slot_values.volunteered_in(slot, self._turn.text, asked)
                if len(values) == 1 and values[0] != but:
                    found[name] = values[0]
        said = list(found.values())
        for name, value in found.items():
            if said.count(value) == 1:
                self.progress.fill(self._version, name, value, self._turn.now)

    def _then_run(self, first: Step) -> Generator[AnswerEvent]:
        name = yield from first
        if name is None:
            yield self._finished()
        else:
            yield from self.run(name)

    def _do(self, step: AnyStep) -> Step:
        match step:
            case Collect():
                return self._collect(step)
            case Confirm():
                return self._ask(step, self._rendered(step.text))
            case Reject():
                return self._reject(step)
            case Call():
                return self._call(step)
            case Branch():
                return self._branch(step)
            case Say():
                return self._told(step.text, step.next or self._below(step))
            case AnswerStep():
                return self._answer(step)
            case SearchProducts():
                return self._search(step)
            case Decide():
                return self._decide(step)
            case HandOffStep():
                return self._hand_over(step)

    def _collect(self, step: Collect) -> Step:
        if step.slot not in self.progress.slots:  # its choices may be known only now
            self.take_volunteered({step.slot: self._version.flow.slots[step.slot]})
        if step.slot in self.progress.slots:
            self.progress.tries.pop(step.id, None)
            return step.next or self._below(step)
        return (yield from self._ask(step, self._rendered(step.ask)))

    def _ask(self, step: Collect | Confirm, text: str) -> Step:
        """Says it and waits, unless that was done often enough."""
        if self.progress.tries.get(step.id, 0) >= step.tries:
            self.progress.tries.pop(step.id)
            return step.otherwise
        self.progress.tries[step.id] = self.progress.tries.get(step.id, 0) + 1
        self.progress.step = step.id
        yield self._say(text)
        if isinstance(step, Confirm):
            phrases = words.PHRASES[self._turn.language]
            self._choices = [phrases.yes, phrases.no]
        else:
            asked = self.progress.asked(self._version, step.slot, self._turn.now)
            self._choices = slot_values.labels(self._version.flow.slots[step.slot], asked, self._turn.language)
        return None

    def _ask_again(self, step: Collect | Confirm) -> Step:
        if isinstance(step, Collect) and step.wrong is not None:
            text = self._rendered(step.wrong)
        else:
            asked = step.ask if isinstance(step, Collect) else step.text
            text = f"{words.PHRASES[self._turn.language].wrong}\n\n{self._rendered(asked)}"
        return (yield from self._ask(step, text))

    def _reject(self, step: Reject) -> Step:
        text = self._rendered(step.text)
        self.progress.forget(step.slot)
        self._rejected.add(step.slot)
        again = self._version.collecting(step.slot)
        if (yield from self._ask(again, text)) is None:
            return None
        yield self._say(text)
        return again.otherwise

    def _call(self, step: Call) -> Step:
        api = self._version.flow.apis[step.api]
        yield Waiting()
        outcome = calls.make(
            step,
            api,
            base_url=self._api_urls.get(step.api, api.url),
            values=self._values(),
            key=self.progress.key(self._version.name, step.id, self._slots_sent(step)),
            client=self._turn.tools.http(),
            secret=self._turn.tools.secret,
        )
        problem = outcome.problem
        is_known = outcome.status is not None and (200 <= outcome.status < 300 or outcome.status in step.on)
        if is_known and outcome.status is not None:
            is_good = outcome.status < 300
            problem = self._take(step, outcome.data, is_good=is_good) or problem
            if is_good and problem:
                is_known = False
        self._calls.append(
            {
                "step": step.id,
                "api": step.api,
                "status": outcome.status,
                "attempts": outcome.attempts,
                "problem": problem,
            }
        )
        if not is_known or outcome.status is None:
            return step.failed
        self.progress.settle(step.id)
        return step.on.get(outcome.status) or step.next or self._below(step)

    def _slots_sent(self, step: Call) -> frozenset[str]:
        """The slots of which something stands in the request."""
        written = (step.path, *step.query.values(), *texts_in(step.body))
        names = frozenset(name for text in written for name in texts.names_in(text))
        return names | frozenset(self.progress.chosen if "chosen" in names else ())

    def _take(self, step: Call, data: Any, *, is_good: bool) -> str:
        """Keeps what is wanted of the response; returns what is wrong with it, "" when nothing is."""
        taken: dict[str, Any] = {}
        for name, expression in step.take.items():
            try:
                taken[name] = expressions.evaluate(expression, data)
            except CannotEvaluate as error:
                return f"{name} could not be taken: {error}"
            if taken[name] is None and is_good and name not in step.may_be_missing:
                return f"the response has no {name}"
        if not is_good:
            taken = {name: value for name, value in taken.items() if value is not None}
        if len(json.dumps(taken)) > _LARGEST_TAKEN:
            return "what was to be taken of the response is too large"
        self.progress.taken |= taken
        return ""

    def _branch(self, step: Branch) -> Step:
        yield from ()
        values = self._values()
        for case in step.cases:
            try:
                if expressions.is_true(expressions.evaluate(case.if_, values)):
                    return case.next
            except CannotEvaluate as error:
                _LOG.warning("A condition of the flow %s does not hold: %s", self._version.name, error)
        return step.otherwise

    def _told(self, text: Text, following: str) -> Step:
        yield self._say(self._rendered(text))
        return following

    def _answer(self, step: AnswerStep) -> Step:
        yield Waiting()
        try:
            answer = self._turn.tools.answer(self._rendered(step.question))
        except (RagError, ServiceError) as error:
            _LOG.warning("The flow %s could not ask the manuals: %s", self._version.name, error)
            if step.not_found:
                return step.not_found
            yield self._say(words.PHRASES[self._turn.language].no_manuals)
            return step.next or self._below(step)
        if answer.kind is AnswerKind.NOT_IN_MANUALS and step.not_found:
            return step.not_found
        first = len(self._citations) + 1
        markers = {each.marker: first + place for place, each in enumerate(answer.citations)}
        renumbered = _MARKER.sub(lambda found: f"[{markers.get(int(found[1]), found[1])}]", answer.text)
        yield self._say(renumbered)
        for citation in answer.citations:
            self._citations.append(replace(citation, marker=markers[citation.marker]))
            yield Cited(self._citations[-1])
        self._hits += answer.hits
        return step.next or self._below(step)

    def _search(self, step: SearchProducts) -> Step:
        yield Waiting()
        query = self._turn.text if step.query is None else self._rendered(step.query)
        language = self._turn.language
        try:
            compared = self._turn.tools.compare_products(query, language=language)
            found = self._turn.tools.search_products(query, limit=step.limit, language=language)
        except ServiceError as error:
            _LOG.warning("The flow %s could not search the catalogue: %s", self._version.name, error)
            found, compared = [], ()
        if compared:
            names = [str(each) for each in compared[0][1:]]
            found = [each for each in found if each.get("name") in names]
            yield self._say("\n".join(product_texts.row(each, language) for each in compared))
        products = [dict(each) for each in found][: step.limit]
        if not (products or compared):
            return step.none
        self._products += products
        if step.into:
            self.progress.taken[step.into] = [product_texts.option(each) for each in products]
        if not compared:
            lines = (f"- {product_texts.line(each, language)}" for each in products)
            yield self._say("\n".join((self._rendered(step.text), *lines)))
        return step.next or self._below(step)

    def _decide(self, step: Decide) -> Step:
        yield Waiting()
        values = self._values()
        try:
            features = {name: expressions.evaluate(each, values) for name, each in step.features.items()}
            decision = self._turn.tools.decide(step.table, features)
        except (CannotEvaluate, ServiceError) as error:
            _LOG.warning("The flow %s could not decide by %s: %s", self._version.name, step.table, error)
            self._decisions.append({"table": step.table, "problem": str(error)})
            return step.failed
        decided = {
            "table": decision.table,
            "version": decision.version,
            "result": decision.result,
            "score": decision.score,
            "fired": list(decision.fired),
            "inputs": dict(decision.inputs),
        }
        self._decisions.append(decided)
        self.progress.taken[step.into] = {"result": decision.result, "score": decision.score}
        return step.next or self._below(step)

    def _hand_over(self, step: HandOffStep) -> Step:
        if step.text is not None:
            yield self._say(self._rendered(step.text))
        note = texts.rendered(step.note, self._values_for_people(), self._turn.language)
        self._hand_off = HandOffWanted(HandOffReason.FLOW, step.group, note)
        return END

    def _below(self, step: AnyStep) -> str:
        return self._version.below[step.id]

    def _values(self) -> dict[str, Any]:
        return self.progress.values(self._turn.customer, self._turn.language, self._turn.now)

    def _values_for_people(self) -> dict[str, Any]:
        turn = self._turn
        return self.progress.values_for_people(self._version, turn.customer, turn.language, turn.now)

    def _rendered(self, text: Text) -> str:
        return texts.rendered(text.in_(self._turn.language), self._values_for_people(), self._turn.language)

    def _say(self, text: str) -> Token:
        gap = "\n\n" if self._said else ""
        self._said.append(text)
        return Token(gap + text)

    def _finished(self) -> Finished:
        version, progress = self._version, self.progress
        is_over = progress.step is None
        flow = {
            "name": version.name,
            "digest": version.digest,
            "step": progress.step,
            "slots": dict(progress.slots),
            "is_over": is_over,
            CHOICES: self._choices,
            "calls": self._calls,
        }
        details: dict[str, object] = {FLOW: flow}
        details |= {DECISIONS: self._decisions} if self._decisions else {}
        details |= {PRODUCTS_FOUND: self._products} if self._products else {}
        answer = ServiceAnswer(
            kind=AnswerKind.FLOW if self._hand_off is None else AnswerKind.HAND_OFF,
            text="\n\n".join(self._said),
            citations=tuple(self._citations),
            hits=tuple(self._hits),
            searched_for="",
            answerer=ANSWERER,
            model=None,
            details=details,
            state={STATE: None if is_over else progress.state(version)},
            hand_off=self._hand_off,
        )
        return Finished(answer)
