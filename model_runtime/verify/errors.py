"""The errors of `runtime verify`, besides those of the model server; every message says what to do."""

from __future__ import annotations


class VerifyError(Exception):
    """The check could not be made; that is no verdict on the runtime. Its text is meant for people."""


class AnotherVerifies(VerifyError):
    """One check at a time for each installation."""


class UnknownMutant(VerifyError):
    """None of the models has such a wrong copy."""


class NotEnoughMemory(VerifyError):
    """The server would be killed in its start."""


class NoReference(VerifyError):
    """transformers gave no reference, or one against which nothing could be seen."""


class BadAnswer(VerifyError):
    """The server answered with something else than log-probabilities."""
