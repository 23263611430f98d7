"""Documentation that cannot drift: settings, commands, routes and links are compared with what there is."""

import re
from pathlib import Path

import pytest

from app.reference import reference
from app.settings import Settings
from app.settings_reference import setting_rows, settings_markdown

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [row.name for row in setting_rows(Settings(_env_file=None))]:
        monkeypatch.delenv(name, raising=False)
    return Settings(_env_file=None)


def test_the_settings_page_is_the_settings(defaults: Settings) -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert settings_markdown(defaults) in page, "paste the output of `answerdesk settings --markdown`"


def test_the_example_names_real_settings(defaults: Settings) -> None:
    named = re.findall(r"^# (ANSWERDESK_\w+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M)
    assert named
    assert set(named) <= {row.name for row in setting_rows(defaults)}


def test_the_reference_has_every_command_and_route(defaults: Settings) -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert page == reference(), "write it anew: `python -m app.reference > docs/reference.md`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for path in re.findall(
        r"`((?:app|rag|ingestion|model_runtime|ui|migrations|benchmarks|docs|tests)/[\w./]+\.\w+)`", text
    ):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_the_way_of_a_question_and_of_a_document_are_five_files_each() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    ways = text.split("## Two ways through the house")[1].split("\n## ")[0]
    for way in ("**A question**", "**A document**"):
        steps = re.findall(r"^\d\. `([\w/.]+)`", ways.split(way)[1].split("\n\n**")[0], re.M)
        assert len(steps) == 5
        assert all((ROOT / step).exists() for step in steps)
