"""An Answerdesk made for a measurement: its own API and worker processes, folder, database and key, removed afterwards.

Owns what such an installation has of the settings (the embedder, the cache of models) and what not (data, caches of
answers, limits that would refuse the load). Knows nothing of what is measured.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from app.processes import Child, python_child, stop_all, wait_until_answering
from app.settings import Settings
from model_runtime.addresses import free_port


@dataclass(frozen=True)
class Throwaway:
    """A running one. `key` goes with every request; the worker may be stopped when all is read."""

    address: str
    key: str
    api: Child
    worker: Child


@contextmanager
def throwaway_answerdesk(
    settings: Settings, chat_base_url: str, model: str, *, streams: int, extra: Mapping[str, str] | None = None
) -> Iterator[Throwaway]:
    """Ready to be asked, with the generative answerer and `model` at `chat_base_url`, for so many questions at once.

    `extra` are further settings, by their names in the environment. Raises `ChildGaveUp` when it does not start.
    """
    with TemporaryDirectory(prefix="answerdesk-bench-") as folder:
        home, port, key = Path(folder), free_port(), secrets.token_urlsafe(24)
        environment = _environment(settings, home, port, key, chat_base_url, model, streams) | dict(extra or {})
        api = python_child("api", ["app.cli", "serve"], home / "logs", environment)
        worker = python_child("worker", ["app.cli", "worker"], home / "logs", environment)
        address = f"http://127.0.0.1:{port}"
        try:
            api.start()
            wait_until_answering(f"{address}/health", [api])  # it makes the tables that the worker needs
            worker.start()
            yield Throwaway(address, key, api, worker)
        finally:
            stop_all([api, worker])


def _environment(
    settings: Settings, home: Path, port: int, key: str, chat_base_url: str, model: str, streams: int
) -> dict[str, str]:
    return {
        "ANSWERDESK_HOME": str(home),
        "ANSWERDESK_CACHE": str(settings.cache_folder),
        "ANSWERDESK_LOG_LEVEL": "warning",
        "ANSWERDESK_DATABASE__URL": f"sqlite:///{home / 'answerdesk.db'}",
        "ANSWERDESK_SERVER__HOST": "127.0.0.1",
        "ANSWERDESK_SERVER__PORT": str(port),
        "ANSWERDESK_SERVER__ADMIN_KEY": key,
        "ANSWERDESK_ANSWERS__ANSWERER": "generative",
        "ANSWERDESK_ANSWERS__CHAT_PROVIDER": "openai",
        "ANSWERDESK_ANSWERS__CHAT_BASE_URL": chat_base_url,
        "ANSWERDESK_ANSWERS__CHAT_MODEL": model,
        "ANSWERDESK_ANSWERS__CHAT_API_KEY": "none",
        # Whoever measures waits, counts what fails instead of asking again, and has the model write as it would alone.
        "ANSWERDESK_ANSWERS__FIRST_TOKEN_TIMEOUT_S": "600",
        "ANSWERDESK_ANSWERS__BETWEEN_TOKENS_TIMEOUT_S": "600",
        "ANSWERDESK_ANSWERS__TIMEOUT_S": "600",
        "ANSWERDESK_ANSWERS__RETRIES": "0",
        "ANSWERDESK_ANSWERS__FREQUENCY_PENALTY": "0",
        "ANSWERDESK_ANSWERS__REPETITION_PENALTY": "1",
        "ANSWERDESK_ANSWERS__PARALLEL": str(max(streams, settings.answers.parallel)),
        "ANSWERDESK_ANSWERS__MAX_RUNNING": str(max(streams, 16)),
        "ANSWERDESK_ANSWERS__WHEN_UNAVAILABLE": "error",  # a quotation instead of an answer would look like speed
        "ANSWERDESK_CACHES__ANSWERS_MB": "0",
        "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "false"),
    }
