"""What a chat model's exception means to people, and whether asking again may help.

Owns the reading of other libraries' exceptions by what they have in common (a status code, a cause), so that no
provider's package has to be imported.
"""

import math
from collections.abc import Iterator

from rag.errors import ModelBusy, ModelFailed, ModelUnreachable, PromptTooLong

_TRANSIENT_STATUS = frozenset((408, 409, 425, 429))
_REFUSED_FOR_GOOD = frozenset((501, 505))  # the only ones of the 500s that say something of the request
_ASK_AGAIN_AFTER_S = 5
_LONGEST_WAIT_S = 3600
_UNREACHABLE = ("connect", "network", "transport", "protocol", "readerror", "writeerror")


def model_failure(error: Exception, model: str) -> ModelFailed:
    """The `ModelFailed` that stands for an exception of the model's client; its message holds no part of a key."""
    status = next((code for cause in _causes(error) if (code := _status(cause)) is not None), None)
    if status in (401, 403):
        return ModelFailed(
            f'The chat model "{model}" refused the key (status {status}). Check the key in the settings.',
            transient=False,
        )
    if status == 404:
        return ModelFailed(
            f'The chat model "{model}" is not known at the address in the settings (status 404).', transient=False
        )
    if status == 429:
        wait = next((wish for cause in _causes(error) if (wish := _wish(cause)) is not None), _ASK_AGAIN_AFTER_S)
        return ModelBusy(
            f'The chat model "{model}" is busy (status 429). Ask again in a moment.',
            retry_after_s=max(1, math.ceil(min(wait, _LONGEST_WAIT_S))),
        )
    names = [type(cause).__name__.lower() for cause in _causes(error)]
    if any("toolong" in name for name in names):
        return PromptTooLong(
            f'The question with its passages is too long for the chat model "{model}". Ask a shorter question, or '
            "serve the model with a longer context."
        )
    if status is not None and status >= 500 and status not in _REFUSED_FOR_GOOD:
        # A proxy in front of a model that is gone says 502 to 504; vLLM with a dead engine says 500.
        return ModelUnreachable(f'The chat model "{model}" is not there (status {status}). Ask again in a moment.')
    if status is not None:
        transient = status in _TRANSIENT_STATUS
        advice = "Ask again in a moment." if transient else "Check the model's settings."
        return ModelFailed(f'The chat model "{model}" failed (status {status}). {advice}', transient=transient)
    if any(getattr(cause, "stage", None) == "total" for cause in _causes(error)):
        return ModelFailed(
            f'The chat model "{model}" came to no end in the time that an answer may take. Ask for less at once.',
            transient=True,
        )
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)) or any("timeout" in name for name in names):
        return ModelUnreachable(f'The chat model "{model}" did not answer in time. Ask again in a moment.')
    if any(isinstance(cause, ConnectionError) for cause in _causes(error)) or any(
        part in name for name in names for part in _UNREACHABLE
    ):
        return ModelUnreachable(
            f'The chat model "{model}" cannot be reached. Check that it runs at the address in the settings.'
        )
    if any("unreadable" in name for name in names):
        return ModelFailed(
            f'What answers as the chat model "{model}" does not stream OpenAI\'s format. Check the address in the '
            "settings: it usually ends in /v1.",
            transient=False,
        )
    return ModelFailed(
        f'The chat model "{model}" failed ({type(error).__name__}). Check the model\'s settings and its log.',
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


def _wish(error: BaseException) -> float | None:
    """Seconds that the server asks to be left alone."""
    wish = getattr(error, "retry_after_s", None)
    return float(wish) if isinstance(wish, int | float) else None
