"""Whether the chat model's server answers, for those who ask whether we are ready, and for alerts.

Owns one small request to it, made at most every few seconds. Questions do not come by here: what they meet is told by
their own errors.
"""

import time
from threading import Lock

import httpx

from app.settings import AnswererName, Settings, WhenUnavailable
from model_runtime.addresses import is_loopback

ASK_EVERY_S = 5.0
WAIT_AT_MOST_S = 2.0


class RuntimeHealth:
    """Asks the configured chat endpoint, if there is one, for its list of models."""

    def __init__(self, settings: Settings) -> None:
        self._answers = settings.answers
        self._lock = Lock()
        self._asked_at: float | None = None
        self._problem: str | None = None

    @property
    def is_needed(self) -> bool:
        """Whether questions fail when it does not answer; knowledge bases with settings of their own left aside."""
        answers = self._answers
        return answers.answerer is AnswererName.GENERATIVE and answers.when_unavailable is WhenUnavailable.ERROR

    @property
    def is_known(self) -> bool:
        """Whether there is an address to ask."""
        return bool(self._answers.chat_model and self._answers.chat_base_url)

    def problem(self) -> str | None:
        """What people should know; None when it answers, or when there is nothing to ask."""
        if not self.is_known:
            return None
        with self._lock:
            now = time.monotonic()
            if self._asked_at is None or now - self._asked_at >= ASK_EVERY_S:
                self._problem = self._ask()
                self._asked_at = time.monotonic()
            return self._problem

    def _ask(self) -> str | None:
        address = self._answers.chat_base_url.rstrip("/")
        key = self._answers.chat_api_key.get_secret_value()
        try:
            reply = httpx.get(
                f"{address}/models",
                headers={"Authorization": f"Bearer {key}"},
                timeout=WAIT_AT_MOST_S,
                trust_env=not is_loopback(httpx.URL(address).host),  # no proxy of the environment leads back here
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"The chat model does not answer at {address} ({type(error).__name__}). Is it running?"
        if reply.status_code in (401, 403):
            return f"The chat model at {address} refuses the key: check ANSWERDESK_ANSWERS__CHAT_API_KEY."
        if reply.status_code >= 500:
            return f"The chat model at {address} says status {reply.status_code}: it may be starting."
        return None
