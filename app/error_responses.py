"""The one place where an error becomes a response.

Owns the JSON shape of errors, their HTTP status, and OpenAI's variant of the shape under `/v1`. Whatever is
raised ends here: our own errors, FastAPI's validation, unknown addresses, a database that is away or busy, and bugs
(which tell nothing but the log). Does not know what went wrong nor why.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.errors import ServiceError, TooLargeRequest, Unavailable, status_and_code
from app.shapes import ErrorShape
from rag.errors import ModelBusy, RagError

_LOG = logging.getLogger(__name__)

_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_type",
}
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_SHOWN_PROBLEMS = 3
_DATABASE_RETRY_S = 2


def install(app: FastAPI) -> None:
    """Makes every error of `app` end in `error_response`."""
    for kind in (ServiceError, RagError, RequestValidationError, HTTPException, OperationalError, Exception):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return error_response(request.scope, error)


def error_response(scope: Mapping[str, Any], error: Exception) -> Response:
    """`error` as the response to the request of this ASGI scope."""
    status, shape = describe(error, f"{scope['method']} {scope['path']}")
    headers = dict(getattr(error, "headers", None) or {})
    if isinstance(error, ModelBusy):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, OperationalError):
        headers["Retry-After"] = str(_DATABASE_RETRY_S)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = shape.model_dump()
    if scope["path"].startswith("/v1/"):
        kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        body["error"] |= {"type": kind, "param": None}
    return JSONResponse(body, status, headers)


def describe(error: Exception, request_line: str) -> tuple[int, ErrorShape]:
    """HTTP status and shape of an error. Only the messages of errors that are ours are shown."""
    match error:
        case ServiceError():
            return error.status, ErrorShape.of(error.code, error.message, error.details)
        case RagError():
            status, code = status_and_code(error)
            return status, ErrorShape.of(code, str(error))
        case RequestValidationError():
            return 422, _invalid(error)
        case HTTPException():
            code = _CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")
            return error.status_code, ErrorShape.of(code, _readable(error, request_line))
        case OperationalError():
            _LOG.error("The database failed in %s", request_line, exc_info=error)
            return 503, ErrorShape.of(Unavailable.code, "The database is away or busy just now. Try again in a moment.")
        case _:
            _LOG.error("Unhandled error in %s", request_line, exc_info=error)
            return 500, ErrorShape.of("internal_error", "Something went wrong in the server; its log says what.")


def for_readers(error: Exception) -> ErrorShape:
    """What those who wait for an answer are told. Messages of errors that are not ours may hold internals."""
    match error:
        case RagError():
            return ErrorShape.of(status_and_code(error)[1], str(error))
        case ServiceError():
            return ErrorShape.of(error.code, error.message, error.details)
        case _:
            return ErrorShape.of("internal_error", "Something went wrong while answering; the server's log says what.")


class BodyTooLarge(HTTPException, TooLargeRequest):
    """Raised while a body is read, where FastAPI lets nothing but its own exception through."""

    def __init__(self, message: str, limit: int) -> None:
        HTTPException.__init__(self, 413, message)
        TooLargeRequest.__init__(self, message, {"limit_bytes": limit})


def _readable(error: HTTPException, request_line: str) -> str:
    match error.status_code:
        case 404:
            return f"There is nothing at {request_line}; /docs lists the addresses."
        case 405:
            return f"{request_line} is not possible; /docs says what is."
        case _:
            return str(error.detail)


def _invalid(error: RequestValidationError) -> ErrorShape:
    """What is wrong with the request, field by field; the values sent are not repeated."""
    problems = [
        {
            "field": ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0]),
            "problem": problem["msg"],
        }
        for problem in error.errors()
    ]
    shown = "; ".join(f"{each['field']}: {each['problem']}" for each in problems[:_SHOWN_PROBLEMS])
    more = len(problems) - _SHOWN_PROBLEMS
    return ErrorShape.of(
        "invalid_request",
        f"The request is not valid: {shown}{f'; and {more} more' if more > 0 else ''}.",
        {"problems": problems},
    )
