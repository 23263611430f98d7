"""The errors of the model server, drawn as a tree; every message says what to do.

VllmError
├── Refused           vLLM would not start with these settings, or would die with them
├── NotInstalled      there is no environment with vLLM in it
├── BuildFailed       the demonstration model could not be written
├── AlreadyRunning    a runtime, or what an earlier one left, is there
├── StartFailed       it ended at its start, or was not ready in time
└── StillThere        processes that could not be ended
"""

from __future__ import annotations


class VllmError(Exception):
    """Base of everything that starting and stopping raises on purpose; its text is meant for people."""


class Refused(VllmError):
    """Settings that contradict each other, the model or the machine."""


class NotInstalled(VllmError):
    """No environment with vLLM."""


class BuildFailed(VllmError):
    """The folder of the demonstration model could not be written."""


class AlreadyRunning(VllmError):
    """There is one runtime for each installation."""


class StartFailed(VllmError):
    """The server never became ready; the text holds its last words."""


class StillThere(VllmError):
    """Processes that outlived SIGKILL."""
