"""What can be wrong with a catalogue file.

BadRequest
└── BadCatalogue   400  bad_catalogue   the file has mistakes: the first of them, each with its row; nothing changed
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.errors import BadRequest

MOST_TOLD = 20
"""Mistakes that are listed; there may be as many as rows."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One mistake. `row` is counted as in the file: in a sheet or CSV from 1 with the header, in JSONL its line."""

    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        place = f"row {self.row}" + (f", {self.column}" if self.column else "") if self.row else "the file"
        return f"{place}: {self.reason}"


class BadCatalogue(BadRequest):
    code = "bad_catalogue"

    def __init__(self, name: str, problems: Sequence[RowProblem], count: int | None = None) -> None:
        """`count` is how many there are when `problems` are only the first."""
        count = len(problems) if count is None else count
        told = list(problems)[:MOST_TOLD]
        more = f"\n… and {count - len(told):,} more" if count > len(told) else ""
        super().__init__(
            f"{name} was not taken, the catalogue is as it was. Mend this and send it again:\n"
            + "\n".join(map(str, told))
            + more,
            {"problems": [asdict(each) for each in told], "count": count},
        )
