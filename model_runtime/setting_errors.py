"""What is wrong with settings, told by their names and without their values, which may be keys."""

from __future__ import annotations

from pydantic import ValidationError

from model_runtime.environment import OUR_PREFIX


def reasons(error: ValidationError) -> str:
    """One sentence for each mistake, behind the name of its variable: `ANSWERDESK_RUNTIME__PORT: Input should be ...`.

    A mistake of several settings together has a sentence only, which names them.
    """
    return "; ".join(
        f"{_variable(each['loc'])}: {each['msg']}" if each["loc"] else each["msg"]
        for each in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _variable(place: tuple[int | str, ...]) -> str:
    return OUR_PREFIX + "__".join(str(part) for part in place).upper()
