"""Flows over HTTP, for admins: which there are, checking, writing and removing a file. Owns the routes only."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.bootstrap import ServicesOf
from app.errors import NotFound
from app.scope import AdminScope
from app.service.flows.checks import checked
from app.service.flows.errors import BadFlow, FlowProblem
from app.service.flows.library import SUFFIX, Entry
from app.service.flows.source import LARGEST

router = APIRouter(prefix="/api/flows", tags=["flows"])


class FlowSource(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, StringConstraints(max_length=LARGEST)] = Field(description="The YAML, as docs/flows.md.")


class ProblemShape(BaseModel):
    """One mistake in a file; `line` counts from 1."""

    file: str
    line: int
    place: str
    reason: str

    @classmethod
    def of(cls, problem: FlowProblem) -> "ProblemShape":
        return cls(file=problem.file, line=problem.line, place=problem.place, reason=problem.reason)


class FlowShape(BaseModel):
    """A flow. `digest` is the version that new conversations begin, null when none was ever good.

    With `problems` the file has mistakes, and an earlier version answers.
    """

    name: str
    title: dict[str, str]
    digest: str | None
    steps: list[str] = Field(description="Names of its steps, in order.")
    slots: list[str]
    problems: list[ProblemShape]

    @classmethod
    def of(cls, entry: Entry) -> "FlowShape":
        flow = entry.version.flow if entry.version else None
        return cls(
            name=entry.name,
            title=flow.title.model_dump() if flow else {},
            digest=entry.version.digest if entry.version else None,
            steps=[step.id for step in flow.steps] if flow else [],
            slots=list(flow.slots) if flow else [],
            problems=[ProblemShape.of(each) for each in entry.problems],
        )


class FlowList(BaseModel):
    folder: str
    flows: list[FlowShape]


class VersionShape(BaseModel):
    digest: str
    created_at: datetime = Field(description="When it last became the one that answers.")


class FlowWithSource(BaseModel):
    flow: FlowShape
    source: str
    versions: list[VersionShape] = Field(description="Every good version, newest first.")


class CheckResult(BaseModel):
    """Nothing is wrong when there are no problems."""

    problems: list[ProblemShape]


@router.get("")
def get_flows(services: ServicesOf, _: AdminScope) -> FlowList:
    """Lists the flow files: what each does, which version answers, and what is wrong with it."""
    library = services.flows.library
    return FlowList(folder=str(library.folder), flows=[FlowShape.of(entry) for entry in library.entries()])


@router.post("/check")
def post_flow_check(given: FlowSource, _: AdminScope) -> CheckResult:
    """Says what is wrong with a flow, with lines and reasons; keeps nothing."""
    try:
        checked(f"flow{SUFFIX}", given.source)
    except BadFlow as error:
        return CheckResult(problems=[ProblemShape.of(each) for each in error.problems])
    return CheckResult(problems=[])


@router.get("/{name}")
def get_flow(name: str, services: ServicesOf, _: AdminScope) -> FlowWithSource:
    """A flow with its file and its versions."""
    library = services.flows.library
    source = library.source(name)
    versions = [VersionShape(digest=row.digest, created_at=row.created_at) for row in library.versions(name)]
    return FlowWithSource(flow=_shape(services, name), source=source, versions=versions)


@router.put("/{name}")
def put_flow(name: str, given: FlowSource, services: ServicesOf, _: AdminScope) -> FlowShape:
    """Writes a flow's file. One with mistakes is refused with all of them, and nothing changes."""
    return FlowShape.of(services.flows.library.save(name, given.source))


@router.delete("/{name}", status_code=204)
def delete_flow(name: str, services: ServicesOf, _: AdminScope) -> Response:
    """Removes a flow's file. Conversations that are in it go on to its end."""
    services.flows.library.delete(name)
    return Response(status_code=204)


def _shape(services: ServicesOf, name: str) -> FlowShape:
    entry = next((each for each in services.flows.library.entries() if each.name == name), None)
    if entry is None:
        raise NotFound(f"There is no flow {name!r}.", {"flow": name})
    return FlowShape.of(entry)
