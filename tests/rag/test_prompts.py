"""Prompts are there in both languages, hold what the code relies on, and take values as they are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag.prompts
from rag.answerers.generative.text import REFUSAL
from rag.language import Language
from rag.prompts import filled, prompt, prompt_version


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_language_has_all_prompts(language: Language) -> None:
    assert REFUSAL in prompt("system", language)
    assert prompt("question", language).count("{passages}") == prompt("question", language).count("{question}") == 1
    assert prompt("rewrite", language).count("{conversation}") == prompt("rewrite", language).count("{question}") == 1
    assert prompt("summary", language).count("{conversation}") == 1
    names = {path.name.rsplit("_", 1)[0] for path in Path(rag.prompts.__file__).parent.glob("*.md")}
    assert names == {"system", "question", "rewrite", "summary"}


@given(st.text(), st.text())
def test_values_are_put_in_as_they_are(first: str, second: str) -> None:
    assert filled("<{a}|{b}>", a=first, b=second) == f"<{first}|{second}>"


def test_a_value_that_looks_like_a_place_is_not_filled() -> None:
    assert filled("{a} {b}", a="{b}", b="x {a}") == "{b} x {a}"


def test_the_version_stays_until_a_prompt_or_the_layout_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def version(layout: int, system: str) -> str:
        (tmp_path / "system_en.md").write_text(system, encoding="utf-8")
        monkeypatch.setattr(rag.prompts, "LAYOUT", layout)
        monkeypatch.setattr(rag.prompts.resources, "files", lambda _: tmp_path)
        prompt_version.cache_clear()
        return prompt_version()

    try:
        assert version(1, "Be brief.") == version(1, "Be brief.")
        assert len({version(1, "Be brief."), version(1, "Be short."), version(2, "Be brief.")}) == 3
    finally:
        prompt_version.cache_clear()
