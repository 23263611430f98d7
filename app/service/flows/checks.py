"""Whether the parts of a flow fit together: what is found out when a file is read, before a customer is in it.

Owns the ways from step to step, and the checks of them: steps that are not there, that nothing leads to, that go round
without waiting for the customer; names that nothing gives a value, or not on every way to where they are used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.service.flows import expressions, texts
from app.service.flows.errors import BadFlow, FlowProblem
from app.service.flows.schema import (
    END,
    SLOT_TYPES,
    STEP_KINDS,
    AnswerStep,
    AnyStep,
    Branch,
    Call,
    ChoiceSlot,
    Collect,
    Confirm,
    Decide,
    FlowFile,
    HandOffStep,
    Reject,
    Say,
    SearchProducts,
    Text,
    TextSlot,
    texts_in,
)
from app.service.flows.source import Source, read

GIVEN = frozenset({"customer", "language", "today", "chosen", "said"})
"""Names that are always there: who the customer is, the language they write, the date (YYYY-MM-DD), what an API gave of
the options that were chosen, by slot, and the features of what the customer wrote to the flow
(`app.service.decisions.features`).
"""

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """From a step to another. `waits` where the customer has said something new before it is gone."""

    target: str
    place: Place
    gives: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
    waits: bool = False


def checked(file: str, text: str) -> FlowFile:
    """The flow. Raises `BadFlow` with every mistake found."""
    source = read(file, text)
    try:
        flow = FlowFile.model_validate(source.data)
    except ValidationError as error:
        found = error.errors()
        places = {each["loc"][:1] for each in found if len(each["loc"]) > 1}
        # A list whose parts are wrong is called too short as well.
        told = [each for each in found if not (each["type"] == "too_short" and each["loc"] in places)]
        raise BadFlow([_of_schema(source, each) for each in told]) from error
    if problems := [source.problem(place, reason) for place, reason in _Checks(flow).mistakes()]:
        raise BadFlow(problems)
    return flow


def _of_schema(source: Source, error: Any) -> FlowProblem:
    place = list(error["loc"])
    if len(place) > 2 and place[0] in ("steps", "slots") and place[2] in STEP_KINDS + SLOT_TYPES:
        del place[2]
    if place and place[-1] == "[key]":
        place.pop()
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        reason = "is missing"
    elif error["type"] == "extra_forbidden":
        reason = "is no field that belongs here"
    return source.problem(place, reason)


class _Checks:
    def __init__(self, flow: FlowFile) -> None:
        self._flow = flow
        self._index = {step.id: number for number, step in reversed(list(enumerate(flow.steps)))}
        self._collects = {step.slot: step for step in reversed(flow.steps) if isinstance(step, Collect)}
        self._ways = [tuple(self._ways_of(number, step)) for number, step in enumerate(flow.steps)]

    def mistakes(self) -> Iterator[tuple[Place, str]]:
        """Those of names first: where they are wrong, nothing more can be said about the graph."""
        named = list(self._names())
        yield from named
        if not named:
            yield from self._unreachable()
            yield from self._rounds()
            yield from self._values()

    def _ways_of(self, number: int, step: AnyStep) -> Iterator[Way]:
        at: Place = ("steps", number)
        below = self._flow.steps[number + 1].id if number + 1 < len(self._flow.steps) else END
        match step:
            case Collect():
                yield Way(step.next or below, (*at, "next"), gives=frozenset({step.slot}))
                yield Way(step.otherwise, (*at, "otherwise"), waits=True)
            case Reject():
                if again := self._collects.get(step.slot):
                    gone = frozenset({step.slot})
                    yield Way(again.id, (*at, "slot"), takes=gone, waits=True)
                    yield Way(again.otherwise, (*at, "slot"), takes=gone, waits=True)
            case Call():
                yield Way(step.next or below, (*at, "next"), gives=frozenset(set(step.take) - set(step.may_be_missing)))
                yield Way(step.failed, (*at, "failed"))
                yield from (Way(target, (*at, "on", status)) for status, target in step.on.items())
            case Branch():
                for n, case in enumerate(step.cases):
                    yield Way(case.next, (*at, "cases", n, "next"), gives=expressions.names_it_needs(case.if_))
                yield Way(step.otherwise, (*at, "otherwise"))
            case Confirm():
                for name in ("yes", "no", "otherwise"):
                    yield Way(getattr(step, name), (*at, name), waits=True)
            case AnswerStep():
                yield Way(step.next or below, (*at, "next"))
                if step.not_found:
                    yield Way(step.not_found, (*at, "not_found"))
            case SearchProducts():
                yield Way(step.next or below, (*at, "next"), gives=frozenset({step.into} if step.into else ()))
                yield Way(step.none, (*at, "none"))
            case Decide():
                yield Way(step.next or below, (*at, "next"), gives=frozenset({step.into}))
                yield Way(step.failed, (*at, "failed"))
            case Say():
                yield Way(step.next or below, (*at, "next"))

    def _names(self) -> Iterator[tuple[Place, str]]:
        flow = self._flow
        for number, step in enumerate(flow.steps):
            if self._index[step.id] != number or step.id == END:
                yield ("steps", number, "id"), f"{step.id!r} is taken; every step has a name of its own, and not 'end'"
            for way in self._ways[number]:
                if way.target != END and way.target not in self._index:
                    yield way.place, f"there is no step {way.target!r}"
            if isinstance(step, Collect | Reject) and step.slot not in flow.slots:
                yield ("steps", number, "slot"), f"there is no slot {step.slot!r}"
            elif isinstance(step, Reject) and step.slot not in self._collects:
                yield ("steps", number, "slot"), f"no step collects {step.slot!r}, so it cannot be asked for again"
            if isinstance(step, Call) and step.api not in flow.apis:
                yield ("steps", number, "api"), f"there is no API {step.api!r} among apis"
        for name, slot in flow.slots.items():
            if name in GIVEN:
                yield ("slots", name), "is a name that always has its own value; take another"
            elif name not in self._collects:
                yield ("slots", name), "no step collects it"
            if isinstance(slot, ChoiceSlot) and slot.options_from and slot.options_from not in self._made():
                yield ("slots", name, "options_from"), f"no step gives {slot.options_from!r} a value"
        for name, place in self._makers():
            if name in flow.slots or name in GIVEN:
                yield place, f"{name!r} has another meaning already; take another name"
        known = GIVEN | set(flow.slots) | self._made()
        for place, names, _ in self._uses():
            for name in sorted(names - known):
                yield place, f"nothing is called {name!r}: no slot, and no step gives it a value"

    def _makers(self) -> Iterator[tuple[str, Place]]:
        for number, step in enumerate(self._flow.steps):
            match step:
                case Call():
                    yield from ((name, ("steps", number, "take", name)) for name in step.take)
                case Decide() | SearchProducts():
                    if step.into:
                        yield step.into, ("steps", number, "into")

    def _made(self) -> set[str]:
        return {name for name, _ in self._makers()}

    def _uses(self) -> Iterator[tuple[Place, frozenset[str], bool]]:
        """Where names are used, and whether they must have a value there; expressions take what is missing as null."""
        for number, step in enumerate(self._flow.steps):
            at: Place = ("steps", number)
            for field in ("ask", "wrong", "text", "question", "query"):
                if isinstance(text := getattr(step, field, None), Text):
                    yield (*at, field, "en"), texts.names_in(text.en), True
                    yield (*at, field, "zh"), texts.names_in(text.zh), True
            match step:
                case Collect() if isinstance(slot := self._flow.slots.get(step.slot), ChoiceSlot) and slot.options_from:
                    yield (*at, "slot"), frozenset({slot.options_from}), True
                case Call():
                    yield (*at, "path"), texts.names_in(step.path), True
                    yield from (((*at, "query", name), texts.names_in(t), True) for name, t in step.query.items())
                    yield (*at, "body"), frozenset(n for t in texts_in(step.body) for n in texts.names_in(t)), True
                case Branch():
                    for n, case in enumerate(step.cases):
                        yield (*at, "cases", n, "if"), expressions.names_in(case.if_), False
                case Decide():
                    for name, feature in step.features.items():
                        yield (*at, "features", name), expressions.names_in(feature), False
                case HandOffStep():
                    yield (*at, "note"), texts.names_in(step.note), False

    def _unreachable(self) -> Iterator[tuple[Place, str]]:
        seen, waiting = set[str](), [self._flow.steps[0].id]
        while waiting:
            name = waiting.pop()
            if name != END and name not in seen:
                seen.add(name)
                waiting += [way.target for way in self._ways[self._index[name]]]
        for number, step in enumerate(self._flow.steps):
            if step.id not in seen:
                yield ("steps", number), f"no way leads to {step.id!r}"

    def _rounds(self) -> Iterator[tuple[Place, str]]:
        """Rounds that a turn could go for ever. Each is told once, at the step where it closes."""
        done: set[str] = set()
        for step in self._flow.steps:
            yield from self._rounds_from(step.id, [], done)

    def _rounds_from(self, name: str, path: list[str], done: set[str]) -> Iterator[tuple[Place, str]]:
        if name in done or name == END:
            return
        number = self._index[name]
        for way in self._ways[number]:
            if way.waits:
                continue
            if way.target in (*path, name):
                around = [*path, name][[*path, name].index(way.target) :]
                yield way.place, f"goes round without waiting for the customer: {' → '.join([*around, way.target])}"
            else:
                yield from self._rounds_from(way.target, [*path, name], done)
        done.add(name)

    def _values(self) -> Iterator[tuple[Place, str]]:
        known = self._surely_known()
        for place, names, needed in self._uses():
            step = self._flow.steps[int(place[1])]
            if needed:
                for name in sorted(names - GIVEN - known[step.id]):
                    yield place, f"{name!r} has no value yet on some way to here"
            if isinstance(step, Call) and place[2] == "path":
                for name in sorted(names & set(self._flow.slots)):
                    if isinstance(self._flow.slots[name], TextSlot):
                        yield place, f"{name!r} is free text, which may stand in a query or body but in no path"

    def _surely_known(self) -> dict[str, frozenset[str]]:
        """By step: the names that have a value however it was come to. A fixed point, from everything downwards."""
        everything = frozenset(self._flow.slots) | self._made()
        known = {step.id: everything for step in self._flow.steps} | {self._flow.steps[0].id: frozenset[str]()}
        changed = True
        while changed:
            changed = False
            for step, ways in zip(self._flow.steps, self._ways, strict=True):
                for way in ways:
                    if way.target == END:
                        continue
                    now = known[way.target] & ((known[step.id] | way.gives) - way.takes)
                    changed = changed or now != known[way.target]
                    known[way.target] = now
        return known
