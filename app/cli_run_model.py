"""The model server beside `answerdesk run --model`: started, waited for, warmed up, reported on and stopped.

Owns what `answerdesk run` says and waits for. The server itself, its watching and its restarts are
`model_runtime.server.control` and its supervisor; what answers with it is told through the API's environment.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from rich.console import Console

from app.processes import require_free_port
from app.settings import AnswererName, Settings
from model_runtime.server.control import source_of, start, stop
from model_runtime.server.errors import StartFailed
from model_runtime.server.settings import RuntimeSettings
from model_runtime.server.state import LIVE, RuntimeFolder, State, Status

_POLL_S = 0.3
_FIRST_ANSWER_S = 120.0
_IN_USE = LIVE - {State.STOPPING}


class ModelServer:
    """The one model server of an installation, for as long as `answerdesk run` lasts.

    A folder is served under its own name, for the pages name the model under each answer. A server of the same model
    that `answerdesk runtime start` has started answers instead, and is left running.
    """

    def __init__(self, settings: Settings, wanted: RuntimeSettings, console: Console) -> None:
        if not wanted.served_name and (folder := Path(wanted.model).expanduser()).is_dir():
            wanted = wanted.model_copy(update={"served_name": folder.resolve().name})
        self._wanted = wanted
        self._path = settings.runtime_folder
        self._folder = RuntimeFolder(self._path)
        self._console = console
        self._is_started = False
        self._told = State.READY
        self.name: str = wanted.served_name or wanted.model
        self.address = ""

    def start(self) -> None:
        """Begins; does not wait. Raises `PortTaken` or `VllmError`."""
        running = self._folder.read()
        if running.state in _IN_USE and running.source == source_of(self._wanted.model):
            self.name, self.address = running.model, running.address
            self._report(f"Answering with {self.name}, which is served already; `answerdesk runtime stop` ends it.")
            return
        if running.state not in LIVE:  # else there is a better answer than the port
            require_free_port(self._wanted.host, self._wanted.port, "ANSWERDESK_RUNTIME__PORT")
        self.address = start(self._wanted, self._path, os.environ, wait=False, report=self._report).address
        self._is_started = True

    def answers_environment(self) -> Mapping[str, str]:
        """What makes the API answer with this model."""
        key = self._wanted.api_key
        given = {
            "ANSWERER": AnswererName.GENERATIVE.value,
            "CHAT_PROVIDER": "openai",
            "CHAT_MODEL": self.name,
            "CHAT_BASE_URL": f"{self.address}/v1",
            "CHAT_API_KEY": key.get_secret_value() if key else "none",
        }
        return {f"ANSWERDESK_ANSWERS__{name}": value for name, value in given.items()}

    def wait_until_answering(self, stopping: threading.Event, look_after: Callable[[], None]) -> None:
        """Until it has answered a first, short request, so that no reader pays for what is loaded at the first use.

        `look_after` is called all the while. Returns early when `stopping` is set; raises `StartFailed`.
        """
        began = time.monotonic()
        with self._console.status("") as shown:
            while not stopping.is_set():
                status = self._folder.read()
                if status.state is State.READY and self._has_answered():
                    return
                if status.state not in LIVE:
                    raise StartFailed(f"{self.name} could not be started. {_reason(status)}")
                waited = time.monotonic() - began
                shown.update(f"Loading {self.name}, {waited:.0f} s (`answerdesk runtime logs -f` shows what it does)")
                look_after()
                stopping.wait(_POLL_S)

    def report_changes(self) -> None:
        """Says once when the server is away, and once when it is back or given up."""
        status = self._folder.read()
        if status.state is self._told:
            return
        self._told = status.state
        if status.state is State.READY:
            self._report(f"{self.name} is serving again.")
        elif status.state in LIVE:
            self._report(f"The model server is {status.state.value}. {status.last_error}")
        else:
            self._report(f"{self.name} is no longer served, answers will say so. {_reason(status)}")

    def stop(self) -> None:
        """Ends the server with all its workers, if it is ours. Raises `StillThere`."""
        if self._is_started:
            stop(self._path, self._wanted.stop_within_s)

    def _report(self, text: str) -> None:
        """Paths and last words as they are."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _has_answered(self) -> bool:
        """Raises `StartFailed` when the server refuses; False when it went away, which its supervisor sees to."""
        key = self._wanted.api_key
        try:
            answer = httpx.post(
                f"{self.address}/v1/completions",
                json={"model": self.name, "prompt": "How do I", "max_tokens": 4, "temperature": 0},
                headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
                timeout=_FIRST_ANSWER_S,
                trust_env=False,  # it is on this machine: no proxy of the environment
            )
        except httpx.TransportError:
            return False
        if answer.is_client_error:
            raise StartFailed(f"{self.name} refuses to answer (status {answer.status_code}): {answer.text[:500]}")
        return answer.is_success


def _reason(status: Status) -> str:
    return status.last_error or f"The model server is {status.state.value}."
