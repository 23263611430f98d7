"""Golden questions, runs and candidates over HTTP. Owns the routes; what they do is in `app.evaluation.questions`,
`app.evaluation.runs`, `app.evaluation.calibration` and `app.evaluation.candidates`.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.bootstrap import ServicesOf
from app.errors import TooLargeRequest
from app.evaluation import calibration, candidates, questions, runs
from app.evaluation.shapes import (
    AcceptedCandidate,
    CalibrationShape,
    CandidateList,
    GoldenQuestionList,
    GoldenQuestionShape,
    GoldenResultList,
    GoldenRunList,
    GoldenRunShape,
    NewGoldenQuestion,
    NewGoldenRun,
    RunComparison,
    UploadedQuestions,
    WantedCalibration,
)
from app.scope import CallerScope
from rag.evaluation.asking import Outcome

router = APIRouter(prefix="/api/knowledge-bases/{knowledge_base}", tags=["quality"])

MOST_BYTES = 20 * 2**20
_JSONL = {"requestBody": {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}
_Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/golden-questions")
def get_golden_questions(
    knowledge_base: str, services: ServicesOf, scope: CallerScope, limit: _Limit = 100, cursor: str | None = None
) -> GoldenQuestionList:
    """Lists the questions whose right answers are known."""
    return questions.list_questions(services, scope, knowledge_base, limit, cursor)


@router.post("/golden-questions", status_code=201)
def post_golden_question(
    knowledge_base: str, new: NewGoldenQuestion, services: ServicesOf, scope: CallerScope
) -> GoldenQuestionShape:
    """Adds a golden question."""
    return questions.add_question(services, scope, knowledge_base, new)


@router.get("/golden-questions/file", response_class=Response)
def get_golden_file(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> Response:
    """All golden questions as JSONL, one a line, as it can be uploaded again."""
    return Response(questions.as_jsonl(services, scope, knowledge_base), media_type="application/x-ndjson")


@router.post("/golden-questions/file", openapi_extra=_JSONL)
async def post_golden_file(
    knowledge_base: str, request: Request, services: ServicesOf, scope: CallerScope
) -> UploadedQuestions:
    """Adds the questions of a golden file, the request's body, and changes those whose id is there already."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            raise TooLargeRequest(f"A golden file can have {MOST_BYTES // 2**20} MiB; split this one.")
    return await run_in_threadpool(questions.upload_questions, services, scope, knowledge_base, bytes(content))


@router.put("/golden-questions/{question_id}")
def put_golden_question(
    knowledge_base: str, question_id: str, new: NewGoldenQuestion, services: ServicesOf, scope: CallerScope
) -> GoldenQuestionShape:
    """Replaces what is asked and what is expected."""
    return questions.change_question(services, scope, knowledge_base, question_id, new)


@router.delete("/golden-questions/{question_id}", status_code=204)
def delete_golden_question(knowledge_base: str, question_id: str, services: ServicesOf, scope: CallerScope) -> Response:
    """Removes a golden question; runs that asked it stay."""
    questions.delete_question(services, scope, knowledge_base, question_id)
    return Response(status_code=204)


@router.get("/golden-runs")
def get_golden_runs(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> GoldenRunList:
    """Lists runs with their figures and how far they are."""
    return runs.list_runs(services, scope, knowledge_base)


@router.post("/golden-runs", status_code=202)
def post_golden_run(knowledge_base: str, new: NewGoldenRun, services: ServicesOf, scope: CallerScope) -> GoldenRunShape:
    """Has a worker ask all golden questions, with settings to be tried or the knowledge base's own."""
    return runs.begin_run(services, scope, knowledge_base, new)


@router.get("/golden-runs/compare")
def get_golden_comparison(
    knowledge_base: str, first: str, second: str, services: ServicesOf, scope: CallerScope
) -> RunComparison:
    """Two runs side by side: settings and figures that differ, and the questions whose outcome does."""
    return runs.compare_runs(services, scope, knowledge_base, first, second)


@router.get("/golden-runs/{run}")
def get_golden_run(knowledge_base: str, run: str, services: ServicesOf, scope: CallerScope) -> GoldenRunShape:
    """One run, by id or number."""
    return runs.get_run(services, scope, knowledge_base, run)


@router.get("/golden-runs/{run}/results")
def get_golden_results(
    knowledge_base: str,
    run: str,
    services: ServicesOf,
    scope: CallerScope,
    outcome: Annotated[list[Outcome], Query()] = [],  # noqa: B006  FastAPI copies it
    limit: _Limit = 100,
    cursor: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> GoldenResultList:
    """What became of each question of a run."""
    return runs.list_results(services, scope, knowledge_base, run, outcome, limit, cursor)


@router.post("/golden-runs/{run}/cancel")
def post_golden_run_cancel(knowledge_base: str, run: str, services: ServicesOf, scope: CallerScope) -> GoldenRunShape:
    """Stops a run; what has been asked stays."""
    return runs.cancel_run(services, scope, knowledge_base, run)


@router.post("/golden-runs/{run}/retry", status_code=202)
def post_golden_run_retry(knowledge_base: str, run: str, services: ServicesOf, scope: CallerScope) -> GoldenRunShape:
    """Has a failed or cancelled run go on where it was; what has been asked is kept."""
    return runs.retry_run(services, scope, knowledge_base, run)


@router.post("/golden-runs/{run}/calibrate")
def post_golden_run_calibrate(
    knowledge_base: str, run: str, wanted: WantedCalibration, services: ServicesOf, scope: CallerScope
) -> CalibrationShape:
    """Sets when the knowledge base refuses, for a wanted share of false answers, by a run that is done."""
    return calibration.calibrate_by_run(services, scope, knowledge_base, run, wanted.false_answers)


@router.delete("/golden-runs/{run}", status_code=204)
def delete_golden_run(knowledge_base: str, run: str, services: ServicesOf, scope: CallerScope) -> Response:
    """Deletes a run with its results."""
    runs.delete_run(services, scope, knowledge_base, run)
    return Response(status_code=204)


@router.get("/golden-candidates")
def get_golden_candidates(knowledge_base: str, services: ServicesOf, scope: CallerScope) -> CandidateList:
    """Lists thumbed-down answers that nobody has decided on."""
    return candidates.list_candidates(services, scope, knowledge_base)


@router.post("/golden-candidates/{message_id}/accept", status_code=201)
def post_golden_candidate_accept(
    knowledge_base: str, message_id: str, accepted: AcceptedCandidate, services: ServicesOf, scope: CallerScope
) -> GoldenQuestionShape:
    """Makes a golden question of a thumbed-down answer, with what would have been right."""
    return candidates.accept_candidate(services, scope, knowledge_base, message_id, accepted)


@router.post("/golden-candidates/{message_id}/dismiss", status_code=204)
def post_golden_candidate_dismiss(
    knowledge_base: str, message_id: str, services: ServicesOf, scope: CallerScope
) -> Response:
    """Leaves a thumbed-down answer at that."""
    candidates.dismiss_candidate(services, scope, knowledge_base, message_id)
    return Response(status_code=204)
