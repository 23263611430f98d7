"""What a chat model's exception means to people, and whether asking again may help.

Owns the reading of other libraries' exceptions by what they have in common (a status code, a cause), so that no
provider's package has to be imported.
"""

from collections.abc import Iterator

from rag.errors import ModelFailed

_TRANSIENT_STATUS = frozenset((408, 409, 425, 429))
_UNREACHABLE = ("connect", "network", "transport", "protocol", "readerror", "writeerror")


def model_failure(error: Exception, model: str) -> ModelFailed:
    """The `ModelFailed` that stands for an exception of the model's client; its message holds no part of a key."""
    status = next((code for cause in _causes(error) if (code := _status(cause)) is not None), None)
    if status in (401, 403):
        return ModelFailed(
            f'The language model "{model}" refused the key (status {status}). Check the key in the settings.',
            transient=False,
        )
    if status == 404:
        return ModelFailed(
            f'The language model "{model}" is not known at the address in the settings (status 404).', transient=False
        )
    if status == 429:
        return ModelFailed(f'The language model "{model}" is busy (status 429). Ask again in a moment.', transient=True)
    if status is not None:
        transient = status in _TRANSIENT_STATUS or status >= 500
        advice = "Ask again in a moment." if transient else "Check the model's settings."
        return ModelFailed(f'The language model "{model}" failed (status {status}). {advice}', transient=transient)
    names = [type(cause).__name__.lower() for cause in _causes(error)]
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)) or any("timeout" in name for name in names):
        return ModelFailed(
            f'The language model "{model}" did not answer in time. Ask again in a moment.', transient=True
        )
    if any(isinstance(cause, ConnectionError) for cause in _causes(error)) or any(
        part in name for name in names for part in _UNREACHABLE
    ):
        return ModelFailed(
            f'The language model "{model}" cannot be reached. Check that it runs at the address in the settings.',
            transient=True,
        )
    return ModelFailed(
        f'The language model "{model}" failed ({type(error).__name__}). Check the model\'s settings and its log.',
        transient=False,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None
