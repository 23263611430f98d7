"""What is made of what NVIDIA's driver says, and of one that says nothing."""

import time
from pathlib import Path

import pytest

from model_runtime.nvidia import Gpu, NotTold, gpus, gpus_in, is_installed, said


def program(folder: Path, script: str) -> None:
    folder.mkdir(exist_ok=True)
    made = folder / "nvidia-smi"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)


def test_gpus_are_read_from_what_nvidia_smi_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo '0, NVIDIA H100 80GB HBM3, 71542, 81559, 97'; echo '1, NVIDIA GB10, [N/A], [N/A], 12'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert is_installed()
    assert gpus() == [
        Gpu("0", "NVIDIA H100 80GB HBM3", 71542 * 2**20, 81559 * 2**20, 0.97),
        Gpu("1", "NVIDIA GB10", None, None, 0.12),
    ]
    assert gpus_in("1, Tesla K80, 11, 11441, [Not Supported]\n") == [
        Gpu("1", "Tesla K80", 11 * 2**20, 11441 * 2**20, None)
    ]
    for answer in ("", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate", "\n,,,,\n"):
        assert gpus_in(answer) == []


def test_a_driver_that_fails_is_told_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo 'Driver/library version mismatch'; exit 18")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NotTold, match="status 18: Driver/library version mismatch"):
        gpus()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert not is_installed()
    with pytest.raises(NotTold, match="cannot be run"):
        gpus()


def test_one_that_hangs_is_left_behind_and_no_other_started_before_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waits inside the driver cannot be killed."""
    starts, release = tmp_path / "starts", tmp_path / "release"
    program(tmp_path / "bin", f'echo x >> "{starts}"\nwhile [ ! -e "{release}" ]; do sleep 0.05; done')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr("subprocess.Popen.kill", lambda process: None)
    with pytest.raises(NotTold, match=r"not answer within 0\.5 s"):
        said("--list-gpus", within_s=0.5)
    with pytest.raises(NotTold, match="earlier question"):
        said("--list-gpus", within_s=0.5)
    release.touch()
    deadline = time.monotonic() + 30
    while (told := _told()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert told == ""
    assert starts.read_text().split() == ["x", "x"]


def _told() -> str | None:
    try:
        return said("--list-gpus", within_s=30)
    except NotTold:
        return None
