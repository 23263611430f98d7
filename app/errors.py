"""Errors of the service, each with its HTTP status and a stable code.

    ServiceError
    ├── NotFound            404  not_found
    ├── Conflict            409  conflict
    ├── BadRequest          400  bad_request
    │   └── BadFilter       400  bad_filter
    ├── Unauthorized        401  unauthorized
    ├── Forbidden           403  forbidden
    ├── TooLargeRequest     413  too_large
    ├── UnsupportedUpload   415  unsupported_type
    ├── Gone                410  gone
    └── Unavailable         503  unavailable
        └── AnswerFailed    503  answer_failed

`app.main` turns them, and everything else that is raised, into the one error shape of the API.
"""

from collections.abc import Mapping


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


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"


class AnswerFailed(Unavailable):
    """The question was kept, but no answer could be made."""

    code = "answer_failed"
