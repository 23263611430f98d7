"""Every broken and hostile file ends as a document that is ready or has failed with a reason, and costs no more.

One worker's sandbox reads them all, one after another, as a worker would; after each it reads a good file.
"""

import resource
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest

from ingestion.chunker import ChunkerSettings
from ingestion.errors import PermanentError
from ingestion.journal import Journal
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.pipeline import ReadyDocument, ingest_source
from ingestion.sandbox import Sandbox, SandboxLimits
from model_runtime.fakes import HashingEmbedder
from tests.torture.make import files
from tests.torture.pdf_files import good

pytestmark = pytest.mark.torture

GROUPS = 8
LIMITS = SandboxLimits(memory_mb=512, page_s=10.0, document_s=40.0)


class Ends:
    """A sink that notes how every document ended."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, list[str]]] = []

    def is_current(self, external_id: str, content_hash: str) -> bool:
        return False

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        for each in documents:
            assert len(list(each.passages)) == len(list(each.vectors)) > 0
            self.ended.append(("ready", [warning.message for warning in each.warnings]))

    def failed(self, external_id: str, title: str, error: Exception) -> None:
        assert isinstance(error, PermanentError)
        self.ended.append(("failed", [str(error)]))

    def progress(self, stage: str, done: int, total: int | None) -> None: ...

    def cancelled(self) -> bool:
        return False


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


def ends(path: Path, sandbox: Sandbox) -> list[tuple[str, list[str]]]:
    sink = Ends()
    ingest_source(
        Source(path, path.name), HashingEmbedder(), sink,
        chunker=ChunkerSettings(), limits=Limits(), reader=sandbox, journal=Journal(path.with_suffix(".journal")),
    )  # fmt: skip
    return sink.ended


@pytest.mark.parametrize("group", range(GROUPS))
def test_each_file_costs_only_itself(sandbox: Sandbox, tmp_path: Path, group: int) -> None:
    (tmp_path / "good.pdf").write_bytes(good())
    outcomes: dict[str, list[tuple[str, list[str]]]] = {}
    for name, content in islice(files(), group, None, GROUPS):
        path = tmp_path / name
        path.write_bytes(content)
        outcomes[name] = ends(path, sandbox)
        path.unlink()
        assert ends(tmp_path / "good.pdf", sandbox) == [("ready", [])], f"after {name}"
    for name, ended in outcomes.items():
        assert ended, name
        for status, messages in ended:
            assert status == "ready" or len(messages[0]) > 30, (name, status, messages)
            assert all(message[-1] in ".:)" or len(message) > 30 for message in messages), (name, messages)
    children_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert children_mb < 1.5 * LIMITS.memory_mb  # private memory is limited, mapped libraries come on top


def test_a_bad_page_does_not_cost_the_good_ones(sandbox: Sandbox, tmp_path: Path) -> None:
    """Between two good pages: what is wrong with the page becomes its warning, or nothing at all."""
    between = ["q-200000-deep", "form-draws-itself", "million-tiny-texts", "flate-500-mb", "jbig2-garbage"]
    contents = {name.removesuffix(".pdf"): content for name, content in islice(files(), 200)}
    for name in between:
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(contents[name])
        items = sandbox.read(Source(path, name), Limits(), Resume())
        texts = [getattr(item, "text", "") for item in items]
        assert "Valve 1-0" in texts[1], name
        assert "Valve 2-0" in texts[3], name
