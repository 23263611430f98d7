"""`answerdesk evaluate --calibrate`: sets when a knowledge base refuses, and says what that does.

Owns the sentences. The threshold is `rag.evaluation.calibration`'s, keeping it `app.evaluation.calibration`'s.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli_output import messages

if TYPE_CHECKING:
    from app.evaluation.shapes import CalibrationShape, ShareShape
    from rag.evaluation.asking import Asked


def calibrate_by(asked: "Sequence[Asked]", knowledge_base: str, false_answers: float) -> dict[str, Any]:
    """Stores the threshold and tells it; the same as data. Raises as `calibrate_by_asked`."""
    from app.bootstrap import build_services
    from app.cli_verbs import SCOPE
    from app.evaluation.calibration import calibrate_by_asked
    from app.settings import Settings

    services = build_services(Settings())
    try:
        with services.database.read() as session:
            row = SCOPE.knowledge_base(session, knowledge_base)
        made = calibrate_by_asked(services, SCOPE, row, asked, false_answers)
    finally:
        services.close()
    for line in _told(made):
        messages.print(line, markup=False, highlight=False, soft_wrap=True)
    return made.model_dump(mode="json")


def _told(made: "CalibrationShape") -> list[str]:
    lines = [
        f"Below a probability of {made.refuse_below:g} the knowledge base refuses now (refuse_below).",
        f"Not in the manuals, but answered: {_share(made.false_answers)} of {made.not_answerable} golden questions; "
        f"of further ones at most {made.expected_false_answers:.1%} can be expected.",
        f"In the manuals, but refused: {_share(made.false_refusals)} of {made.answerable}.",
    ]
    if made.questions_missing:
        lines.append(
            f"Too few to expect {made.wanted:.1%}: add {made.questions_missing} questions that the manuals do not "
            "answer, and calibrate again."
        )
    return lines


def _share(share: "ShareShape") -> str:
    return f"{share.value:.1%} (95%: {share.low:.1%} – {share.high:.1%})"
