"""Which product is understood, from where, and what is left to search for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from rag.products.names import ProductNames
from rag.products.scope import SAID, KnownProducts, ScopeSource, understood
from rag.products.search import ProductSearcher
from rag.types import Hit, Turn
from tests.rag.answering import FakeFound, hit

NAMES = ProductNames(["Orvello LT-300", "Orvello LT-300S", "Orvello LT-500"])
QUESTION = "How long does descaling take?"


def said(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn("customer", text) for text in texts)


@pytest.mark.parametrize(
    ("question", "history", "filter", "context", "products", "source"),
    [
        (QUESTION, [], {}, {}, [], None),
        (QUESTION, ["I have an LT-300."], {}, {}, ["Orvello LT-300"], "history"),
        (QUESTION, ["I have an LT-300.", "No, an LT-500."], {}, {}, ["Orvello LT-500"], "history"),
        (QUESTION, ["I have an LT-300."], {}, {"product": "lt500"}, ["Orvello LT-500"], "context"),
        (QUESTION, [], {}, {"product": "lt500", SAID: ["Orvello LT-300"]}, ["Orvello LT-300"], "history"),
        (QUESTION, [], {}, {"product": "Kestrel"}, [], None),
        ("Does the LT-300S beep?", ["I have an LT-300."], {}, {"product": "lt500"}, ["Orvello LT-300S"], "question"),
        ("Does the LT-300S beep?", [], {"product": "LT"}, {}, ["LT"], "filter"),
        ("LT-300 or LT-500?", [], {}, {}, ["Orvello LT-300", "Orvello LT-500"], "question"),
    ],
)
def test_what_names_the_product(
    question: str,
    history: Sequence[str],
    filter: Mapping[str, object],
    context: Mapping[str, object],
    products: list[str],
    source: str | None,
) -> None:
    scope = understood(NAMES, question, said(*history), filter, context)
    assert (list(scope.products), scope.source) == (products, source)


def test_assistants_name_no_product() -> None:
    assert understood(NAMES, QUESTION, [Turn("assistant", "The LT-300 or the LT-500?")]).source is None


@pytest.mark.parametrize(
    "reply", ["LT-300", "the lt-300 please", "I have an LT 300.", "我的是LT300", "what about the LT-300?"]
)
def test_a_message_that_only_names_a_product_asks_the_last_question_again(reply: str) -> None:
    turns = (*said("Is the LT-500's tank removable?"), Turn("assistant", "Yes."))
    scope = understood(NAMES, reply, turns)
    assert (scope.question, scope.products, scope.history) == ("Is the tank removable?", ("Orvello LT-300",), ())
    assert not scope.is_only_named
    assert understood(NAMES, reply, ()).is_only_named


def test_in_one_products_pages_other_names_are_left_out_of_the_history() -> None:
    turns = said("I have an LT-300.", "How do I clean the LT-500's spout?")
    assert [turn.text for turn in understood(NAMES, "And on the LT-300S, how often?", turns).history] == [
        "How do I clean the spout?"
    ]


DESCALING = "Descaling takes {} minutes. Fill the tank with descaler and water, and press the steam button."


def version(product: object, minutes: int, key: int, **signals: float) -> Hit:
    made = hit(DESCALING.format(minutes), key=key, heading_path=("Descaling",))
    passage = replace(made.passage, facets={"product": product} if product else {})
    return replace(made, passage=passage, signals={"dense": 0.9, "lexical": 9.0, **signals})


@dataclass
class ByProduct:
    """Finds what the filter's products admit, in order."""

    hits: Sequence[Hit]
    asked: list[tuple[str, object, int]] = field(default_factory=list)

    def search(
        self,
        question: str,
        *,
        top_k: int,
        filter: Mapping[str, object],
        history: Sequence[Turn],
        timings: dict[str, float],
    ) -> FakeFound:
        wanted = filter.get("product")
        self.asked.append((question, wanted, len(history)))
        found = [
            each
            for each in self.hits
            if not isinstance(wanted, list) or each.passage.facets.get("product", "") in wanted
        ]
        return FakeFound(found[:top_k], question)


FAR, NEAR = {"dense": 0.8, "lexical": 2.0}, {"dense": 0.895, "lexical": 8.5}
SHARED = version("", 5, 9)
LT300, LT300S, LT500 = (
    version("Orvello LT-300", 20, 1),
    version("Orvello LT-300S", 25, 2),
    version("Orvello LT-500", 30, 3),
)


def searched(hits: Sequence[Hit], question: str, *history: str) -> tuple[list[Hit], tuple[str, ...], ByProduct]:
    searcher = ByProduct(hits)
    found = ProductSearcher(searcher, KnownProducts(NAMES)).search(question, top_k=8, history=said(*history))
    return list(found.hits), found.choices, searcher


def test_a_product_narrows_the_search_and_shared_documents_stay() -> None:
    hits, choices, searcher = searched([LT300S, SHARED, LT300], "How long does descaling my LT-300 take?")
    assert (hits, choices) == ([SHARED, LT300], ())
    assert searcher.asked == [("How long does descaling my take?", ["Orvello LT-300", ""], 0)]


def test_without_a_product_it_is_asked_which_one_when_their_pages_differ() -> None:
    _, choices, _ = searched([LT300S, LT500, LT300], QUESTION)
    assert choices == ("Orvello LT-300S", "Orvello LT-500", "Orvello LT-300")


@pytest.mark.parametrize(
    ("hits", "question"),
    [
        ([LT300], QUESTION),  # the same in all: collapsed
        ([SHARED, LT300], QUESTION),
        ([LT300, SHARED], QUESTION),
        ([LT300, LT500], "Who painted the ceiling of the chapel in Rome?"),
        ([LT300, version(["Orvello LT-300", "Orvello LT-500"], 22, 4)], QUESTION),
        ([], QUESTION),
    ],
)
def test_it_is_not_asked_which_product_where_that_changes_nothing(hits: Sequence[Hit], question: str) -> None:
    assert searched(hits, question)[1] == ()


def test_several_products_are_searched_each_and_take_turns() -> None:
    more = version("Orvello LT-300", 21, 4)
    hits, choices, searcher = searched([LT300, more, LT500], "Is descaling slower on the LT-300 than on the LT-500?")
    assert (hits, choices) == ([LT300, LT500, more], ())
    assert [wanted for _, wanted, _ in searcher.asked] == [["Orvello LT-300", ""], ["Orvello LT-500", ""]]


def test_a_product_of_earlier_turns_is_given_up_where_another_fits_far_better() -> None:
    jug = hit("Warm milk first. Descaling of the jug is not needed.", key=5, heading_path=("Milk",))
    far = replace(jug, passage=replace(jug.passage, facets={"product": "Orvello LT-300"}), signals=FAR)
    assert searched([LT500, far], QUESTION, "I have an LT-300.")[0] == [LT500, far]
    assert searched([LT500, far], "How long does the LT-300 take?", "I have an LT-500.")[0] == [far]
    near = replace(far, signals=NEAR)
    assert searched([LT500, near], QUESTION, "I have an LT-300.")[0] == [near]
    own_version = replace(LT300, signals=FAR)
    assert searched([LT500, own_version], QUESTION, "I have an LT-300.")[0] == [own_version]


def test_without_products_nothing_is_changed() -> None:
    searcher = ByProduct([LT300])
    turns = said("I have an LT-300.", "How do I descale it?")
    found = ProductSearcher(searcher, KnownProducts()).search("how often?", top_k=3, history=turns)
    assert (searcher.asked, found.scope.source) == ([("how often?", None, 2)], None)


def test_sources_are_words_of_the_api() -> None:
    assert {source.value for source in ScopeSource} == {"filter", "question", "context", "history"}
