"""What questions to a catalogue are understood to want, against what a person would understand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.service.catalogue.index import CatalogueIndex
from app.service.catalogue.products import Comparison, Item
from app.service.catalogue.reading import read_catalogue
from model_runtime.fakes import HashingEmbedder
from tests.app.service.shelves import SHELVES, Asked, Shelf

EMBEDDER = HashingEmbedder()


def index_of(items: list[Item]) -> CatalogueIndex:
    return CatalogueIndex(items, np.zeros((len(items), EMBEDDER.dimension), np.float16))


@pytest.mark.parametrize(
    ("shelf", "asked"),
    [pytest.param(shelf, asked, id=asked.text) for shelf in SHELVES for asked in shelf.asked],
)
def test_the_filters_are_those_that_a_person_would_make(shelf: Shelf, asked: Asked, tmp_path: Path) -> None:
    index = index_of(read_catalogue(shelf.write(tmp_path / "shelf.csv"), "shelf.csv"))

    ranking = index.search(asked.text, 50, EMBEDDER.embed_question)

    found = [index.items[number].sku for number in ranking.numbers]
    assert set(found[: ranking.matching]) == {row["sku"] for row in shelf.rows if asked.fits(row)}
    assert not ranking.relaxed
    assert not asked.first or found[0] == asked.first


_SAID = {
    Comparison.LESS: ("under {} g", "less than {} grams", "低于{}克"),
    Comparison.AT_MOST: ("at most {} g", "{} g or less", "不超过{}克", "{}克以下"),
    Comparison.AT_LEAST: ("at least {}g", "{} grams or more", "至少{}克", "{}克以上"),
    Comparison.MORE: ("over {} g", "heavier than {}g", "超过{}克"),
}
_HOLDS = {
    Comparison.LESS: lambda weight, bound: weight < bound,
    Comparison.AT_MOST: lambda weight, bound: weight <= bound,
    Comparison.AT_LEAST: lambda weight, bound: weight >= bound,
    Comparison.MORE: lambda weight, bound: weight > bound,
}


@given(
    weights=st.lists(st.integers(1, 9_999), min_size=1, max_size=12),
    in_kilograms=st.booleans(),
    bound=st.integers(1, 9_999),
    said=st.sampled_from([(comparison, text) for comparison, texts in _SAID.items() for text in texts]),
)
def test_a_bound_holds_for_exactly_the_products_that_are_in_it(
    weights: list[int], in_kilograms: bool, bound: int, said: tuple[Comparison, str]
) -> None:
    comparison, text = said
    items = [
        Item(f"A{number}", "lamp", attributes={"weight": f"{weight / 1000} kg" if in_kilograms else f"{weight} g"})
        for number, weight in enumerate(weights)
    ]
    fits = {f"A{number}" for number, weight in enumerate(weights) if _HOLDS[comparison](weight, bound)}
    index = index_of(items)

    ranking = index.search(text.format(bound), 50, EMBEDDER.embed_question)

    if fits:
        assert {index.items[number].sku for number in ranking.numbers} == fits
        assert [each.comparison for each in ranking.understood] == [comparison]
    else:
        assert [each.comparison for each in ranking.relaxed] == [comparison]
        assert len(ranking.numbers) == len(items)


@given(st.text(max_size=200))
def test_any_text_at_all_can_be_asked(text: str) -> None:
    shelf = [Item("A", "Lamp", attributes={"colour": "red", "weight": "1 kg", "waterproof": True}, price=3.0)]

    ranking = index_of(shelf).search(text, 10, EMBEDDER.embed_question)

    assert ranking.numbers in ((), (0,))


def test_prices_are_never_converted_and_what_nobody_can_fulfil_is_given_up_nearest_first() -> None:
    index = index_of([Item(f"A{price}", "lamp", price=float(price), currency="EUR") for price in (90, 30, 60)])

    foreign = index.search("lamp under 50 dollars", 10, EMBEDDER.embed_question)
    impossible = index.search("lamp under 20 euros", 10, EMBEDDER.embed_question)

    assert ([each.words for each in foreign.relaxed], foreign.understood, foreign.matching) == (
        ["price < 50 USD"],
        (),
        3,
    )
    assert [index.items[number].sku for number in impossible.numbers] == ["A30", "A60", "A90"]
    assert [each.said for each in impossible.relaxed] == ["under 20 euros"]
