"""Requests to an API that may be killed at any moment.

Owns what is done when a connection dies: wait until the API is back, and send the request again or tell that its
outcome is open. Knows no routes.
"""

import time
from collections.abc import Sequence
from typing import Any

import httpx

from tests.crash.processes import Processes
from tests.crash.reference import Untrue

_START_S = 120.0


class Client:
    """Requests that outlive the API: whoever sends one gets its answer, or learns that the connection died."""

    def __init__(self, address: str, processes: Processes) -> None:
        self._http = httpx.Client(base_url=address, timeout=60)
        self._processes = processes
        self.lost = 0

    def wait(self) -> None:
        """Until the API answers."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self._http.get("/health").raise_for_status()
                return
            except httpx.TransportError as error:
                if time.monotonic() > deadline or self._processes.faults:
                    raise Untrue(f"The API does not come back: {error}; {self._processes.faults}") from error
                time.sleep(0.05)

    def request(self, method: str, path: str, *, patient: bool = True, **arguments: Any) -> httpx.Response | None:
        """None when the connection died with the request on its way, unless `patient`: then it is sent again.

        Raises `Untrue` for an answer that is the server's fault.
        """
        while True:
            try:
                answer = self._http.request(method, path, **arguments)
            except httpx.ConnectError:
                self.wait()  # it was not even sent
                continue
            except httpx.TransportError:
                self.lost += 1
                self.wait()
                if patient:
                    continue
                return None
            if answer.status_code >= 500:
                raise Untrue(f"{method} {path} was answered with {answer.status_code}: {answer.text}")
            return answer

    def get(self, path: str, **parameters: Any) -> Any:
        return self.sure("GET", path, (200,), params=parameters)

    def sure(self, method: str, path: str, expected: Sequence[int], **arguments: Any) -> Any:
        """The JSON of an answer with one of these statuses."""
        answer = self.request(method, path, **arguments)
        if answer is None or answer.status_code not in expected:
            told = "nothing" if answer is None else f"{answer.status_code}: {answer.text}"
            raise Untrue(f"{method} {path} was answered with {told}")
        return answer.json() if answer.content else None
