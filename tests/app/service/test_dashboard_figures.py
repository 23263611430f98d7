"""The dashboard's figures on a database of which everything is known, counted a second time in Python."""

import csv
import io
import math
import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from app.bootstrap import Services
from app.db import Database
from app.models import Conversation, Feedback, KnowledgeBase, Message, new_id
from app.scope import Scope
from app.service.dashboard import figures
from app.service.dashboard.csv_export import as_csv
from app.service.dashboard.figures import Window
from app.service.dashboard.shapes import DayFigures
from app.service.dashboard.topics import grouped, unanswered_topics
from app.service.tables import ConversationRating, HandOff
from tests.installation import Installation, new_knowledge_base

NOW = datetime(2026, 11, 3, 15, 30, tzinfo=UTC)
DAYS = 7
KINDS = ("answer", "uncertain", "not_in_manuals", "chat", "hand_off")


class Seed:
    """Writes rows as they would come about, and keeps what was written."""

    def __init__(self, session: Session, knowledge_base: str, random: random.Random) -> None:
        self.session, self.knowledge_base, self.random = session, knowledge_base, random

    def conversation(self, at: datetime) -> dict[str, Any]:
        row = Conversation(id=new_id(), knowledge_base_id=self.knowledge_base, created_at=at)
        self.session.add(row)
        self.session.flush()
        made: dict[str, Any] = {"at": at, "messages": [], "hand_offs": [], "stars": None, "thumbs": []}
        for place in range(self.random.randrange(5)):
            self._turn(row.id, place, at + timedelta(minutes=10 * place), made)
        if self.random.random() < 0.3:
            self._hand_off(row.id, at, made)
        if self.random.random() < 0.3:
            made["stars"] = (self.random.randrange(1, 6), at + timedelta(hours=self.random.randrange(40)))
            rating = ConversationRating(conversation_id=row.id, stars=made["stars"][0], created_at=made["stars"][1])
            self.session.add(rating)
        return made

    def _turn(self, conversation_id: str, place: int, at: datetime, made: dict[str, Any]) -> None:
        kind, fails = self.random.choice(KINDS), self.random.random() < 0.1
        is_called = kind == "hand_off" and self.random.random() < 0.5  # since the manuals did not have it
        took = round(self.random.uniform(1, 5000), 3)
        shared = {"conversation_id": conversation_id, "client_message_id": new_id(), "created_at": at}
        question = Message(id=new_id(), ordinal=2 * place, role="customer", status="received", text="?", **shared)
        answer = Message(
            id=new_id(),
            ordinal=2 * place + 1,
            role="assistant",
            status="failed" if fails else "answered",
            kind=None if fails else kind,
            details={"not_in_manuals": True} if is_called and not fails else {"routing": {"handler": "knowledge"}},
            reply_to=question.id,
            timings_ms={} if fails else {"total": took, "retrieval": 1.0},
            **shared,
        )
        self.session.add_all([question, answer])
        self.session.flush()
        told = {"kind": None if fails else kind, "took": None if fails else took}
        is_unanswered = not fails and (is_called or kind == "not_in_manuals")
        made["messages"].append({"at": at, "is_unanswered": is_unanswered, **told})
        if self.random.random() < 0.3:
            thumbed = (self.random.choice(("up", "down")), at + timedelta(hours=self.random.randrange(30)))
            self.session.add(Feedback(message_id=answer.id, rating=thumbed[0], created_at=thumbed[1]))
            made["thumbs"].append(thumbed)

    def _hand_off(self, conversation_id: str, at: datetime, made: dict[str, Any]) -> None:
        reason = self.random.choice(("asked_for", "anger", "flow"))
        began = at + timedelta(minutes=self.random.randrange(60))
        waited = self.random.choice((None, round(self.random.uniform(1, 900), 3)))
        self.session.add(
            HandOff(
                conversation_id=conversation_id,
                knowledge_base_id=self.knowledge_base,
                reason=reason,
                created_at=began,
                answered_at=None if waited is None else began + timedelta(seconds=waited),
            )
        )
        made["hand_offs"].append((reason, began, waited))


@pytest.fixture
def seeded(database: Database) -> dict[str, list[dict[str, Any]]]:
    """What was written, by knowledge base; some of it before the window, some on its borders."""
    chance = random.Random(5)
    written: dict[str, list[dict[str, Any]]] = {}
    for name in ("manuals", "=shop"):
        knowledge_base = new_knowledge_base(database, name)
        with database.write() as session:
            seed = Seed(session, knowledge_base, chance)
            midnight = datetime(2026, 10, 28, tzinfo=UTC)
            moments = [midnight, midnight - timedelta(microseconds=1), NOW]
            moments += [NOW - timedelta(hours=chance.uniform(0, 240)) for _ in range(60)]
            written[knowledge_base] = [seed.conversation(at) for at in moments]
    return written


def test_every_figure_is_exact(database: Database, seeded: dict[str, list[dict[str, Any]]]) -> None:
    with database.read() as session:
        counted = figures.count(session, Window(DAYS, NOW, Scope()))
        rows = figures.day_figures(session, counted)
    expected = _expected(seeded)
    assert {(f"{row.day}", row.knowledge_base): _as_dict(row) for row in rows} == expected["days"]
    assert _as_dict(figures.total_figures(counted)) == expected["totals"]
    assert {each.reason: each.count for each in figures.reason_counts(counted)} == expected["reasons"]
    assert {each.stars: each.count for each in figures.star_counts(counted)} == expected["stars"]


def test_figures_of_one_knowledge_base_are_those_of_it_alone(
    database: Database, seeded: dict[str, list[dict[str, Any]]]
) -> None:
    one = next(iter(seeded))
    with database.read() as session:
        counted = figures.count(session, Window(DAYS, NOW, Scope(), one))
        strange = figures.count(session, Window(DAYS, NOW, Scope("another"), one))
    assert _as_dict(figures.total_figures(counted)) == _expected({one: seeded[one]})["totals"]
    assert strange == figures.Counted()


def test_the_file_says_the_same_and_runs_no_formula(
    database: Database, seeded: dict[str, list[dict[str, Any]]]
) -> None:
    with database.read() as session:
        rows = figures.day_figures(session, figures.count(session, Window(DAYS, NOW, Scope())))
    lines = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert (line["day"], line["conversations"]) == (f"{row.day}", f"{row.conversations}")
        assert line["knowledge_base"] == ("'=shop" if row.knowledge_base_name == "=shop" else "manuals")
        assert line["answer_ms_p95"] == ("" if row.answer_ms.p95 is None else f"{row.answer_ms.p95}")


def test_vectors_near_each_other_are_one_topic() -> None:
    generator = np.random.default_rng(3)
    centres = np.eye(3, 32, dtype=np.float32)
    vectors = np.repeat(centres, [5, 3, 1], axis=0) + generator.normal(0, 0.02, (9, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert sorted(grouped(vectors)) == [[0, 1, 2, 3, 4], [5, 6, 7], [8]]
    assert grouped(vectors[:1]) == [[0]]
    assert grouped(vectors[:0]) == []


def test_unanswered_questions_are_gathered_by_topic(services: Services) -> None:
    made = services.embedder
    known = _ask(services, "manuals", ["Which battery fits?", "which  BATTERY fits?", "What does shipping cost?"])
    other = _ask(services, "elsewhere", ["Which battery fits?"])
    with services.database.write() as session:
        generation = session.get_one(KnowledgeBase, known).generation
        generation.embedder, generation.dimension = made.identity, made.dimension
    topics, problems = unanswered_topics(services, Window(DAYS, NOW, Scope()))
    told = {(each.knowledge_base, each.topic.casefold()): each.count for each in topics}
    assert sum(told.values()) == 4
    assert told[(known, "what does shipping cost?")] == 1
    assert sum(each.count for each in topics if each.knowledge_base == known) == 3
    assert told[(other, "which battery fits?")] == 1
    assert len(problems) == 1  # its embedder is not to be had here
    assert "elsewhere" in problems[0]
    (battery,) = [each for each in topics if each.knowledge_base == known and "battery" in each.topic.casefold()]
    assert [(each.text, each.count) for each in battery.examples] == [("which  BATTERY fits?", 2)]


def _ask(services: Services, name: str, questions: list[str]) -> str:
    """Questions that were not answered, and one that was."""
    knowledge_base = new_knowledge_base(services.database, name)
    with services.database.write() as session:
        row = Conversation(id=new_id(), knowledge_base_id=knowledge_base, created_at=NOW)
        session.add(row)
        session.flush()
        for place, text in enumerate([*questions, "How do I descale it?"]):
            kind = "answer" if place == len(questions) else "not_in_manuals" if place else "hand_off"
            called = (
                {"details": {"not_in_manuals": True}} if kind == "hand_off" else {}
            )  # people were, behind the answer
            shared = {"conversation_id": row.id, "client_message_id": new_id(), "created_at": NOW}
            asked = Message(id=new_id(), ordinal=2 * place, role="customer", status="received", text=text, **shared)
            said = {"role": "assistant", "status": "answered", "kind": kind, "reply_to": asked.id, **called}
            session.add_all([asked, Message(id=new_id(), ordinal=2 * place + 1, **said, **shared)])
    return knowledge_base


def _as_dict(row: Any) -> dict[str, Any]:
    left_out = {"day", "knowledge_base", "knowledge_base_name"} if isinstance(row, DayFigures) else set()
    told: dict[str, Any] = row.model_dump(exclude=left_out)
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in told.items()}


def _expected(written: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The same figures in the plainest way."""
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    took: dict[Any, list[float]] = defaultdict(list)
    waited: dict[Any, list[float]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    all_stars: Counter[int] = Counter()
    begins = datetime(2026, 10, 28, tzinfo=UTC)

    def at(moment: datetime, knowledge_base: str, *names: str, by: int = 1) -> list[Any]:
        if not begins <= moment < begins + timedelta(days=DAYS):
            return []
        keys = [(f"{moment:%Y-%m-%d}", knowledge_base), "all"]
        for key in keys:
            sums[key].update(dict.fromkeys(names, by))
        return keys

    for knowledge_base, conversations in written.items():
        for each in conversations:
            if each["messages"]:
                at(each["at"], knowledge_base, "conversations")
                if each["messages"][-1]["kind"] not in (None, "not_in_manuals") and not each["hand_offs"]:
                    at(each["at"], knowledge_base, "resolved_without_person")
            for message in each["messages"]:
                at(message["at"], knowledge_base, "customer_messages")
                names = ["failed"] if message["kind"] is None else ["answers"]
                names += ["unanswered"] if message["is_unanswered"] else []
                for key in at(message["at"], knowledge_base, *names):
                    took[key] += [] if message["took"] is None else [message["took"]]
            for reason, began, seconds in each["hand_offs"]:
                keys = at(began, knowledge_base, "hand_offs")
                reasons[reason] += bool(keys)
                for key in keys:
                    waited[key] += [] if seconds is None else [seconds]
            for rating, moment in each["thumbs"]:
                at(moment, knowledge_base, f"thumbs_{rating}")
            if each["stars"] is not None:
                stars, moment = each["stars"]
                if at(moment, knowledge_base, "ratings"):
                    at(moment, knowledge_base, "all_stars", by=stars)
                    all_stars[stars] += 1

    def finished(key: Any) -> dict[str, Any]:
        counts, fields = sums[key], list(figures.Figures.model_fields)
        told: dict[str, Any] = {name: counts[name] for name in fields}
        begun, rated = counts["conversations"], counts["ratings"]
        told["share_without_person"] = round(counts["resolved_without_person"] / begun, 6) if begun else None
        told["stars"] = round(counts["all_stars"] / rated, 6) if rated else None
        told["answer_ms"], told["first_reply_s"] = _quantiles(took[key]), _quantiles(waited[key])
        return told

    days = {key: finished(key) for key in list(sums) if key != "all"}
    return {"days": days, "totals": finished("all"), "reasons": dict(+reasons), "stars": dict(all_stars)}


def _quantiles(values: list[float]) -> dict[str, Any]:
    ordered = sorted(values)
    found = {f"p{part}": ordered[math.ceil(len(ordered) * part / 100) - 1] if ordered else None for part in (50, 95)}
    return {**found, "count": len(ordered)}


def test_the_dashboard_over_http(installation: Installation) -> None:
    conversation = installation.post("/api/conversations", json={"knowledge_base": "manuals"})["id"]
    installation.post(f"/api/conversations/{conversation}/messages", json={"text": "Who was the first on the moon?"})
    installation.post(f"/api/conversations/{conversation}/rating", json={"stars": 2, "comment": "Slow."})
    told = installation.get("/api/dashboard", knowledge_base="manuals", days=2)
    assert (told["totals"]["conversations"], told["totals"]["unanswered"], told["totals"]["stars"]) == (1, 1, 2)
    assert date.fromisoformat(told["until"]) - date.fromisoformat(told["since"]) == timedelta(days=1)
    assert [(each["topic"], each["count"]) for each in told["unanswered"]] == [("Who was the first on the moon?", 1)]
    file = installation.client.get("/api/dashboard.csv", params={"days": 1})
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.text.splitlines()[1].startswith(f"{told['until']},manuals,1,0,0.0,1,1,1,0,0,0,0,1,2.0,")
    for query, status in (({"days": 0}, 422), ({"days": 367}, 422), ({"knowledge_base": "none"}, 404)):
        assert installation.client.get("/api/dashboard", params=query).status_code == status
