"""When a knowledge base refuses, set from its golden questions: by a run that is done, or by questions just asked.

Owns which runs may set it and that it becomes a setting. Which threshold it is, is `rag.evaluation.calibration`'s.
"""

from collections.abc import Sequence

from app.bootstrap import Services
from app.errors import Conflict
from app.evaluation.bench import settings_used
from app.evaluation.runs import asked_in
from app.evaluation.shapes import CalibrationShape
from app.knowledge_base_settings import KnowledgeBaseSettings
from app.knowledge_bases import KnowledgeBaseChange, change_knowledge_base
from app.models import GoldenRun, KnowledgeBase
from app.scope import Scope
from app.settings import AnswererName
from rag.evaluation.asking import Asked, Outcome
from rag.evaluation.calibration import calibrated, confidences, require_enough
from rag.evaluation.questions import GoldenQuestion

_DECIDES_CONFIDENCE = (
    "answerer",
    "dense_weight",
    "answer_passages",
    "reranker",
    "dictionary",
    "embedder",
    "generation",
)
"""What a run must have been made with as things are now: a threshold says nothing about other probabilities."""


def calibrate_by_run(
    services: Services, scope: Scope, knowledge_base: str, run: str, false_answers: float
) -> CalibrationShape:
    """Raises `Conflict` for a run that is not done, or that was answered otherwise than the knowledge base answers
    now, and `CannotCalibrate` when its questions say too little.
    """
    with services.database.read() as session:
        base = scope.knowledge_base(session, knowledge_base)
        row = scope.golden_run(session, base, run)
        _require_usable(services, base, row)
        asked = [each for each in asked_in(session, row.id) if each.outcome is not Outcome.NOT_ASKED]
    return calibrate_by_asked(services, scope, base, asked, false_answers)


def calibrate_by_asked(
    services: Services, scope: Scope, knowledge_base: KnowledgeBase, asked: Sequence[Asked], false_answers: float
) -> CalibrationShape:
    """Takes the place of whatever says when to refuse. Raises `Conflict` where a chat model answers, which gives no
    probability, and `CannotCalibrate` as above.
    """
    _require_extractive(services, knowledge_base)
    made = calibrated(*confidences(asked), false_answers)
    settings = KnowledgeBaseSettings(refuse_below=made.threshold, false_answers=None)
    change_knowledge_base(services, scope, knowledge_base.id, KnowledgeBaseChange(settings=settings))
    return CalibrationShape.of(made)


def require_promising(services: Services, knowledge_base: KnowledgeBase, questions: Sequence[GoldenQuestion]) -> None:
    """What can be known before the questions are asked, which takes long. Raises as `calibrate_by_asked`."""
    _require_extractive(services, knowledge_base)
    silent = sum(each.expected is None for each in questions)
    require_enough(len(questions) - silent, silent)


def _require_extractive(services: Services, knowledge_base: KnowledgeBase) -> None:
    if settings_used(services, knowledge_base, {})["answerer"] != AnswererName.EXTRACTIVE:
        raise Conflict(
            "The chat model's answers have no probability to refuse by: only extractive ones can be calibrated."
        )


def _require_usable(services: Services, knowledge_base: KnowledgeBase, run: GoldenRun) -> None:
    if run.status != "done":
        raise Conflict(f"Run {run.number} is {run.status}; only a run that is done can set when to refuse.")
    now = settings_used(services, knowledge_base, {})
    if other := [name for name in _DECIDES_CONFIDENCE if run.used.get(name) != now[name]]:
        raise Conflict(
            f"Run {run.number} was made with another {' and '.join(other)} than the knowledge base has now, so its "
            "probabilities say nothing about today's answers: begin a run without other settings, and use that.",
            {"settings": other},
        )
