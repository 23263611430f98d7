"""How far a conversation is in a flow: what is known, where it stands, how often it was asked, what was called.

Owns the JSON form of that (`conversation.state["flow"]`), and what the values are called in expressions and texts.
Knows no steps' doings.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.service.decisions.features import LONGEST, features_of
from app.service.flows import slots as slot_values
from app.service.flows.schema import ChoiceSlot
from app.service.flows.slots import Asked
from app.service.flows.version import Version
from rag.language import Language


@dataclass
class Progress:
    """`slots` came from the customer, `taken` from APIs, decisions and the catalogue; `step` is the one that waits.

    `chosen` are the options behind slots whose choices came from a step, by slot. `run` is this going through the flow,
    the same whenever its first turn is made again; `settled` is how often a step's call came to an end that the flow
    went on from, by step. `timezone` is the company's, None for the machine's. `said` is what the customer wrote to
    the flow, the last `LONGEST` characters of it.
    """

    slots: dict[str, Any] = field(default_factory=dict)
    taken: dict[str, Any] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    step: str | None = None
    chosen: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    settled: dict[str, int] = field(default_factory=dict)
    timezone: str | None = None
    said: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Progress":
        return cls(
            slots=dict(state.get("slots") or {}),
            taken=dict(state.get("taken") or {}),
            tries=dict(state.get("tries") or {}),
            step=state.get("step"),
            chosen=dict(state.get("chosen") or {}),
            run=str(state.get("run") or ""),
            settled=dict(state.get("settled") or {}),
            timezone=state.get("timezone"),
            said=str(state.get("said") or ""),
        )

    def state(self, version: Version) -> dict[str, Any]:
        return {
            "name": version.name,
            "digest": version.digest,
            "step": self.step,
            "slots": dict(self.slots),
            "taken": dict(self.taken),
            "tries": dict(self.tries),
            "chosen": dict(self.chosen),
            "run": self.run,
            "settled": dict(self.settled),
            "timezone": self.timezone,
            "said": self.said,
        }

    def now(self) -> datetime:
        """The time by the clock that the last turn went by."""
        return datetime.now(UTC).astimezone(ZoneInfo(self.timezone) if self.timezone else None)

    def key(self, flow: str, step: str, names: Iterable[str]) -> str:
        """The Idempotency-Key of a step's call, of whose request `names` are a part.

        The same as long as it is not known how the call ended, whichever message makes it: the turn may be made again,
        have been stopped, or have met a time-out. Another one after it has ended, so that a step that comes again does
        its work again, and for other values of the customer's, which no API may take for the ones it has.
        """
        parts = {name: self.slots[name] for name in names if name in self.slots}
        values = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        return f"{self.run}:{flow}.{step}:{self.settled.get(step, 0)}:{values}"

    def hear(self, text: str) -> None:
        """Keeps a message of the customer's, for `said` in expressions."""
        self.said = f"{self.said}\n{text}".strip()[-LONGEST:]

    def settle(self, step: str) -> None:
        """A step's call has ended in a way that is known."""
        self.settled[step] = self.settled.get(step, 0) + 1

    def fill(self, version: Version, slot: str, value: Any, at: datetime) -> None:
        """Keeps a slot's value, and with a choice the whole of what it was chosen from."""
        self.slots[slot] = value
        options = self.asked(version, slot, at).options
        found = next((each for each in options if isinstance(each, Mapping) and each.get("value") == value), None)
        if found is not None:
            self.chosen[slot] = dict(found)

    def forget(self, slot: str) -> None:
        self.slots.pop(slot, None)
        self.chosen.pop(slot, None)

    def asked(self, version: Version, slot: str, at: datetime) -> Asked:
        """The circumstances in which a slot is read, with `at` by the company's clock."""
        of = version.flow.slots[slot]
        name = of.options_from if isinstance(of, ChoiceSlot) else None
        options = self.taken.get(name) if name else None
        return Asked(at.date(), options if isinstance(options, list) else ())

    def values(self, customer: Mapping[str, Any] | None, language: Language, at: datetime) -> dict[str, Any]:
        """For expressions, addresses and bodies."""
        given = {
            "customer": dict(customer) if customer else None,
            "language": language,
            "today": at.date().isoformat(),
            "chosen": dict(self.chosen),
            "said": dict(features_of(self.said, language)),
        }
        return {**self.slots, **self.taken, **given}

    def values_for_people(
        self, version: Version, customer: Mapping[str, Any] | None, language: Language, at: datetime
    ) -> dict[str, Any]:
        """For texts: choices by their labels."""
        labelled = {
            name: slot_values.for_people(version.flow.slots[name], value, self.asked(version, name, at))
            for name, value in self.slots.items()
            if name in version.flow.slots
        }
        return {**self.values(customer, language, at), **labelled}
