"""From an agent's answer to a document of the knowledge base."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app import files
from app.bootstrap import Services
from app.errors import Conflict, NotFound
from app.models import Document, KnowledgeBase, Passage, new_id
from app.scope import Scope
from app.service.handoff import agents_work, faq_review
from app.service.turn import HandOffReason
from app.worker import run_until_idle
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.markdown import MarkdownParser
from ingestion.types import ParsedPage
from rag.types import AnswerKind
from tests.app.service.people_at_work import Office

ANSWER = "Hold *both* buttons:\n1. Power\n2. Menu_2 <left>\n\nThen `wait` 5 # seconds & more."


@pytest.fixture
def office(services: Services) -> Office:
    made = services.embedder
    office = Office(services.database)
    with services.database.write() as session:
        row = session.get_one(KnowledgeBase, office.knowledge_base)
        generation = row.generation
        generation.embedder, generation.dimension = made.identity, made.dimension
    return office


def candidates(services: Services, status: str | None = None) -> list[tuple[str, str]]:
    listed = faq_review.list_candidates(services, Scope(), None, status, None).candidates
    return [(each.question, each.answer) for each in reversed(listed)]


def test_what_agents_answered_becomes_candidates_with_the_question_that_it_answers(
    services: Services, office: Office
) -> None:
    anna = office.agent("Anna")
    conversation = office.conversation()
    office.says(conversation, "How do I reset it?", kind=AnswerKind.NOT_IN_MANUALS)
    office.says(conversation, "I want to talk to a human", wants="general")
    hand_off = office.hand_off(conversation).id
    agents_work.claim(office.database, anna, hand_off)
    office.replies(anna, conversation, "Hello!")
    office.replies(anna, conversation, ANSWER)
    office.says(conversation, "And in which drawer is the filter of the machine?")
    office.replies(anna, conversation, "It is in the second drawer from above.", keep_as_faq=True)
    office.replies(anna, conversation, "Sorry: it is in the third one, behind the tray.")
    assert candidates(services) == [
        ("And in which drawer is the filter of the machine?", "It is in the second drawer from above.")
    ]
    agents_work.resolve(office.database, anna, hand_off, text="Bye!")
    assert candidates(services) == [
        ("And in which drawer is the filter of the machine?", "It is in the second drawer from above."),
        ("How do I reset it?", ANSWER),
        (
            "And in which drawer is the filter of the machine?",
            "Sorry: it is in the third one, behind the tray.",
        ),
    ]


@pytest.mark.parametrize(
    "reason", [HandOffReason.REPEATED_FAILURE, HandOffReason.ANGER, HandOffReason.SENSITIVE, HandOffReason.FLOW]
)
def test_a_question_that_led_to_people_is_the_one_that_they_answer(
    services: Services, office: Office, reason: HandOffReason
) -> None:
    anna = office.agent("Anna")
    conversation = office.conversation()
    office.says(conversation, "Hello, does the LT-300 have a display?")
    office.says(conversation, "It smells burnt, what do I do?", wants="general", reason=reason)
    hand_off = office.hand_off(conversation).id
    agents_work.claim(office.database, anna, hand_off)
    office.replies(anna, conversation, "Unplug it and send it to us, please.")
    agents_work.resolve(office.database, anna, hand_off)
    assert candidates(services) == [("It smells burnt, what do I do?", "Unplug it and send it to us, please.")]
    (said,) = [each for each in office.record(conversation) if "hand_off" in each.details]
    assert said.details["hand_off"] == {"id": hand_off, "reason": reason.value, "skill_group": "general"}


@pytest.mark.parametrize("is_public", [True, False])
def test_an_approved_entry_is_found_like_any_document(services: Services, office: Office, is_public: bool) -> None:
    candidate = _candidate(services, office)
    shape = faq_review.approve(
        *(services, Scope(), candidate), question="How do I reset the LT-300?", answer=ANSWER, is_public=is_public
    )
    assert (shape.status, shape.public, shape.document) == ("approved", is_public, f"faq/{candidate}.md")
    run_until_idle(services)
    with services.database.read() as session:
        document = session.scalars(select(Document)).one()
        passages = session.scalars(select(Passage)).all()
    assert (document.title, document.status, document.is_public) == ("How do I reset the LT-300?", "ready", is_public)
    assert document.external_id == f"faq/{candidate}.md"
    text = "\n".join(each.text for each in passages)
    assert all(line in text for line in ANSWER.split("\n") if line)
    with services.database.read() as session:
        row = session.get_one(KnowledgeBase, office.knowledge_base)
    hits = services.retriever(row).search("reset LT-300 both buttons", top_k=1).hits
    assert hits[0].passage.external_id == f"faq/{candidate}.md"


def test_an_entry_is_decided_on_once(services: Services, office: Office) -> None:
    candidate = _candidate(services, office)
    assert faq_review.dismiss(services, Scope(), candidate).status == "dismissed"
    with pytest.raises(Conflict, match="dismissed already"):
        faq_review.approve(services, Scope(), candidate, question="Why?", answer="Because of it.", is_public=False)
    with pytest.raises(Conflict, match="dismissed already"):
        faq_review.dismiss(services, Scope(), candidate)
    with services.database.read() as session:
        assert session.scalars(select(Document)).all() == []
    assert candidates(services, "candidate") == []
    assert len(candidates(services, "dismissed")) == 1


def test_an_entry_of_another_workspace_is_not_there(services: Services, office: Office) -> None:
    candidate = _candidate(services, office)
    with pytest.raises(NotFound):
        faq_review.dismiss(services, Scope("another"), candidate)
    assert faq_review.list_candidates(services, Scope("another"), None, None, None).candidates == []


def test_who_dismisses_while_another_approves_publishes_nothing(
    services: Services, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = _candidate(services, office)

    def dismissed_meanwhile() -> str:
        faq_review.dismiss(services, Scope(), candidate)
        return new_id()

    monkeypatch.setattr(faq_review, "new_id", dismissed_meanwhile)  # when the upload is made ready
    with pytest.raises(Conflict, match="dismissed already"):
        faq_review.approve(services, Scope(), candidate, question="Why?", answer="Because of it.", is_public=True)
    assert _published(services) == []


def test_approving_again_after_a_death_in_between_brings_one_document(
    services: Services, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = _candidate(services, office)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    def approve() -> None:
        faq_review.approve(services, Scope(), candidate, question="How is it reset?", answer=ANSWER, is_public=True)

    with monkeypatch.context() as patched:
        patched.setattr(files, "keep", die)
        with pytest.raises(KeyboardInterrupt):
            approve()
    assert (_published(services), len(candidates(services, "candidate"))) == ([], 1)
    approve()
    run_until_idle(services)
    assert _published(services) == [True]


_TEXT = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("\n#*_`[]<>&\\-1.|~=+>! "), max_size=200
)


@given(question=_TEXT, answer=_TEXT)
def test_nothing_of_an_entry_is_taken_for_mark_up(
    tmp_path_factory: pytest.TempPathFactory, question: str, answer: str
) -> None:
    if not (question.split() and answer.split()):
        return
    path = tmp_path_factory.getbasetemp() / "entry.md"
    path.write_text(faq_review.entry_text(question, answer), encoding="utf-8")
    limits = Limits(file_bytes=10**6, pages=10)
    (page,) = [
        each for each in MarkdownParser().parse(Source(path, "faq/1.md"), limits) if isinstance(each, ParsedPage)
    ]
    assert _words(page.text) == _words(question) + _words(answer)


def _words(text: str) -> list[str]:
    return text.split()


def _published(services: Services) -> list[bool]:
    """Of each document whether it is public; what is not read yet is one already."""
    with services.database.read() as session:
        return [each.is_public for each in session.scalars(select(Document))]


def _candidate(services: Services, office: Office) -> str:
    anna = office.agent("Anna")
    conversation = agents_work.claim(office.database, anna, office.waiting())
    office.says(conversation, "How do I reset it?")
    office.replies(anna, conversation, ANSWER, keep_as_faq=True)
    return faq_review.list_candidates(services, Scope(), None, None, None).candidates[0].id
