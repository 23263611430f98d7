"""Folders of parser processes: they go with their owners, and those of owners that were killed go with the next."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ingestion.confined.scratch import PREFIX, ScratchFolder

OWNER = (
    "import time\n"
    "from ingestion.confined.scratch import ScratchFolder\n"
    "folder = ScratchFolder()\n"
    "(folder.path / 'picture').write_bytes(b'x' * 1000)\n"
    "print(folder.path, flush=True)\n"
    "time.sleep(100)\n"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def owner(place: Path) -> tuple["subprocess.Popen[str]", Path]:
    environment = {**os.environ, "TMPDIR": str(place)}
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_owner_left_goes_with_the_next_folder_and_a_living_ones_stays(place: Path) -> None:
    (killed, left), (alive, held) = owner(place), owner(place)
    with killed, alive:
        killed.kill()
        killed.wait()
        assert (left / "picture").exists()
        mine = ScratchFolder()
        assert set(place.iterdir()) == {held, mine.path}
        alive.kill()
        alive.wait()
    mine.remove()
    mine.remove()
    assert set(place.iterdir()) == {held}
    ScratchFolder().remove()
    assert not list(place.iterdir())


def test_only_folders_of_ours_are_removed(place: Path) -> None:
    """A link is not followed, and what has no owner yet may be about to get one, unless it is a day old."""
    fresh, old, linked, other = (place / f"{PREFIX}{name}" for name in ("fresh", "old", "linked", "file"))
    kept = place / "kept"
    for folder in (fresh, old, kept):
        folder.mkdir()
    linked.symlink_to(kept)
    (kept / "owner").touch()
    other.touch()
    os.utime(old, (0, 0))
    ScratchFolder().remove()
    assert set(place.iterdir()) == {fresh, linked, other, kept}
    assert (kept / "owner").exists()
