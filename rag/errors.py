"""Errors of retrieval and answering.

RagError
├── UnknownFilter        the filter names something that cannot be filtered by
├── IndexDamaged         a snapshot on disk cannot be read; `answerdesk index rebuild` mends it
├── IndexBusy            another process is writing the same index
├── BadEvaluationFile    queries or judgements that cannot be read
├── DictionaryUnusable   the Chinese-English dictionary is not installed, or its file is damaged
├── CannotCalibrate      golden questions that say too little for a threshold
└── ModelFailed          the chat model could not answer
    ├── ModelUnreachable nothing answers at its address, it went away in mid-answer, or was silent for too long
    ├── ModelBusy        more questions run and wait at the model than are admitted
    └── PromptTooLong    what the model is to read does not fit its context
"""


class RagError(Exception):
    """Base of the package's errors; its message is for people."""


class UnknownFilter(RagError):
    """A filter field or value that no document can match."""


class IndexDamaged(RagError):
    """An index snapshot that cannot be read."""


class IndexBusy(RagError):
    """Another process is writing the same index."""


class BadEvaluationFile(RagError):
    """Queries or judgements that cannot be read, or that do not belong together; names the file and line."""


class CannotCalibrate(RagError):
    """Golden questions from which no threshold can be chosen; says what to add or to look at."""


class DictionaryUnusable(RagError):
    """The dictionary cannot be read; says what to install or to delete."""


class ModelFailed(RagError):
    """The chat model failed; `transient` says whether asking again may help."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class ModelUnreachable(ModelFailed):
    """The model's server is not there, or not any more: the next question would most likely meet the same."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=True)


class ModelBusy(ModelFailed):
    """No place is free at the model; asking again after `retry_after_s` seconds may help."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, transient=True)
        self.retry_after_s = retry_after_s


class PromptTooLong(ModelFailed):
    """The prompt and the longest answer together exceed the model's context; with less in the prompt it may fit."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)
