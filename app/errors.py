"""Errors of the service, each with its HTTP status and a stable code.

    ServiceError
    ├── NotFound            404  not_found
    ├── Conflict            409  conflict
    ├── BadRequest          400  bad_request
    │   ├── BadFilter       400  bad_filter
    │   ├── BadImage        400  bad_image
    │   └── BadBundle       400  bad_bundle
    ├── Unauthorized        401  unauthorized
    ├── Forbidden           403  forbidden
    ├── TooLargeRequest     413  too_large
    ├── UnsupportedUpload   415  unsupported_type
    ├── Gone                410  gone
    ├── RuntimeBusy         429  runtime_busy
    ├── RateLimited         429  rate_limited
    └── Unavailable         503  unavailable
        └── AnswerFailed    503  answer_failed

`app.main` turns them, and everything else that is raised, into the one error shape of the API. Errors of `rag` have
their status and code here too (`status_and_code`).
"""

from collections.abc import Mapping

from rag.errors import (
    CannotCalibrate,
    DictionaryUnusable,
    IndexDamaged,
    ModelBusy,
    ModelFailed,
    ModelUnreachable,
    RagError,
    UnknownFilter,
)

_OF_RAG: dict[type[RagError], tuple[int, str]] = {
    UnknownFilter: (400, "bad_filter"),
    CannotCalibrate: (409, "conflict"),
    DictionaryUnusable: (503, "dictionary_unusable"),
    IndexDamaged: (503, "index_damaged"),
    ModelFailed: (503, "answer_failed"),
    ModelUnreachable: (503, "runtime_down"),
    ModelBusy: (429, "runtime_busy"),
}


def status_and_code(error: RagError) -> tuple[int, str]:
    """What an error of `rag` is over HTTP."""
    return next((_OF_RAG[kind] for kind in type(error).__mro__ if kind in _OF_RAG), (500, "internal_error"))


class ServiceError(Exception):
    """Base. `code` is stable; the message is for people; `details` are data for programs."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})


class NotFound(ServiceError):
    status = 404
    code = "not_found"


class Conflict(ServiceError):
    status = 409
    code = "conflict"


class BadRequest(ServiceError):
    status = 400
    code = "bad_request"


class BadFilter(BadRequest):
    code = "bad_filter"


class BadImage(BadRequest):
    """A picture sent with a question that cannot be used."""

    code = "bad_image"


class BadBundle(BadRequest):
    """A file that was to be imported is damaged, foreign, hostile or too new."""

    code = "bad_bundle"


class Unauthorized(ServiceError):
    status = 401
    code = "unauthorized"


class Forbidden(ServiceError):
    status = 403
    code = "forbidden"


class TooLargeRequest(ServiceError):
    status = 413
    code = "too_large"


class UnsupportedUpload(ServiceError):
    status = 415
    code = "unsupported_type"


class Gone(ServiceError):
    status = 410
    code = "gone"


class RuntimeBusy(ServiceError):
    """As many questions run and wait at the chat model as are allowed; nothing was kept."""

    status = 429
    code = "runtime_busy"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "As many questions as are allowed are being answered and waiting. "
            f"Send this one again in about {retry_after_s} seconds.",
            {"retry_after_s": retry_after_s},
        )
        self.headers = {"Retry-After": str(retry_after_s)}


class RateLimited(ServiceError):
    """Too much at once from one caller; nothing was done."""

    status = 429
    code = "rate_limited"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"That was too much at once. Try again in {retry_after_s} seconds.", {"retry_after_s": retry_after_s}
        )
        self.headers = {"Retry-After": str(retry_after_s)}


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"


class AnswerFailed(Unavailable):
    """The question was kept, but no answer could be made."""

    code = "answer_failed"
