"""The pages' texts: both languages, the same places to fill in, none missing and none left over."""

import re
from pathlib import Path
from string import Formatter

import pytest

from ui.texts import OWN_TEXTS, TEXTS, text
from ui.texts_quality import TEXTS as QUALITY_TEXTS
from ui.texts_service import TEXTS as SERVICE_TEXTS

SOURCES = "\n".join(path.read_text() for path in Path("ui").glob("*.py") if not path.name.startswith("texts"))


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_say_the_same(key: str) -> None:
    english, chinese = TEXTS[key]
    assert english.strip()
    assert re.search(r"[\u4e00-\u9fff]", chinese), "not Chinese"
    assert not re.search(r"[\u4e00-\u9fff]", english), "not English"
    assert fields(english) == fields(chinese)


def test_every_text_that_is_used_exists_and_every_one_is_used() -> None:
    used = set(re.findall(r'\btext\(\s*"(\w+)"', SOURCES))
    assert used <= TEXTS.keys()
    mentioned = set(re.findall(r'"(\w+)"', SOURCES))
    made_up = {key for key in TEXTS if re.fullmatch(r"status_\w+|\w+_count", key)}
    assert TEXTS.keys() - mentioned - made_up == set()


def test_no_text_hides_another_of_its_name() -> None:
    assert len(TEXTS) == len(OWN_TEXTS) + len(QUALITY_TEXTS) + len(SERVICE_TEXTS)


def test_one_and_many() -> None:
    assert text("page_count", "en", count=1) == "1 page"
    assert text("page_count", "en", count=1158) == "1,158 pages"
    assert text("page_count", "zh", count=1158) == "1,158 页"
