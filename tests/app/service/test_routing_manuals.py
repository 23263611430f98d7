"""What the manuals of a knowledge base teach its router, and how wording is learnt and judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC
from sqlalchemy import select

from app.db import Database
from app.models import KnowledgeBase, Passage
from app.service.routing.example import FEW, OUTSIDE, Example, with_names
from app.service.routing.examples import built_in_examples
from app.service.routing.manuals import LEAST_PASSAGES, MOST_PASSAGES, manuals_of
from app.service.routing.trained import TrainedClassifiers
from app.service.routing.wording import Wording, softmax
from app.settings import Settings
from model_runtime.fakes import HashingEmbedder
from tests.installation import Installation, claimed_sink, new_knowledge_base, ready_document

INTENTS = "/api/knowledge-bases/manuals/intents"
TASK = "I forgot the password of my customer account"
QUESTION = "Can I create a new account on the television?"

THINGS = ("television", "recorder", "speaker", "tablet", "camera", "printer", "watch", "phone", "console", "router")
TELEVISION = "\n".join(
    f"# {verb} an account on the {thing}\n\nTo {verb.lower()} an account on the {thing}, press the button {number}.\n"
    for number, thing in enumerate(THINGS)
    for verb in ("Create", "Delete", "Change")
)


def row_of(database: Database, knowledge_base: str) -> KnowledgeBase:
    with database.read() as session:
        return session.get_one(KnowledgeBase, knowledge_base)


def filled(database: Database, settings: Settings, count: int, name: str) -> KnowledgeBase:
    knowledge_base = new_knowledge_base(database, name)
    _, _, into = claimed_sink(database, settings, knowledge_base)
    into.store([ready_document(f"{name} manual", [f"Text {number}" for number in range(count)])])
    return row_of(database, knowledge_base)


def test_what_the_manuals_speak_of_is_more_likely_a_question_to_them(installation: Installation) -> None:
    services = installation.services

    def tried(text: str) -> dict[str, Any]:
        found: dict[str, Any] = installation.post(f"{INTENTS}/test", json={"text": text})
        return found

    before = tried(QUESTION)
    assert before["alternatives"][0]["intent"] == "account_login"
    installation.upload(("television.md", TELEVISION))
    installation.work()
    assert tried(QUESTION) == before  # no message waits for it
    services.router.prepare(row_of(services.database, installation.knowledge_base))
    after = {each["intent"]: each["confidence"] for each in tried(QUESTION)["alternatives"]}
    assert after.get("account_login", 0) < 0.75 * before["alternatives"][0]["confidence"]
    assert tried(TASK)["intent"] == "account_login"


def test_a_sample_is_taken_of_what_is_found_and_stays_the_same(database: Database, settings: Settings) -> None:
    row = filled(database, settings, MOST_PASSAGES + 150, "long")
    first = manuals_of(database, row)
    assert first is not None
    assert first.passages.shape == (MOST_PASSAGES, 4)
    assert len(first.headings) == len(set(first.headings)) == MOST_PASSAGES
    assert all(heading.startswith("Section ") for heading in first.headings)
    again = manuals_of(database, row)
    assert again is not None
    assert again.digest == first.digest
    _, _, into = claimed_sink(database, settings, row.id)
    into.store([ready_document("another manual", [f"More {number}" for number in range(50)])])
    more = manuals_of(database, row)
    assert more is not None
    assert more.digest != first.digest
    kept = {vector.tobytes() for vector in first.passages} & {vector.tobytes() for vector in more.passages}
    assert len(kept) > 0.8 * MOST_PASSAGES


def test_what_a_filter_excludes_teaches_nothing(database: Database, settings: Settings) -> None:
    row = filled(database, settings, LEAST_PASSAGES, "short")
    assert manuals_of(database, row) is not None
    with database.write() as session:
        passages = session.scalars(select(Passage).where(Passage.knowledge_base_id == row.id)).all()
        passages[0].excluded = "duplicate"
    assert manuals_of(database, row) is None  # one fewer than it takes


class Embedder(HashingEmbedder):
    """Counts what it embeds as a passage."""

    def __init__(self) -> None:
        super().__init__(dimension=4)
        self.embedded: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        return super().embed_passages(texts)


def test_changed_manuals_are_followed_in_their_time(database: Database, settings: Settings) -> None:
    embedder = Embedder()
    row = filled(database, settings, LEAST_PASSAGES, "growing")
    patient, eager = (TrainedClassifiers(database, lambda _: embedder, every) for every in (60.0, 0.0))
    for trained in (patient, eager):
        taught = trained.of(row)
        trained.follow(row)
        assert trained.of(row) is not taught
    first = patient.of(row), eager.of(row)
    for trained in (patient, eager):
        trained.follow(row)
    assert (patient.of(row), eager.of(row)) == first  # nothing has changed
    _, _, into = claimed_sink(database, settings, row.id)
    into.store([ready_document("another manual", [f"More {number}" for number in range(LEAST_PASSAGES + 5)])])
    row = row_of(database, row.id)
    embedder.embedded.clear()
    for trained in (patient, eager):
        trained.follow(row)
    assert patient.of(row) is first[0]
    assert eager.of(row) is not first[1]
    assert sorted(embedder.embedded) == [f"Section {number}" for number in range(21, 26)]  # the new headings only


def test_an_intents_name_is_an_example_of_it_while_there_are_few() -> None:
    few = [Example("what does it mean", OUTSIDE), Example("where is it", "order_status")]
    assert with_names(few) == [*few, Example("order status", "order_status")]
    many = [Example(f"text {number}", "order_status") for number in range(FEW)]
    assert with_names(many) == many


TEXTS = [example.text for example in built_in_examples()[::5]]
TEXTS_PLAIN = [" ".join(text.split()).casefold() for text in TEXTS]
LABELS = np.array([example.intent for example in built_in_examples()[::5]])


@pytest.fixture(scope="module")
def wording() -> Wording:
    return Wording(TEXTS, LABELS)


@pytest.fixture(scope="module")
def reference() -> Any:
    """As scikit-learn judges texts that are plain already: their margins, [texts, classes]."""
    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    learnt = LinearSVC(C=0.3, random_state=0).fit(union.fit_transform(TEXTS_PLAIN), LABELS)
    return lambda texts: learnt.decision_function(union.transform(texts))


@given(st.one_of(st.sampled_from(TEXTS_PLAIN), st.text("abcdeors 1我的订单?", max_size=40)))
def test_wording_is_judged_as_it_was_learnt(wording: Wording, reference: Any, text: str) -> None:
    plain = " ".join(text.split())
    assert wording.probabilities([text]) == pytest.approx(softmax(4.0 * reference([plain])), abs=1e-4)
