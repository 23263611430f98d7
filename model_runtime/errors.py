"""The errors of embedders, drawn as a tree. Knows nothing of HTTP or jobs: callers map them.

EmbedderError
├── ModelUnavailable     nothing can be loaded under that name: absent, damaged, or not downloadable
├── UnsupportedModel     the model is there, but the chosen backend cannot run it
├── MissingExtra         an optional package is not installed; the message is the command that installs it
└── TextTooLong          a passage has more tokens than the model reads

All are permanent: trying again without changing something gives the same error.
"""

from __future__ import annotations


class EmbedderError(Exception):
    """Base of everything that an embedder raises on purpose; its text is meant for people."""


class ModelUnavailable(EmbedderError):
    """The model, or the package that carries it, is absent or damaged."""


class UnsupportedModel(EmbedderError):
    """The backend cannot run this model's architecture, pooling or file format."""


class MissingExtra(EmbedderError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} is not installed. Install it with: pip install 'answerdesk[{extra}]' (in a checkout: make {extra})"
        )
        self.extra = extra


class TextTooLong(EmbedderError):
    """A passage exceeds the model's window; it is never cut silently.

    `index` is its place in the list that was given, `tokens` its length with prefix and special tokens, and
    `max_tokens` what the model reads.
    """

    def __init__(self, index: int, tokens: int, max_tokens: int) -> None:
        super().__init__(
            f"text {index} has {tokens} tokens with its prefix, the model reads {max_tokens}: split it before embedding"
        )
        self.index = index
        self.tokens = tokens
        self.max_tokens = max_tokens
