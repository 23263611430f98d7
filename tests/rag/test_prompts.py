"""Prompts are there in both languages, hold what the code relies on, and take values as they are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag.prompts
from rag.answerers.generative_text import REFUSAL
from rag.language import Language
from rag.prompts import filled, prompt


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_language_has_all_prompts(language: Language) -> None:
    assert REFUSAL in prompt("system", language)
    assert prompt("question", language).count("{passages}") == prompt("question", language).count("{question}") == 1
    names = {path.name.rsplit("_", 1)[0] for path in Path(rag.prompts.__file__).parent.glob("*.md")}
    assert names == {"system", "question"}


@given(st.text(), st.text())
def test_values_are_put_in_as_they_are(first: str, second: str) -> None:
    assert filled("<{a}|{b}>", a=first, b=second) == f"<{first}|{second}>"


def test_a_value_that_looks_like_a_place_is_not_filled() -> None:
    assert filled("{a} {b}", a="{b}", b="x {a}") == "{b} x {a}"
