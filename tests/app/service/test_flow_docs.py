"""docs/flows.md cannot drift: every kind, type and field is in it, nothing else is, and its example is good."""

import re
from pathlib import Path
from typing import get_args

from app.service.flows.checks import checked
from app.service.flows.schema import SLOT_TYPES, STEP_KINDS, AnyStep, Api, Slot

PAGE = (Path(__file__).parents[3] / "docs/flows.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, str]:
    """The rows of the table under a heading, by what stands first in them."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return {found[1]: found[0] for found in re.finditer(r"^\| `(\w+)` \|.*$", part, re.MULTILINE)}


def fields_of(union: object, tag: str) -> dict[str, set[str]]:
    """By kind: the fields that its model has, besides its name and its kind."""
    models = get_args(get_args(union)[0])
    return {get_args(model.model_fields[tag].annotation)[0]: set(model.model_fields) - {"id", tag} for model in models}


def test_every_kind_of_step_is_described_with_its_fields() -> None:
    described = rows("Kinds of steps")
    assert tuple(described) == STEP_KINDS
    fields = fields_of(AnyStep, "kind")
    assert set(fields) == set(STEP_KINDS)
    for kind, names in fields.items():
        last = described[kind].rsplit("|", 2)[1]
        assert names <= set(re.findall(r"`(\w+)`", last)), kind


def test_every_type_of_slot_is_described_with_its_fields() -> None:
    described = rows("Types of slots")
    assert tuple(described) == SLOT_TYPES
    for kind, names in fields_of(Slot, "type").items():
        last = described[kind].replace("\\|", " ").rsplit("|", 2)[1]
        assert names <= set(re.findall(r"`(\w+)`", last)), kind


def test_every_field_of_an_api_is_described() -> None:
    told = PAGE.split("Fields of an API:")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", told)) == set(Api.model_fields)


def test_the_example_is_a_good_flow() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [step.kind for step in checked("example.yaml", example).steps] == [
        "collect", "call", "say", "reject", "hand_off",
    ]  # fmt: skip
