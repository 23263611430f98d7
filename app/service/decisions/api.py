"""Decision tables over HTTP, for admins: which there are, checking a file, trying one. Owns the routes only."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.bootstrap import ServicesOf
from app.scope import AdminScope
from app.service.decisions.checks import LARGEST, checked
from app.service.decisions.decisions import SUFFIX, Entry
from app.service.decisions.errors import BadTable, TableProblem
from app.service.decisions.features import features_of
from rag.language import Language

router = APIRouter(prefix="/api/decisions", tags=["decisions"])


class TableSource(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, StringConstraints(max_length=LARGEST)] = Field(description="The JSON Decision Model.")


class Features(BaseModel):
    """What is known; with `text`, what is read from it is added under names that `features` does not have."""

    model_config = ConfigDict(extra="forbid")

    features: dict[str, Any] = Field({}, max_length=50)
    text: Annotated[str, StringConstraints(max_length=4000)] = ""
    language: Language = "en"


class TableProblemShape(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    file: str
    place: str
    reason: str


class TableShape(BaseModel):
    """A table. `version` is the SHA-256 of the file that decides, null when none was ever good.

    With `problems` the file has mistakes, and what it said before decides.
    """

    name: str
    title: str
    version: str | None
    inputs: dict[str, Any] = Field(description="JSON Schema of what it must be given.")
    problems: list[TableProblemShape]

    @classmethod
    def of(cls, entry: Entry) -> "TableShape":
        table = entry.table
        return cls(
            name=entry.name,
            title=table.title if table else "",
            version=table.version if table else None,
            inputs=dict(table.inputs) if table else {},
            problems=_shapes(entry.problems),
        )


class TableList(BaseModel):
    folder: str
    tables: list[TableShape]


class TableCheck(BaseModel):
    """Nothing is wrong when there are no problems."""

    problems: list[TableProblemShape]


class DecisionShape(BaseModel):
    """`fired` are the rules that led to it, `values` all of its output."""

    model_config = ConfigDict(from_attributes=True)

    table: str
    version: str
    result: Any
    score: float | None
    fired: list[dict[str, Any]]
    inputs: dict[str, Any]
    values: dict[str, Any]


@router.get("")
def get_decisions(services: ServicesOf, _: AdminScope) -> TableList:
    """Lists the decision tables: what each needs, which version decides, and what is wrong with it."""
    tables = services.decisions
    return TableList(folder=str(tables.folder), tables=[TableShape.of(entry) for entry in tables.entries()])


@router.post("/check")
def post_decision_check(given: TableSource, _: AdminScope) -> TableCheck:
    """Says what is wrong with a table, with places and reasons; keeps nothing."""
    try:
        checked("table", f"table{SUFFIX}", given.source)
    except BadTable as error:
        return TableCheck(problems=_shapes(error.problems))
    return TableCheck(problems=[])


@router.post("/{name}/evaluate")
def post_decision_evaluate(name: str, given: Features, services: ServicesOf, _: AdminScope) -> DecisionShape:
    """What a table says of given features, and the rules that fired; keeps nothing."""
    features = given.features
    if given.text:
        known = next((entry.table for entry in services.decisions.entries() if entry.name == name), None)
        wanted = known.inputs["properties"] if known else {}
        read = features_of(given.text, given.language)
        features = {key: value for key, value in read.items() if key in wanted} | features
    return DecisionShape.model_validate(services.decisions.evaluate(name, features))


def _shapes(problems: tuple[TableProblem, ...]) -> list[TableProblemShape]:
    return [TableProblemShape.model_validate(each) for each in problems]
