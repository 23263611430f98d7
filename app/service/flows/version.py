"""A flow as it was read once: its name, which source it is, and its steps by name."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from app.service.flows.schema import END, AnyStep, Collect, FlowFile


def digest_of(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


@dataclass(frozen=True)
class Version:
    """Never changes; a changed file is another version."""

    name: str
    digest: str
    flow: FlowFile

    @property
    def first(self) -> str:
        return self.flow.steps[0].id

    @cached_property
    def steps(self) -> dict[str, AnyStep]:
        return {step.id: step for step in self.flow.steps}

    @cached_property
    def below(self) -> dict[str, str]:
        """By step: the one after it in the file."""
        ids = [step.id for step in self.flow.steps]
        return dict(zip(ids, [*ids[1:], END], strict=True))

    def collecting(self, slot: str) -> Collect:
        """The first step that asks for a slot, which every slot has."""
        return next(step for step in self.flow.steps if isinstance(step, Collect) and step.slot == slot)
