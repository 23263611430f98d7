"""A turn of a flow: from what the customer said to what the flow says and waits for.

Owns what becomes of a message that a flow waited for, and how it stands to that. What the steps do is
`app.service.flows.steps`; a step that fails says so by the way it takes, and never ends the turn in the middle.
"""

from collections.abc import Generator, Mapping
from typing import Any

from app.service.flows import slots as slot_values
from app.service.flows import texts, words
from app.service.flows.progress import Progress
from app.service.flows.schema import (
    AmountSlot,
    Collect,
    Confirm,
    DateSlot,
    EmailSlot,
    NumberSlot,
    OrderNumberSlot,
    Slot,
    TextSlot,
)
from app.service.flows.steps import STATE, Going
from app.service.flows.turn import Expectation, FlowTurn
from app.service.flows.version import Version
from app.service.turn import HandOffReason, HandOffWanted, ServiceAnswer
from rag.language import Language
from rag.types import AnswerEvent, AnswerKind, Finished, Token

__all__ = ["STATE", "begin", "choices", "expects", "go_on", "lost", "reminder"]

_WITH_DIGITS = (OrderNumberSlot, DateSlot, AmountSlot, NumberSlot)


def begin(version: Version, turn: FlowTurn, api_urls: Mapping[str, str]) -> Generator[AnswerEvent]:
    """The first turn: what is known already is taken, then the first step."""
    going = Going(version, Progress(), turn, api_urls)
    for name, value in turn.slots.items():
        if (
            name in version.flow.slots
            and (known := slot_values.known_value(version.flow.slots[name], value)) is not None
        ):
            going.progress.slots[name] = known
    going.take_volunteered(version.flow.slots)
    yield from going.run(version.first)


def go_on(
    version: Version, state: Mapping[str, Any], turn: FlowTurn, api_urls: Mapping[str, str]
) -> Generator[AnswerEvent]:
    """A further turn, from the step that waits."""
    waiting = version.steps.get(str(state.get("step")))
    if not isinstance(waiting, Collect | Confirm):
        yield from lost(state, turn)
        return
    going = Going(version, Progress.of(state), turn, api_urls)
    if expects(version, state, turn) is Expectation.CANCEL:
        yield from going.cancel()
    elif isinstance(waiting, Confirm):
        said = words.yes_or_no(turn.text)
        if said is None:
            yield from going.again(waiting)
            return
        going.progress.tries.pop(waiting.id, None)
        yield from going.run(waiting.yes if said else waiting.no)
    else:
        slot = version.flow.slots[waiting.slot]
        values = slot_values.values_in(slot, turn.text, going.progress.asked(version, waiting.slot, turn.now))
        if len(values) != 1:
            yield from going.again(waiting)
            return
        going.progress.fill(version, waiting.slot, values[0], turn.now)
        if not isinstance(slot, TextSlot):
            going.take_volunteered(version.flow.slots, but=values[0])
        yield from going.run(waiting.next or version.below[waiting.id])


def lost(state: Mapping[str, Any], turn: FlowTurn) -> Generator[AnswerEvent]:
    """The end of a flow that can no longer be read: an apology, and a person."""
    text = words.PHRASES[turn.language].lost
    yield Token(text)
    name = str(state.get("name"))
    wanted = HandOffWanted(HandOffReason.FLOW, note=f"The flow {name} could not go on: its version is not there.")
    details = {STATE: {"name": name, "step": state.get("step"), "slots": state.get("slots", {}), "is_over": True}}
    answer = ServiceAnswer(
        *(AnswerKind.HAND_OFF, text, (), (), "", "flow", None),
        details=details,
        state={STATE: None},
        hand_off=wanted,
    )
    yield Finished(answer)


def expects(version: Version, state: Mapping[str, Any], turn: FlowTurn) -> Expectation:
    """How a message stands to what is waited for.

    An attempt fits too: it looks like what was asked for, as digits do where an order number was. What looks like
    nothing of the kind may be meant for somebody else, and is `OTHER`.
    """
    waiting = version.steps.get(str(state.get("step")))
    if isinstance(waiting, Confirm):
        if words.yes_or_no(turn.text) is not None:
            return Expectation.FITS
        return Expectation.CANCEL if words.is_cancel(turn.text) else Expectation.OTHER
    if not isinstance(waiting, Collect):
        return Expectation.FITS  # it cannot go on, and says so
    slot = version.flow.slots[waiting.slot]
    asks = words.is_question(turn.text)
    if isinstance(slot, TextSlot):
        if words.is_cancel(turn.text):
            return Expectation.CANCEL
        return Expectation.OTHER if asks or words.may_want_a_person(turn.text) else Expectation.FITS
    asked = Progress.of(state).asked(version, waiting.slot, turn.now)
    if (not asks or slot_values.is_sure_in_questions(slot)) and slot_values.values_in(slot, turn.text, asked):
        return Expectation.FITS
    if words.is_cancel(turn.text):
        return Expectation.CANCEL
    return Expectation.FITS if not asks and _looks_like(slot, turn.text) else Expectation.OTHER


def _looks_like(slot: Slot, text: str) -> bool:
    if isinstance(slot, EmailSlot):
        return "@" in text or "＠" in text
    return isinstance(slot, _WITH_DIGITS) and any(sign.isdigit() for sign in text)


def reminder(version: Version, state: Mapping[str, Any], language: Language) -> str:
    """What it waits for, said again after something else."""
    waiting = version.steps.get(str(state.get("step")))
    if not isinstance(waiting, Collect | Confirm):
        return ""
    progress = Progress.of(state)
    values = progress.values_for_people(version, None, language, progress.now())
    text = waiting.ask if isinstance(waiting, Collect) else waiting.text
    title = version.flow.title.zh if language == "zh" else version.flow.title.en
    parts = (words.PHRASES[language].back_to.format(title), texts.rendered(text.in_(language), values, language))
    return ("" if language == "zh" else " ").join(parts)


def choices(version: Version, state: Mapping[str, Any], language: Language) -> list[str]:
    """What may be chosen from at the step that waits."""
    waiting = version.steps.get(str(state.get("step")))
    if isinstance(waiting, Confirm):
        phrases = words.PHRASES[language]
        return [phrases.yes, phrases.no]
    if not isinstance(waiting, Collect):
        return []
    progress = Progress.of(state)
    asked = progress.asked(version, waiting.slot, progress.now())
    return slot_values.labels(version.flow.slots[waiting.slot], asked, language)
