"""The default embedder, exported once for all tests: into ANSWERDESK_CACHE, the user's cache where it lies already, or
a temporary folder."""

import os
from pathlib import Path

import pytest

from model_runtime.e5_export import MODEL_NAME, export_default_embedder
from model_runtime.embedder import Embedder, load_embedder


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Path.home() / ".cache" / "answerdesk"
    if configured := os.environ.get("ANSWERDESK_CACHE"):
        return Path(configured)
    return home if any(home.glob(f"{MODEL_NAME}-*")) else tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def exported(cache_dir: Path) -> Path:
    return export_default_embedder(cache_dir)


@pytest.fixture(scope="session")
def embedder(cache_dir: Path) -> Embedder:
    return load_embedder("", "openvino", cache_dir, threads=2)


@pytest.fixture(scope="session")
def torch_embedder(cache_dir: Path) -> Embedder:
    pytest.importorskip("sentence_transformers", reason="needs the extra torch")
    return load_embedder("", "torch", cache_dir, threads=2)
