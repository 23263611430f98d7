"""A knowledge base follows a folder, a JSONL file or web pages, and nothing else is touched."""

import json
import os
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from app import cli_ingest
from app.bootstrap import Services
from app.errors import BadRequest, Conflict
from app.scope import Scope
from app.settings import FetchSettings
from app.sync.sources import Source, source_of
from app.sync.sync import Options, Plan, sync
from app.worker import run_until_idle
from tests.app.test_fetch import Site, loopback, page, site
from tests.installation import Installation

__all__ = ["site"]  # a fixture


class Synchronised:
    """One installation that is brought up to sources, again and again."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.services: Services = installation.services

    def __call__(self, source: Source | Path, dry_run: bool = False, **options: bool) -> dict[str, Any]:
        shown: list[Plan] = []
        done = sync(
            self.services,
            Scope(),
            "manuals",
            source_of(str(source), FetchSettings()) if isinstance(source, Path) else source,
            Options(**options),
            show=shown.append,
            work=None if dry_run else lambda jobs: run_until_idle(self.services) if jobs else None,
        )
        assert len(shown) == 1
        return {name: value for name, value in done.as_json().items() if value}

    def versions(self) -> dict[str, int]:
        return {name: each["version"] for name, each in self.installation.documents().items()}


@pytest.fixture
def synchronised(installation: Installation) -> Synchronised:
    return Synchronised(installation)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_a_folder_new_changed_and_gone(synchronised: Synchronised, tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    write(folder, {"a.md": "# A\n\nLamp one.", "deep/b.md": "# B\n\nLamp two.", "c.txt": "Lamp three.", "x.bin": "?"})
    write(folder, {".hidden.md": "# H\n\nNo.", ".git/d.md": "# D\n\nNo."})
    wanted = {"new": ["a.md", "c.txt", "deep/b.md"]}
    assert synchronised(folder, dry_run=True) == wanted
    assert synchronised.versions() == {}
    assert synchronised(folder) == wanted
    assert synchronised.versions() == {"a.md": 1, "c.txt": 1, "deep/b.md": 1}
    assert synchronised(folder) == {"unchanged": 3}
    write(folder, {"a.md": "# A\n\nQuartz one."})
    (folder / "c.txt").unlink()
    assert synchronised(folder, delete=False) == {"changed": ["a.md"], "unchanged": 1, "removed": ["c.txt"]}
    assert synchronised.versions() == {"a.md": 2, "c.txt": 1, "deep/b.md": 1}, "kept, because we were told so"
    assert synchronised(folder) == {"unchanged": 2, "removed": ["c.txt"]}
    assert synchronised.versions() == {"a.md": 2, "deep/b.md": 1}
    found = synchronised.installation.texts("lamp quartz")
    assert "Quartz one" in found
    assert "three" not in found
    assert synchronised.installation.stored_files() == ["a.md", "b.md"]
    synchronised.installation.client.delete(f"/api/documents/{synchronised.installation.documents()['a.md']['id']}")
    assert synchronised(folder) == {"changed": ["a.md"], "unchanged": 1}, "what was deleted by hand comes again"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_came_in_another_way_is_not_touched(synchronised: Synchronised, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    upload = synchronised.installation.upload
    upload(("mine.md", "# Mine\n\nUploaded."), ("same.md", "# S\n\nSame."), ("clash.md", "# C\n\nUploaded."))
    synchronised.installation.work()
    write(one, {"a.md": "# A\n\nOne.", "same.md": "# S\n\nSame.", "clash.md": "# C\n\nOther."})
    write(two, {"a.md": "# A\n\nTwo.", "b.md": "# B\n\nTwo."})
    done = synchronised(one)
    assert [each["place"] for each in done["failed"]] == ["clash.md"]
    done = synchronised(two, adopt=True)
    assert [each["place"] for each in done["failed"]] == ["a.md"], "another source's is not to be adopted"
    assert synchronised.versions() == {"mine.md": 1, "same.md": 1, "clash.md": 1, "a.md": 1, "b.md": 1}
    assert synchronised(one, adopt=True)["new"] == ["clash.md"]
    for name in ("clash.md", "same.md"):
        (one / name).unlink()
    write(one, {"z.md": "# Z\n\nZ.", "y.md": "# Y\n\nY."})
    assert synchronised(one)["removed"] == ["clash.md", "same.md"]
    assert synchronised.versions() == {"mine.md": 1, "a.md": 1, "b.md": 1, "y.md": 1, "z.md": 1}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_folder_that_is_suddenly_empty_deletes_nothing(synchronised: Synchronised, tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    write(folder, {"a.md": "# A\n\nLamp.", "b.md": "# B\n\nLamp."})
    synchronised(folder)
    folder.rename(tmp_path / "away")
    with pytest.raises(BadRequest, match="nothing was changed"):
        synchronised(folder)
    folder.mkdir()
    with pytest.raises(Conflict, match="2 of the 2 files"):
        synchronised(folder)
    assert synchronised(folder, delete=False) == {"removed": ["a.md", "b.md"]}
    assert set(synchronised.versions()) == {"a.md", "b.md"}
    synchronised(folder, force=True)
    assert synchronised.versions() == {}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_links_out_of_the_folder_and_what_cannot_be_read(
    synchronised: Synchronised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, outside = tmp_path / "manuals", tmp_path / "outside"
    write(outside, {"secret.md": "# S\n\nSecret.", "more/s.md": "# S\n\nSecret."})
    write(
        folder, {"a.md": "# A\n\nLamp.", "closed/b.md": "# B\n\nLamp.", "broken.pdf": "no pdf", "c.md": "# C\n\nLamp."}
    )
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "dangling.md").symlink_to(outside / "nothing.md")
    (folder / "more").symlink_to(outside / "more")
    (folder / "again.md").symlink_to(folder / "a.md")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad-\xff.md")).write_text("# Bad\n\nName.")
    done = synchronised(folder)
    assert done["new"] == ["a.md", "again.md", "broken.pdf", "c.md", "closed/b.md"]
    assert len(done["failed"]) == 2
    assert set(synchronised.versions()) == {"a.md", "again.md", "c.md", "closed/b.md"}
    scandir, opened = os.scandir, Path.open

    def unreadable(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def not_c(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == "c.md" and path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **more)

    monkeypatch.setattr(os, "scandir", unreadable)
    monkeypatch.setattr(Path, "open", not_c)
    done = synchronised(folder)
    assert {"closed", "c.md"} <= {each["place"] for each in done["failed"]}
    assert "removed" not in done, "what cannot be read is not gone"
    assert set(synchronised.versions()) == {"a.md", "again.md", "c.md", "closed/b.md"}


def records(*rows: tuple[str, str]) -> str:
    return "".join(json.dumps({"_id": id_, "title": id_, "text": text}) + "\n" for id_, text in rows)


def test_records_that_a_jsonl_no_longer_has_are_removed(synchronised: Synchronised, tmp_path: Path) -> None:
    folder = tmp_path / "faq"
    write(folder, {"faq.jsonl": records(("q1", "Lamp."), ("q2", "Kettle."), ("q3", "Plug.")), "a.md": "# A\n\nLamp."})
    synchronised(folder)
    assert synchronised.versions() == {"q1": 1, "q2": 1, "q3": 1, "a.md": 1}
    write(folder, {"faq.jsonl": records(("q1", "Lamp."), ("q3", "Quartz."), ("q4", "Wall."))})
    done = synchronised(folder, delete=False)
    assert (done["changed"], done["removed_records"]) == (["faq.jsonl"], {"faq.jsonl": ["q2"]})
    assert synchronised.versions() == {"q1": 1, "q2": 1, "q3": 2, "q4": 1, "a.md": 1}
    assert synchronised(folder) == {"unchanged": 2, "removed_records": {"faq.jsonl": ["q2"]}}
    assert synchronised.versions() == {"q1": 1, "q3": 2, "q4": 1, "a.md": 1}
    with (folder / "faq.jsonl").open("a") as file:
        file.write("half a record\n")
    write(folder, {"more.jsonl": records(("q9", "Cable."), ("q1", "Another lamp."))})
    done = synchronised(folder)
    assert "removed_records" not in done
    assert {each["place"] for each in done["failed"]} == {"faq.jsonl", "more.jsonl"}, "q1 is in both"
    (folder / "faq.jsonl").unlink()
    synchronised(folder)
    assert synchronised.versions() == {"a.md": 1, "q9": 1, "q1": 2}, "a record may move to another file"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_source_that_lost_most_of_its_records_deletes_nothing(synchronised: Synchronised, tmp_path: Path) -> None:
    """A JSONL file that was cut off is still there, and is most of what there was."""
    file = tmp_path / "faq.jsonl"
    rows = [(f"q{number}", f"Lamp {number}.") for number in range(30)]
    file.write_text(records(*rows))
    synchronised(file)
    file.write_text(records(*rows[:10]))
    with pytest.raises(Conflict, match="20 of the 30 documents"):
        synchronised(file)
    assert len(synchronised.versions()) == 30
    file.write_text(records(*rows[:10], *((f"new{number}", "Plug.") for number in range(11))))
    synchronised(file)
    assert len(synchronised.versions()) == 21, "others have come in their place"
    file.write_text(records(*rows[:5]))
    synchronised(file, force=True)
    assert len(synchronised.versions()) == 5


def zipped(path: Path, files: Mapping[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_zipped_folder_is_its_members(synchronised: Synchronised, tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    write(folder, {"a.md": "# A\n\nLamp.", "own.md": "# Own\n\nLamp."})
    zipped(
        folder / "z.zip", {"in/b.md": "# B\n\nKettle.", "c.md": "# C\n\nPlug.", "faq.jsonl": records(("q", "Wall."))}
    )
    zipped(folder / "clash.zip", {"own.md": "# Own\n\nAnother.", "d.md": "# D\n\nCable."})
    own = synchronised.installation.documents
    done = synchronised(folder)
    assert done["new"] == ["a.md", "own.md", "z.zip"] or done["new"] == ["a.md", "clash.zip", "z.zip"]
    (failed,) = done["failed"]
    assert "own.md" in failed["message"], "one of the two places of own.md gives way"
    (folder / "clash.zip").unlink()
    synchronised(folder)
    assert synchronised.versions().keys() == {"a.md", "own.md", "in/b.md", "c.md", "q"}
    versions = synchronised.versions()
    assert synchronised(folder) == {"unchanged": 3}
    assert synchronised.versions() == versions
    zipped(folder / "z.zip", {"in/b.md": "# B\n\nQuartz.", "c.md": "# C\n\nPlug."})
    assert synchronised(folder) == {"changed": ["z.zip"], "unchanged": 2, "removed_records": {"z.zip": ["q"]}}
    assert synchronised.versions() == {**{k: v for k, v in versions.items() if k != "q"}, "in/b.md": 2}
    (folder / "z.zip").unlink()
    assert synchronised(folder) == {"unchanged": 2, "removed": ["z.zip"]}
    assert own().keys() == {"a.md", "own.md"}
    assert synchronised.installation.stored_files() == ["a.md", "own.md"]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_folder_is_the_same_for_ingest_and_sync(
    synchronised: Synchronised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    write(folder, {"index.html": "<p>Lamp</p>", "deep/more.htm": "<p>Lamp</p>", "notes.txt": "Lamp", "film.mp4": "?"})
    write(folder, {".hidden/a.md": "# A\n\nNo.", "__MACOSX/b.md": "# B\n\nNo.", "desktop.ini": "no", "style.css": "no"})
    Image.new("RGB", (8, 8)).save(folder / "deep" / "icon.png")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (tmp_path / "outside.txt").write_text("Secret")
    os.mkfifo(folder / "pipe.txt")
    planned = synchronised(folder, dry_run=True)["new"]
    assert planned == ["deep/more.htm", "index.html", "notes.txt"]
    monkeypatch.setattr(cli_ingest, "services_for", lambda _: synchronised.services)
    outcome = cli_ingest.ingest(synchronised.services.settings, "manuals", [folder], console=Console(quiet=True))
    assert sorted(each.external_id for each in outcome.documents) == planned


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_web_pages_follow_their_list(synchronised: Synchronised, tmp_path: Path, site: Site) -> None:
    pages = tmp_path / "pages.txt"
    settings = FetchSettings(allow_private=True, ports=(site.port,))

    def html(text: str, tag: str) -> Any:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            known = handler.headers.get("if-none-match") == tag
            page(b"" if known else f"<h1>{text}</h1><p>{text} lamp.</p>".encode(), 304 if known else 200, etag=tag)(
                handler
            )

        return answer

    def again(**options: bool) -> dict[str, Any]:
        return synchronised(source_of(str(pages), settings, loopback), **options)

    a, b, c = (site.url(path) for path in ("/docs/a?x=1", "/b.html", "/c"))
    pages.write_text(f"# our pages\n{a}\n\n  {b}#part\n{b}\n{c}\nhttp://docs.test:22/ssh\n")
    site.pages |= {"/docs/a?x=1": html("Alpha", '"1"'), "/b.html": html("Beta", '"1"'), "/c": html("Gamma", '"1"')}
    done = again()
    assert done["new"] == sorted([a, b, c])
    assert [each["place"] for each in done["failed"]] == ["http://docs.test:22/ssh"]
    assert synchronised.versions() == {a: 1, b: 1, c: 1}
    assert {each["title"] for each in synchronised.installation.documents().values()} == {"Alpha", "Beta", "Gamma"}
    site.asked.clear()
    assert again()["unchanged"] == 3
    assert all(headers["if-none-match"] == '"1"' for _, headers in site.asked)
    site.pages |= {"/b.html": html("Quartz", '"2"'), "/c": page(b"", 500)}
    done = again()
    assert (done["changed"], done["unchanged"]) == ([b], 1)
    assert "removed" not in done, "a server that fails has not lost its page"
    site.pages["/c"] = page(b"", 404)
    assert again()["removed"] == [c]
    pages.write_text(f"{b}\n")
    assert again() == {"unchanged": 1, "removed": [a]}
    assert synchronised.versions() == {b: 2}
    pages.write_text("the weather\n")
    with pytest.raises(BadRequest, match="no list of addresses"):
        again()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_sync_that_was_stopped_half_way_is_completed_by_the_next(synchronised: Synchronised, tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    write(
        folder, {"a.md": "# A\n\nLamp.", "b.md": "# B\n\nLamp.", "faq.jsonl": records(("q1", "Lamp."), ("q2", "Plug."))}
    )
    synchronised(folder)
    write(folder, {"a.md": "# A\n\nQuartz.", "faq.jsonl": records(("q1", "Lamp."))})

    class Stopped(Exception):
        pass

    def stop(_: set[str]) -> None:
        raise Stopped

    source = source_of(str(folder), FetchSettings())
    with pytest.raises(Stopped):
        sync(synchronised.services, Scope(), "manuals", source, Options(), show=lambda _: None, work=stop)
    synchronised.installation.work()
    assert synchronised(folder) == {"unchanged": 3, "removed_records": {"faq.jsonl": ["q2"]}}
    assert synchronised.versions() == {"a.md": 2, "b.md": 1, "q1": 1}
