"""The errors of the chat client, drawn as a tree.

ChatError
├── ChatUnreachable      no connection to the server                              (also a ConnectionError)
├── ChatBroken           the connection ended in the middle of an answer          (also a ConnectionError)
├── ChatTimeout          silent for too long; `stage` says when                   (also a TimeoutError)
├── ChatUnreadable       what came back is not the stream that was asked for
└── ChatRefused          the server said no; `status_code` is HTTP's
    ├── ChatTooLong      the prompt does not fit the model's context
    └── ChatBusy         status 429; `retry_after_s` is the server's wish

No message holds a key or a word of the server's own text, which may quote key or prompt. Callers outside this package
tell them apart by the built-in classes and attributes, without importing them.
"""

from enum import StrEnum


class TimeoutStage(StrEnum):
    CONNECT = "connect"
    FIRST_TOKEN = "first_token"
    BETWEEN_TOKENS = "between_tokens"
    TOTAL = "total"


class ChatError(Exception):
    """Base of what the client raises."""


class ChatUnreachable(ChatError, ConnectionError):
    """No connection to the server could be made."""


class ChatBroken(ChatError, ConnectionError):
    """The connection ended before the answer did."""


class ChatTimeout(ChatError, TimeoutError):
    """The server was silent for too long, or did not come to an end."""

    def __init__(self, stage: TimeoutStage, seconds: float) -> None:
        super().__init__(f"{stage.value.replace('_', ' ')}: nothing within {seconds:g} s")
        self.stage = stage


class ChatUnreadable(ChatError):
    """The body is not a stream of OpenAI's events."""


class ChatRefused(ChatError):
    """The server answered with an error of its own, as a status or inside the stream."""

    def __init__(self, status_code: int, retry_after_s: float | None = None) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code
        self.retry_after_s = retry_after_s


class ChatTooLong(ChatRefused):
    """The messages and the longest answer together exceed the model's context."""


class ChatBusy(ChatRefused):
    """The server has no place free, and had none when asked again."""
