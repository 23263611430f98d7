"""The default embedder, as the tests of `model_runtime` export it once."""

from tests.model_runtime.conftest import cache_dir, embedder

__all__ = ["cache_dir", "embedder"]
