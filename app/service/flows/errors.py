"""What is wrong with a flow file, and what stops a call.

ServiceError
└── BadRequest
    └── BadFlow     400  bad_flow    with every problem: file, line, place and reason
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.errors import BadRequest


@dataclass(frozen=True, slots=True)
class FlowProblem:
    """One mistake. `line` counts from 1; `place` is the way to it, like `steps.0.ask.zh`, empty for the whole file."""

    file: str
    line: int
    place: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.place}: {self.reason}" if self.place else f"{where}: {self.reason}"


class BadFlow(BadRequest):
    """A flow file with mistakes."""

    code = "bad_flow"

    def __init__(self, problems: Sequence[FlowProblem]) -> None:
        super().__init__("\n".join(map(str, problems)), {"problems": [asdict(each) for each in problems]})
        self.problems = tuple(problems)
