"""Carries out a plan against the running product, and compares what it shows with the reference.

Owns what each operation asks of the API, what a lost connection means for the reference, and the comparisons: with
every search, whenever the product has come to rest, and at the end. Knows no processes but how to have one killed.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from app.db import Database
from app.models import Document, Job, KnowledgeBase, Passage, PassageVectors
from tests.crash.client import Client
from tests.crash.documents import DOCUMENTS, MARK, SOURCE_OF, SOURCES, content, question
from tests.crash.plan import Action, Operation
from tests.crash.processes import Processes
from tests.crash.reference import GONE, Reference, Untrue

NAME = "manuals"
_BASE = f"/api/knowledge-bases/{NAME}"
_SETTINGS = {"dense_weight": 0.2, "refuse_below": 0.0, "doubt_below": 0.0}
"""The hashing embedder knows no meaning, and how sure an answer is was fitted with another: words decide here."""

_EVERYTHING = 200  # hits: more than there are passages
_REST_S = 300.0
_FINAL = {"ready", "ready_with_warnings", "failed", "cancelled"}
_ASKED_AT_REST = 5


class Run:
    """One plan, one knowledge base, one client that does one thing after another."""

    def __init__(self, seed: int, reference: Reference, client: Client, processes: Processes) -> None:
        self.reference = reference
        self.done: Counter[str] = Counter()
        self.checked: dict[str, Any] = {}
        self._seed = seed
        self._client = client
        self._processes = processes
        self._asked: dict[str, str] = {}  # conversation -> what was asked in it
        self._asked_of: dict[str, str] = {}  # document -> what it was asked for last

    def carry_out(self, plan: Sequence[Operation], report: Callable[[str], None]) -> None:
        """Reports at every settlement what has been done.

        Raises `Untrue`, with a note about the operation, as soon as something is not as it must be.
        """
        self._client.wait()
        self._create()
        for number, operation in enumerate(plan):
            try:
                if operation.kill is not None:
                    self._processes.order(operation.kill)
                self._do(number, operation)
                self._see_everything()
                if self._processes.faults:
                    raise Untrue("; ".join(self._processes.faults))
            except Exception as error:
                error.add_note(f"at operation {number}: {operation}")
                raise
            self.done[operation.action] += 1
            if operation.action is Action.SETTLE:
                report(self.summary())

    def _do(self, number: int, operation: Operation) -> None:
        match operation.action:
            case Action.PUT:
                self._put(operation)
            case Action.DELETE:
                self._delete(operation)
            case Action.SEARCH:
                self._search(operation.document)
            case Action.ASK:
                self._ask_again(number, operation.document)
            case Action.RECREATE:
                self._recreate()
            case Action.SETTLE:
                self._processes.finish_order()
                self.settle(number)

    def _put(self, operation: Operation) -> None:
        sources = [(SOURCES[number], version) for number, version in operation.uploads]
        sent = [
            (document, self.reference.state(document, version))
            for source, version in sources
            for document in source.documents
        ]
        for document, state in sent:
            self.reference.sent(document, state)
        files = [("files", (source.name, content(self._seed, source, version))) for source, version in sources]
        answer = self._client.request("POST", f"{_BASE}/documents", patient=operation.patient, files=files)
        if answer is None:
            return
        if answer.status_code != 202 or answer.json()["rejected"]:
            raise Untrue(f"The upload was refused: {answer.text}")
        for document, state in sent:
            self.reference.accepted(document, state)

    def _delete(self, operation: Operation) -> None:
        document = operation.document
        source = SOURCES[SOURCE_OF[document]]
        if source.holds_several:
            self._call_off(source.name, source.documents)
        listed = {each["external_id"]: each["id"] for each in self._listing()["documents"]}
        if document not in listed:
            return
        self.reference.sent(document, GONE)
        path = f"/api/documents/{listed[document]}"
        answer = self._client.request("DELETE", path, patient=operation.patient)
        if answer is None:
            return
        if answer.status_code not in (204, 404):  # 404: the first attempt had done it
            raise Untrue(f"The deletion was answered with {answer.status_code}: {answer.text}")
        self.reference.deleted(document)

    def _call_off(self, name: str, documents: Sequence[str]) -> None:
        """Cancels the reading of a file with many records: what is deleted now would come back with it."""
        for job in self._listing()["jobs"]:
            if job["external_id"] == name and job["status"] in ("queued", "running"):
                self._client.sure("POST", f"/api/jobs/{job['id']}/cancel", (200, 404, 409))
                for document in documents:
                    self.reference.called_off(document)

    def _search(self, document: str) -> None:
        """For what a document said last, even if it is deleted."""
        marks = sorted(self.reference.latest[document])
        self._see(self._hits(" ".join([document, *marks]), _EVERYTHING))

    def _ask(self, name: str, text: str) -> dict[str, Any]:
        """Asks in a conversation of its own; the answer."""
        conversation = self._client.sure("POST", "/api/conversations", (201,), json={"knowledge_base": NAME})["id"]
        self._asked[conversation] = text
        message: dict[str, Any] = self._client.sure(
            "POST",
            f"/api/conversations/{conversation}/messages",
            (200,),
            json={"text": text, "client_message_id": name},
        )
        if message["status"] != "answered":
            raise Untrue(f"The question was not answered: {message}")
        self.reference.saw_some([message["text"], *(citation["quote"] for citation in message["citations"])])
        return message

    def _ask_again(self, number: int, document: str) -> None:
        """For what the document said last, and what it was asked for before: perhaps the old answer is remembered."""
        text = self._question(document)
        before = self._asked_of.get(document, text)
        self._asked_of[document] = text
        for name, each in (("", text), (" again", before)):
            self._ask(f"operation {number}{name}", each)

    def _question(self, document: str) -> str:
        """For what the document said last, even if it is deleted."""
        return question(self._seed, min(self.reference.latest[document]))

    def _recreate(self) -> None:
        for document in DOCUMENTS:
            self.reference.sent(document, GONE)
        self._client.sure("DELETE", _BASE, (204, 404))
        for document in DOCUMENTS:
            self.reference.deleted(document)
        self._asked.clear()
        self._create()

    def _create(self) -> None:
        self._client.sure("POST", "/api/knowledge-bases", (201, 409), json={"name": NAME, "settings": _SETTINGS})

    def _see_everything(self) -> None:
        self._see(self._hits("what is there", _EVERYTHING))

    def _see(self, hits: Sequence[dict[str, Any]]) -> None:
        """Every document must be there, whole, in one of its states."""
        collapsed = [hit for hit in hits if hit["also_at"]]
        if collapsed:
            raise Untrue(f"Passages count as the same that are not: {collapsed}")
        self.reference.saw_everything(hit["text"] for hit in hits)

    def _hits(self, query: str, top_k: int) -> list[dict[str, Any]]:
        found = self._client.sure("POST", f"{_BASE}/search", (200,), json={"query": query, "top_k": top_k})
        hits: list[dict[str, Any]] = found["hits"]
        return hits

    def _listing(self) -> dict[str, Any]:
        listing: dict[str, Any] = self._client.get(f"{_BASE}/documents", limit=1000)
        return listing

    def settle(self, number: int) -> None:
        """Waits until nothing is under way; then all must be as it was asked for."""
        self._client.wait()
        documents = self._at_rest()
        self._see_everything()
        self.reference.settled()
        present = self.reference.present()
        for document, state in present.items():
            shape = documents[document]
            if shape["status"] not in ("ready", "ready_with_warnings"):
                raise Untrue(f"{document} is found but {shape['status']}: {shape['message']}")
            listed = self._client.get(f"/api/documents/{shape['id']}/passages", limit=1000)["passages"]
            stored = {mark for passage in listed for mark in MARK.findall(passage["text"])}
            if stored != state or shape["passages"] != len(listed):
                raise Untrue(f"{document} has {len(listed)} passages with {sorted(stored)}; it is {shape}")
            for mark in state:
                if mark not in self._hits(question(self._seed, mark), 5)[0]["text"]:
                    raise Untrue(f"{document}: the question for {mark} does not find it")
        for mark in self.reference.past_marks():
            self.reference.saw_some(hit["text"] for hit in self._hits(mark, 5))
        chance = random.Random(number)
        for document in chance.sample(sorted(present), min(_ASKED_AT_REST, len(present))):
            mark = min(present[document])
            message = self._ask(f"operation {number}", question(self._seed, mark))
            if mark not in message["text"]:
                raise Untrue(f"{document} does not answer: {message}")
        for document in sorted(self._asked_of):
            self._ask_again(number, document)
        self.check_index()

    def _at_rest(self) -> dict[str, dict[str, Any]]:
        """All documents by external id, when no job is left."""
        deadline = time.monotonic() + _REST_S
        while True:
            listing = self._listing()
            documents = {each["external_id"]: each for each in listing["documents"]}
            under_way = [each for each in listing["jobs"] if each["status"] in ("queued", "running")]
            under_way += [each for each in documents.values() if each["status"] not in _FINAL]
            if not under_way:
                break
            if time.monotonic() > deadline:
                raise Untrue(f"After {_REST_S:g} s still under way: {under_way}")
            time.sleep(0.1)
        if failed := [each for each in (*listing["jobs"], *documents.values()) if each["status"] == "failed"]:
            raise Untrue(f"Nothing was wrong with these files: {failed}")
        return documents

    def check_index(self) -> None:
        """`answerdesk index check` as people run it."""
        checked = self._processes.run("index", "check", "--json")
        if checked.returncode:
            raise Untrue(f"index check ended with {checked.returncode}: {checked.stdout}{checked.stderr}")
        [self.checked] = json.loads(checked.stdout)
        if self.checked["orphans"] or self.checked["missing"]:
            raise Untrue(f"index check found {self.checked}")

    def check_messages(self) -> None:
        """Each question was kept once and answered once, however often it was sent."""
        for conversation, text in self._asked.items():
            messages = self._client.get(f"/api/conversations/{conversation}")["messages"]
            roles = [(each["role"], each["status"]) for each in messages]
            if roles != [("customer", "received"), ("assistant", "answered")] or messages[0]["text"] != text:
                raise Untrue(f"{text!r} was asked once, and this was made of it: {messages}")

    def summary(self) -> str:
        kills, checked = self._processes.kills, self.checked
        orphans, missing = (len(checked[key]) for key in ("orphans", "missing"))
        present, past = self.reference.present(), self.reference.past_marks()
        return (
            f"{sum(self.done.values())} operations ({_counts(self.done)}); {sum(kills.values())} kills "
            f"({_counts(kills)}), {self._processes.restarts} restarts, {self._client.lost} requests lost; "
            f"index check: {checked['passages']} passages, {orphans} orphans, {missing} missing; "
            f"{len(present)} documents answer, {len(past)} former texts do not"
        )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counter.items()))


def check_storage(database_url: str, home: Path) -> None:
    """After a run: the tables fit together, and nothing lies on disk that no row names."""
    database = Database(database_url)
    try:
        with database.read() as session:
            bases = set(session.scalars(select(KnowledgeBase.id)))
            paths = set(session.scalars(select(Document.file_path))) | set(session.scalars(select(Job.source_path)))
            passages, vectors = (session.scalar(select(func.count()).select_from(t)) for t in (Passage, PassageVectors))
            counted = session.scalar(select(func.coalesce(func.sum(Document.passage_count), 0)))
    finally:
        database.dispose()
    if not passages == vectors == counted:
        raise Untrue(f"There are {passages} passages, {vectors} packs of vectors, and documents count {counted}")
    files = home / "files"
    stored = {str(path.relative_to(files)) for path in files.rglob("*") if path.is_file()}
    if left := sorted(path for path in stored - paths if not path.startswith("incoming/")):
        raise Untrue(f"These files belong to nothing: {left}")
    if missing := sorted(paths - {""} - stored):
        raise Untrue(f"These files are gone: {missing}")
    if left := sorted({path.name for path in (home / "index").iterdir()} - bases):
        raise Untrue(f"These indexes belong to nothing: {left}")
