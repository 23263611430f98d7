"""Every broken and hostile file ends as a document that is ready or has failed with advice, and costs no more.

One worker's sandbox reads them all, one after another, as a worker would; after each it reads a good file.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ingestion.chunker import ChunkerSettings
from ingestion.confined.sandbox import Sandbox, SandboxLimits
from ingestion.errors import PermanentError
from ingestion.journal import Journal
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.pipeline import ReadyDocument, ingest_source
from ingestion.types import NO_PAGE
from model_runtime.fakes import HashingEmbedder
from tests.torture.make import files
from tests.torture.mutations import mutations
from tests.torture.office_files import samples
from tests.torture.pdf_files import good, pdf_files

pytestmark = pytest.mark.torture

GROUPS = 8
MUTATIONS = 200
FORMATS = ("pdf", "docx", "pptx", "xlsx", "epub", "html", "csv", "jsonl", "md")
LIMITS = SandboxLimits(memory_mb=512, page_s=10.0, document_s=40.0)
ADVICE = re.compile(r"(?i)\b(upload|export|save|split|raise|unpack|pack|rename|look|take out|correct|scan|make)\b")
Outcome = tuple[str, list[str]]


class Ends:
    """A sink that notes how every document ended."""

    def __init__(self) -> None:
        self.ended: list[Outcome] = []

    def is_current(self, external_id: str, content_hash: str) -> bool:
        return False

    def known_documents(self) -> dict[str, str]:
        return {}

    def known_vectors(self, external_ids: Collection[str], text_hashes: Collection[bytes]) -> dict[bytes, Any]:
        return {}

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        for each in documents:
            assert len(list(each.passages)) == len(list(each.vectors)) > 0
            assert all(warning.page == NO_PAGE or 0 < warning.page <= 50_000 for warning in each.warnings)
            self.ended.append(("ready", [warning.message for warning in each.warnings]))

    def failed(self, external_id: str, title: str, error: Exception) -> None:
        assert isinstance(error, PermanentError)
        assert external_id
        self.ended.append(("failed", [str(error)]))

    def progress(self, stage: str, done: int, total: int | None) -> None: ...

    def cancelled(self) -> bool:
        return False


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files, made once, each under a number of its own."""
    folder = tmp_path_factory.mktemp("torture")
    for number, (name, content) in enumerate(files()):
        (folder / str(number)).mkdir()
        (folder / str(number) / name).write_bytes(content)
    return folder


def ends(path: Path, sandbox: Sandbox) -> list[Outcome]:
    sink = Ends()
    ingest_source(
        Source(path, path.name), HashingEmbedder(), sink,
        chunker=ChunkerSettings(), limits=Limits(), reader=sandbox, journal=Journal(path.with_suffix(".journal")),
    )  # fmt: skip
    return sink.ended


def require_well_ended(name: str, ended: Sequence[Outcome]) -> None:
    """Somehow, and whatever is not well said so that a person knows what to do."""
    assert ended, name
    for status, messages in ended:
        assert status == "ready" or len(messages) == 1, name
        assert all(ADVICE.search(message) for message in messages), (name, status, messages)
        assert all(len(message) < 1_500 and message.isprintable() for message in messages), (name, status, messages)


@pytest.mark.parametrize("group", range(GROUPS))
def test_each_file_costs_only_itself(sandbox: Sandbox, folder: Path, tmp_path: Path, group: int) -> None:
    (tmp_path / "good.pdf").write_bytes(good())
    outcomes: dict[str, list[Outcome]] = {}
    numbered = sorted(folder.iterdir(), key=lambda path: int(path.name))
    for path in (next(each.iterdir()) for each in numbered[group::GROUPS]):
        outcomes[path.name] = ends(path, sandbox)
        assert ends(tmp_path / "good.pdf", sandbox) == [("ready", [])], f"after {path.name}"
    for name, ended in outcomes.items():
        require_well_ended(name, ended)
    assert sandbox.peak_mb < 1.5 * LIMITS.memory_mb  # private memory is limited, mapped libraries come on top


@pytest.mark.parametrize("suffix", FORMATS)
def test_good_files_damaged_at_random_cost_only_themselves(sandbox: Sandbox, tmp_path: Path, suffix: str) -> None:
    whole = dict(samples()) | {"good.pdf": good()}
    undamaged = tmp_path / f"good.{suffix}"
    undamaged.write_bytes(whole[undamaged.name])
    for number, (name, content) in enumerate(each for each in mutations(MUTATIONS) if each[0].endswith(f".{suffix}")):
        path = tmp_path / name
        path.write_bytes(content)
        require_well_ended(name, ends(path, sandbox))
        if number % 20 == 0:
            assert {status for status, _ in ends(undamaged, sandbox)} == {"ready"}, f"after {name}"
    assert sandbox.peak_mb < 1.5 * LIMITS.memory_mb


def test_a_bad_page_does_not_cost_the_good_ones(sandbox: Sandbox, tmp_path: Path) -> None:
    """Between two good pages: what is wrong with the page becomes its warning, or nothing at all."""
    between = ["q-200000-deep", "form-draws-itself", "million-tiny-texts", "flate-500-mb", "jbig2-garbage"]
    between += ["million-characters-in-a-line", "size-zero", "texts-everywhere", "box-empty", "box-far-away"]
    contents = dict(pdf_files())
    for name in between:
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(contents[name])
        items = sandbox.read(Source(path, name), Limits(), Resume())
        texts = [getattr(item, "text", "") for item in items]
        assert "Valve 1-0" in texts[1], name
        assert "Valve 2-0" in texts[3], name
