"""With the caches on every question gets exactly the answer it would get with them off, whatever happened before."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from langchain_core.language_models import BaseChatModel
from sqlalchemy import select

from app.answer_cache import RememberingChain, fingerprint
from app.bootstrap import Services
from app.caches import LeastRecentlyUsed
from app.documents import delete_document
from app.knowledge_base_settings import KnowledgeBaseSettings
from app.knowledge_bases import (
    KnowledgeBaseChange,
    NewKnowledgeBase,
    change_knowledge_base,
    create_knowledge_base,
    delete_knowledge_base,
)
from app.models import Document, KnowledgeBase
from app.scope import Scope
from app.settings import AnswersSettings, CachesSettings, Settings
from model_runtime.fakes import HashingEmbedder
from rag.answerers.extractive.answerer import ExtractiveAnswerer
from rag.answerers.fallback import FallbackAnswerer, RefusingAnswerer
from rag.chain import AnswerChain, normalised
from rag.products.search import whole_searcher
from rag.types import AnswerEvent, Cited, Finished, Question, Retrieved, Token, Turn
from tests.conftest import settings_in
from tests.fakes.chat_model import Digesting
from tests.installation import DIMENSION, claimed_sink, ready_document
from tests.rag.answering import FakeSearcher, hit

WORKSPACES = ("one", "two")
TEXTS = (
    "Fill the kettle with 50 ml of vinegar and water.",
    "The kettle boils at 100 degrees.",
    "The lamp turns red when the filter is worn.",
    "Hold the reset button for five seconds.",
)
QUESTIONS = (
    "How much vinegar for the kettle?",
    "How  much vinegar\tfor the kettle? ",
    "how much vinegar for the kettle?",
    "When does the lamp turn red?",
    "And then?",
)
HISTORIES = ((), (Turn("customer", "How do I reset it?"), Turn("assistant", "Hold the button. [1]", ("gone",))))
FILTERS: tuple[dict[str, Any], ...] = ({}, {"product": "K-1"}, {"product": ["K-2", "K-1"]})
USUAL = (
    Question(QUESTIONS[0]),
    Question(QUESTIONS[0], filter=FILTERS[1]),
    Question(QUESTIONS[4]),
    Question(QUESTIONS[4], HISTORIES[1]),
)
SETTINGS = (
    {"dense_weight": 0.1},
    {"dense_weight": 0.9, "answer_passages": 1},
    {"answerer": "generative"},
    {"answerer": "extractive", "refuse_below": 0},
    {"refuse_below": 1},
    {"temperature": 1.5},
    {"answer_cache": False},
    {"answer_cache": None, "answer_passages": None, "dense_weight": None},
)


class DigestingServices(Services):
    @cached_property
    def chat_model(self) -> BaseChatModel:
        return Digesting()


class Installations(RuleBasedStateMachine):
    """Two processes on one database, one with caches; documents, settings and questions of two workspaces."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        folder = Path(self.opened.enter_context(TemporaryDirectory()))
        answers = AnswersSettings(chat_model="digesting")
        self.settings = settings_in(folder, answers=answers)
        self.cached = self._services(self.settings)
        self.cached.prepare()
        self.plain = self._services(
            settings_in(folder, answers=answers, caches=CachesSettings(answers_mb=0, question_vectors_mb=0))
        )
        for workspace in WORKSPACES:
            self._create(workspace)

    def _services(self, settings: Settings) -> Services:
        services = DigestingServices(settings, lambda _: HashingEmbedder(DIMENSION))
        self.opened.callback(services.close)
        return services

    def _create(self, workspace: str) -> None:
        new = NewKnowledgeBase(name="manuals", settings=KnowledgeBaseSettings(refuse_below=0))
        create_knowledge_base(self.cached, Scope(workspace), new)

    def _knowledge_base(self, workspace: str) -> KnowledgeBase:
        with self.cached.database.read() as session:
            return Scope(workspace).knowledge_base(session, "manuals")

    def teardown(self) -> None:
        self.opened.close()

    @rule(
        workspace=st.sampled_from(WORKSPACES),
        name=st.sampled_from("ab"),
        texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True),
        product=st.sampled_from(["K-1", "K-2"]),
    )
    def upload(self, workspace: str, name: str, texts: list[str], product: str) -> None:
        _, _, sink = claimed_sink(self.cached.database, self.settings, self._knowledge_base(workspace).id)
        sink.store([ready_document(name, texts, product=product)])
        self._ask_the_usual(workspace)

    @rule(workspace=st.sampled_from(WORKSPACES), name=st.sampled_from("ab"))
    def delete(self, workspace: str, name: str) -> None:
        of_base = Document.knowledge_base_id == self._knowledge_base(workspace).id
        with self.cached.database.read() as session:
            document = session.scalars(select(Document.id).where(of_base, Document.external_id == name)).first()
        if document is not None:
            delete_document(self.cached, Scope(workspace), document)
            self._ask_the_usual(workspace)

    @rule(workspace=st.sampled_from(WORKSPACES), settings=st.sampled_from(SETTINGS))
    def change_settings(self, workspace: str, settings: dict[str, Any]) -> None:
        change = KnowledgeBaseChange(settings=KnowledgeBaseSettings.model_validate(settings))
        change_knowledge_base(self.cached, Scope(workspace), "manuals", change)
        self._ask_the_usual(workspace)

    @rule(workspace=st.sampled_from(WORKSPACES))
    def begin_anew(self, workspace: str) -> None:
        delete_knowledge_base(self.cached, Scope(workspace), "manuals")
        self._create(workspace)

    @rule(
        workspaces=st.permutations(WORKSPACES),
        text=st.sampled_from(QUESTIONS),
        history=st.sampled_from(HISTORIES),
        filter=st.sampled_from(FILTERS),
        images=st.sampled_from([(), ("data:image/png;base64,AAAA",)]),
    )
    def ask(self, workspaces: list[str], text: str, history: Any, filter: Any, images: Any) -> None:
        for workspace in workspaces:
            self._check(workspace, Question(text, history, filter, images))

    def _ask_the_usual(self, workspace: str) -> None:
        """The same few questions after every change, so that an old answer has every chance to come back."""
        for question in USUAL:
            self._check(workspace, question)

    def _check(self, workspace: str, question: Question) -> None:
        knowledge_base = self._knowledge_base(workspace)
        expected = told(self.plain.chain(knowledge_base).stream(question))
        for _ in range(2):  # the second time it is most often a kept one
            assert told(self.cached.chain(knowledge_base).stream(question)) == expected


TestInstallations = Installations.TestCase
TestInstallations.settings = hypothesis_settings(
    max_examples=10, stateful_step_count=15, deadline=None, phases=(Phase.explicit, Phase.generate)
)


def told(events: Iterator[AnswerEvent]) -> list[object]:
    """What a reader gets: all but times, and the mark of a kept answer. Scores to what floating point promises."""
    result: list[object] = []
    for event in events:
        match event:
            case Retrieved(hits=hits, searched_for=searched_for):
                result.append((searched_for, [(each.passage, round(each.score, 4)) for each in hits]))
            case Token(text=text):
                result.append(text)
            case Cited(citation=citation):
                result.append(citation)
            case Finished(answer=answer):
                details = {
                    name: value
                    for name, value in answer.details.items()
                    if name != "cached" and not name.endswith("_ms")
                }
                result.append(dataclasses.replace(answer, timings_ms={}, details=_rounded(details), hits=()))
    return result


def _rounded(details: dict[str, object]) -> dict[str, object]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in details.items()}


class Store:
    """Storage of which only the change number is asked."""

    number = 1

    def change(self) -> int:
        return self.number


def remembering(chain: AnswerChain, store: Any = None, **more: Any) -> RememberingChain:
    return RememberingChain(chain, LeastRecentlyUsed(10**6), store or Store(), b"settings", **more)


def test_a_kept_answer_is_told_by_the_same_events_with_its_own_times_and_a_mark() -> None:
    searcher = FakeSearcher([hit("The kettle holds 2 litres of water.", near="litres")])
    chain = remembering(AnswerChain(whole_searcher(searcher), ExtractiveAnswerer()))
    question = Question("How many litres does the kettle hold?")
    first, second = list(chain.stream(question)), list(chain.stream(question))
    assert told(iter(first)) == told(iter(second))
    assert len(searcher.asked) == 1
    made, kept = (events[-1] for events in (first, second))
    assert isinstance(made, Finished)
    assert isinstance(kept, Finished)
    assert "cached" not in made.answer.details
    assert kept.answer.details["cached"] is True
    assert {"first_token", "total"} == set(kept.answer.timings_ms)
    assert chain.answer(question).details["cached"] is True


def test_reader_who_stops_at_the_end_or_before_decides_what_is_kept() -> None:
    searcher = FakeSearcher([hit("The kettle holds 2 litres of water.", near="litres")])
    chain = remembering(AnswerChain(whole_searcher(searcher), ExtractiveAnswerer()))
    question = Question("How many litres does the kettle hold?")
    left = chain.stream(question)
    next(left)
    left.close()
    assert not chain.holds(question, 1)
    for event in (ended := chain.stream(question)):
        if isinstance(event, Finished):
            break
    ended.close()
    assert chain.holds(question, 1)
    assert not chain.holds(question, 2)


def test_a_quote_in_place_of_a_models_answer_is_never_kept() -> None:
    answerer = FallbackAnswerer(RefusingAnswerer("generative", "m"), ExtractiveAnswerer())
    searcher = FakeSearcher([hit("The kettle holds 2 litres of water.", near="litres")])
    chain = remembering(AnswerChain(whole_searcher(searcher), answerer))
    question = Question("How many litres does the kettle hold?")
    assert chain.answer(question).details["fallback"] == "runtime_busy"
    assert not chain.holds(question, 1)


def test_every_part_of_a_question_counts_and_so_does_everything_around_it() -> None:
    """A field that `Question` gets one day fails here until it is given two values."""
    values: dict[str, tuple[object, object]] = {
        "text": ("Kettle?", "kettle?"),
        "history": ((), (Turn("customer", "Kettle?"),)),
        "filter": ({"a": 1}, {"a": "1"}),
        "images": ((), ("data:",)),
        "context": ({"product": "K1"}, {"product": "K2"}),
    }
    assert {field.name for field in dataclasses.fields(Question)} == set(values)
    store, epoch = Store(), [0]
    searcher = FakeSearcher([hit("The kettle holds 2 litres of water.", near="litres")])
    chain = remembering(AnswerChain(whole_searcher(searcher), ExtractiveAnswerer()), store, epoch=lambda: epoch[0])
    question = Question("How many litres does the kettle hold?")
    chain.answer(question)
    assert chain.holds(question, 1)
    for name, (one, other) in values.items():
        assert not chain.holds(dataclasses.replace(question, **{name: one}), 1) or one == getattr(question, name)
        assert not chain.holds(dataclasses.replace(question, **{name: other}), 1)
    epoch[0] = 1
    assert not chain.holds(question, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "x", "b": ""}, {"a": "", "b": "x"}),
        ({"a": ["x", "y"]}, {"a": ["x,y"]}),
        ({"a": ["x"], "b": []}, {"a": [], "b": ["x"]}),
        ({"a": 1}, {"a": "1"}),
        ({"a": True}, {"a": 1}),
        ({"a": None}, {"a": "null"}),
        ({"a": {"b": "c"}}, {"a": '{"b":"c"}'}),
    ],
)
def test_different_parts_never_look_alike(one: dict[str, object], other: dict[str, object]) -> None:
    assert fingerprint(**one) != fingerprint(**other)
    assert fingerprint(**dict(reversed(one.items()))) == fingerprint(**one)


def test_what_has_no_stable_text_cannot_be_part_of_a_key() -> None:
    with pytest.raises(TypeError, match="stable"):
        fingerprint(part=object())


def test_only_gaps_and_composition_are_brought_together() -> None:
    assert normalised("  Wie\u00a0 gro\u00df\t ist\u3000er? \n") == "Wie groß ist er?"
    assert normalised("cafe\u0301") == normalised("caf\u00e9")
    for one, other in (("US", "us"), ("E-42", "E 42"), ("Ａ", "A"), ("²", "2"), ("a\nb", "a b"), ("ab", "a b")):
        assert normalised(one) != normalised(other)
