"""What can be wrong with a decision table, and with what it is asked.

BadRequest
├── BadTable     400  bad_decision_table  the file has mistakes: all of them, each with place and reason
└── Undecided    400  undecided           an input is missing or not usable, or no rule fired
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.errors import BadRequest


@dataclass(frozen=True, slots=True)
class TableProblem:
    """One mistake. `place` is a node and, in a table, row and column, as the editor shows them; "" is the whole."""

    file: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.reason}" if self.place else f"{self.file}: {self.reason}"


class BadTable(BadRequest):
    code = "bad_decision_table"

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        super().__init__("\n".join(map(str, problems)), {"problems": [asdict(each) for each in problems]})
        self.problems = tuple(problems)


class Undecided(BadRequest):
    code = "undecided"
