"""The HTTP API as the pages see it: a typed client, and the one kind of error that they show.

Owns addresses and the reading of server-sent events. Knows nothing of Streamlit.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import httpx

Json = dict[str, Any]
"""A value in one of the API's shapes."""


class ApiError(Exception):
    """The API refused or could not be reached; the message is for people."""

    def __init__(self, message: str, code: str, status: int, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.details = details or {}

    @property
    def is_unreachable(self) -> bool:
        """The API is not there; it may be again soon."""
        return self.code == "unreachable"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event of a conversation."""

    name: str
    data: Json


class ApiClient:
    """One client serves all sessions of the interface; httpx keeps its connections open."""

    def __init__(self, address: str, token: str | None) -> None:
        """`token` is a sign-in's, or the admin key."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.address = address
        self.token = token
        self._http = httpx.Client(base_url=address, headers=headers, timeout=httpx.Timeout(120, connect=5))

    def whose(self) -> tuple[str, str | None]:
        """What tells apart what is remembered for one reader from what is remembered for another."""
        return self.address, self.token

    def me(self) -> Json:
        """Who is signed in: `account` or null, `role`, null for nobody, and whether `accounts_exist`."""
        return self._json("GET", "/api/auth/me")

    def sign_in(self, email: str, password: str, forwarded_for: str = "") -> Json:
        """The `token`, until when it holds, and the `account`.

        `forwarded_for`: by which addresses the browser came here. Where this machine is among the trusted proxies, the
        API counts wrong passwords by them; else all who sign in here share one count.
        """
        headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
        return self._json("POST", "/api/auth/sign-in", json={"email": email, "password": password}, headers=headers)

    def sign_out(self) -> None:
        self._send("POST", "/api/auth/sign-out")

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """For other clients that stand on this one. Raises `ApiError`."""
        return self._send(method, path, **arguments)

    def answers(self) -> Json:
        """What answers in this installation: `answerer`, `model`, and whether that is a `demonstration` model."""
        found: Json = self._json("GET", "/")["answers"]
        return found

    def knowledge_bases(self) -> list[Json]:
        found: list[Json] = self._json("GET", "/api/knowledge-bases")["knowledge_bases"]
        return found

    def create_knowledge_base(self, name: str, language: str) -> Json:
        return self._json("POST", "/api/knowledge-bases", json={"name": name, "language": language})

    def delete_knowledge_base(self, knowledge_base: str) -> None:
        self._send("DELETE", f"/api/knowledge-bases/{knowledge_base}")

    def generations(self, knowledge_base: str) -> list[Json]:
        """Newest first."""
        found: list[Json] = self._json("GET", f"/api/knowledge-bases/{knowledge_base}/generations")["generations"]
        return found

    def build_generation(self, knowledge_base: str, embedder: str | None, chunker: Mapping[str, object]) -> Json:
        """`embedder` None: that of the generation that answers."""
        wanted = {"embedder": embedder, "chunker": dict(chunker)}
        return self._json("POST", f"/api/knowledge-bases/{knowledge_base}/generations", json=wanted)

    def activate_generation(self, knowledge_base: str, number: int) -> Json:
        return self._json("POST", f"/api/knowledge-bases/{knowledge_base}/generations/{number}/activate")

    def retry_generation(self, knowledge_base: str, number: int) -> Json:
        return self._json("POST", f"/api/knowledge-bases/{knowledge_base}/generations/{number}/retry")

    def drop_generation(self, knowledge_base: str, number: int) -> None:
        self._send("DELETE", f"/api/knowledge-bases/{knowledge_base}/generations/{number}")

    def is_reachable(self) -> bool:
        try:
            self._send("GET", "/health")
        except ApiError:
            return False
        return True

    def change_settings(self, knowledge_base: str, settings: Mapping[str, object]) -> Json:
        """Settings of the knowledge base's own; those not named stay."""
        return self._json("PATCH", f"/api/knowledge-bases/{knowledge_base}", json={"settings": dict(settings)})

    def document_report(self, knowledge_base: str) -> Json:
        return self._json("GET", f"/api/knowledge-bases/{knowledge_base}/report")

    def golden_questions(self, knowledge_base: str, limit: int, cursor: str | None = None) -> Json:
        params: dict[str, str | int] = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        return self._json("GET", f"/api/knowledge-bases/{knowledge_base}/golden-questions", params=params)

    def golden_file(self, knowledge_base: str) -> bytes:
        """All golden questions as JSONL."""
        return self._send("GET", f"/api/knowledge-bases/{knowledge_base}/golden-questions/file").content

    def upload_golden(self, knowledge_base: str, content: bytes) -> Json:
        return self._json("POST", f"/api/knowledge-bases/{knowledge_base}/golden-questions/file", content=content)

    def save_golden(self, knowledge_base: str, question: Mapping[str, object], question_id: str | None = None) -> Json:
        """Adds a question, or replaces the one with this id."""
        path = f"/api/knowledge-bases/{knowledge_base}/golden-questions"
        if question_id is None:
            return self._json("POST", path, json=dict(question))
        return self._json("PUT", f"{path}/{question_id}", json=dict(question))

    def delete_golden(self, knowledge_base: str, question_id: str) -> None:
        self._send("DELETE", f"/api/knowledge-bases/{knowledge_base}/golden-questions/{question_id}")

    def golden_runs(self, knowledge_base: str) -> list[Json]:
        """Newest first."""
        found: list[Json] = self._json("GET", f"/api/knowledge-bases/{knowledge_base}/golden-runs")["runs"]
        return found

    def begin_golden_run(self, knowledge_base: str, settings: Mapping[str, object], note: str) -> Json:
        wanted = {"settings": dict(settings), "note": note}
        return self._json("POST", f"/api/knowledge-bases/{knowledge_base}/golden-runs", json=wanted)

    def cancel_golden_run(self, knowledge_base: str, run: str) -> None:
        self._send("POST", f"/api/knowledge-bases/{knowledge_base}/golden-runs/{run}/cancel")

    def calibrate_by_golden_run(self, knowledge_base: str, run: str, false_answers: float) -> Json:
        """Sets when the knowledge base refuses; what it does to the run's questions."""
        path = f"/api/knowledge-bases/{knowledge_base}/golden-runs/{run}/calibrate"
        return self._json("POST", path, json={"false_answers": false_answers})

    def delete_golden_run(self, knowledge_base: str, run: str) -> None:
        self._send("DELETE", f"/api/knowledge-bases/{knowledge_base}/golden-runs/{run}")

    def golden_results(self, knowledge_base: str, run: str, outcomes: Sequence[str], limit: int) -> list[Json]:
        """The first questions of a run with one of these outcomes."""
        params: dict[str, object] = {"outcome": list(outcomes), "limit": limit}
        path = f"/api/knowledge-bases/{knowledge_base}/golden-runs/{run}/results"
        found: list[Json] = self._json("GET", path, params=params)["results"]
        return found

    def compare_golden_runs(self, knowledge_base: str, first: str, second: str) -> Json:
        params = {"first": first, "second": second}
        return self._json("GET", f"/api/knowledge-bases/{knowledge_base}/golden-runs/compare", params=params)

    def golden_candidates(self, knowledge_base: str) -> list[Json]:
        path = f"/api/knowledge-bases/{knowledge_base}/golden-candidates"
        found: list[Json] = self._json("GET", path)["candidates"]
        return found

    def accept_candidate(self, knowledge_base: str, message: str, expected: object) -> None:
        path = f"/api/knowledge-bases/{knowledge_base}/golden-candidates/{message}/accept"
        self._send("POST", path, json={"expected": expected})

    def dismiss_candidate(self, knowledge_base: str, message: str) -> None:
        self._send("POST", f"/api/knowledge-bases/{knowledge_base}/golden-candidates/{message}/dismiss")

    def documents(
        self, knowledge_base: str, limit: int, cursor: str | None = None, language: str | None = None
    ) -> Json:
        """Those of one language, where one is given."""
        params: dict[str, str | int] = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        if language is not None:
            params["language"] = language
        return self._json("GET", f"/api/knowledge-bases/{knowledge_base}/documents", params=params)

    def all_documents(self, knowledge_base: str) -> list[Json]:
        """Every document, newest first, in as many requests as it takes."""
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = self.documents(knowledge_base, 1000, cursor)
            found += page["documents"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def upload(self, knowledge_base: str, files: Sequence[tuple[str, BinaryIO]]) -> Json:
        parts = [("files", (name, file)) for name, file in files]
        return self._json("POST", f"/api/knowledge-bases/{knowledge_base}/documents", files=parts)

    def change_document(self, document: str, change: Mapping[str, object]) -> Json:
        """Title, language and facets; those not named stay."""
        return self._json("PATCH", f"/api/documents/{document}", json=dict(change))

    def delete_document(self, document: str) -> None:
        self._send("DELETE", f"/api/documents/{document}")

    def retry_document(self, document: str) -> None:
        self._send("POST", f"/api/documents/{document}/retry")

    def retry_job(self, job: str) -> None:
        self._send("POST", f"/api/jobs/{job}/retry")

    def passages(self, document: str, limit: int) -> Json:
        return self._json("GET", f"/api/documents/{document}/passages", params={"limit": limit})

    def search(self, knowledge_base: str, query: str, top_k: int) -> Json:
        return self._json(
            "POST", f"/api/knowledge-bases/{knowledge_base}/search", json={"query": query, "top_k": top_k}
        )

    def create_conversation(self, knowledge_base: str) -> Json:
        return self._json("POST", "/api/conversations", json={"knowledge_base": knowledge_base})

    def conversation(self, conversation: str) -> Json:
        return self._json("GET", f"/api/conversations/{conversation}")

    def ask(
        self, conversation: str, text: str, client_message_id: str, filter: Mapping[str, object]
    ) -> Iterator[Event]:
        """The events of the answer, as they happen. Asking again with the same id takes the same answer up again."""
        body = {"text": text, "client_message_id": client_message_id, "filter": dict(filter)}
        request = self._http.build_request(
            "POST",
            f"/api/conversations/{conversation}/messages",
            json=body,
            headers={"Accept": "text/event-stream"},
        )
        response = self._checked(request, stream=True)
        try:
            yield from events(response.iter_bytes())
        except httpx.TransportError as error:
            raise _unreachable(error) from error
        finally:
            response.close()

    def rate(self, message: str, rating: str) -> None:
        self._send("POST", f"/api/messages/{message}/feedback", json={"rating": rating})

    def citation_image(self, citation: str, page: int | None) -> bytes:
        """A PNG of a page that the citation is on; None: of its first."""
        params = {"page": page} if page else {}
        return self._send("GET", f"/api/citations/{citation}/page.png", params=params).content

    def page_image(self, document: str, page: int, passage: str) -> bytes:
        """A PNG of a page with a passage marked."""
        return self._send("GET", f"/api/documents/{document}/pages/{page}.png", params={"passage": passage}).content

    def _json(self, method: str, path: str, **arguments: Any) -> Json:
        body: Json = self._send(method, path, **arguments).json()
        return body

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self._checked(self._http.build_request(method, path, **arguments))

    def _checked(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            response = self._http.send(request, stream=stream)
            if response.is_error:
                response.read()
        except httpx.TransportError as error:
            raise _unreachable(error) from error
        if response.is_error:
            raise _refused(response)
        return response


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Reads a stream of server-sent events whose data are JSON (WHATWG HTML, 9.2.6); comments and ids are left out.

    An event that the stream breaks off in is not an event. Not httpx's `iter_lines`: it also ends lines at
    characters such as U+2028, which JSON leaves as they are.
    """
    name, data = "message", []
    for line in _lines(chunks):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ").decode()
        elif field == b"data":
            data.append(value.removeprefix(b" "))
        elif not line:
            if data:
                yield Event(name, json.loads(b"\n".join(data)))
            name, data = "message", []


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Complete lines, without their ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")


def _refused(response: httpx.Response) -> ApiError:
    try:
        error = response.json()["error"]
        return ApiError(error["message"], error["code"], response.status_code, error["details"])
    except (ValueError, KeyError, TypeError):
        return ApiError(f"The API answered with status {response.status_code}.", "unknown", response.status_code)


def _unreachable(error: httpx.TransportError) -> ApiError:
    return ApiError(f"The API cannot be reached ({error or type(error).__name__}).", "unreachable", 0)
