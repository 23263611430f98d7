"""The embedders of this process: the installation's own, and those that generations were made with.

Owns which model serves which generation, and that no more of them stay in memory than are needed. A vector may only be
compared with those of the same identity, so an embedder is handed out for exactly the identity that was asked for.
"""

import time
from collections.abc import Callable, Collection
from threading import RLock

from app.errors import BadRequest, Conflict
from app.models import Generation
from model_runtime.embedder import Embedder
from model_runtime.errors import EmbedderError

Load = Callable[[str], Embedder]
"""Loads a model by name: "" for the default one, a folder, or a hub id. Raises `EmbedderError`."""

_UNUSABLE = (EmbedderError, OSError, RuntimeError, ValueError)
"""What loading raises for names that are none and for damaged weights."""

_FAILED_FOR_S = 30.0
"""So long a model that could not be loaded is not tried again, for every question would wait for the same failure."""


class Embedders:
    """Each is loaded when it is first asked for, and once. Every method may be called from several threads at once."""

    def __init__(self, own_model: str, load: Load) -> None:
        """`own_model` is the name of the installation's own embedder, "" for the default one."""
        self._own_model = own_model
        self._load = load
        self._lock = RLock()
        self._by_model: dict[str, Embedder] = {}
        self._failed: dict[str, tuple[Exception, float]] = {}  # why, and until when (monotonic seconds)

    @property
    def own(self) -> Embedder:
        """The installation's own, which new knowledge bases are made with. Raises what loading it raises."""
        return self._model(self._own_model)

    @property
    def own_model(self) -> str:
        return self._own_model

    def named(self, model: str) -> Embedder:
        """The embedder of that name, tried afresh. Raises `BadRequest` with the reason when none runs here."""
        with self._lock:
            self._failed.pop(model, None)  # a person asks, who may have mended it
        try:
            return self._model(model)
        except _UNUSABLE as error:
            raise BadRequest(
                f"The embedder {model or 'multilingual-e5-small'!r} cannot be used: {error}. Nothing was begun.",
                {"embedder": model},
            ) from error

    def of(self, generation: Generation) -> Embedder:
        """The one that a generation was made with. Raises `Conflict`, saying what to do, when it cannot be had."""
        wanted = (generation.embedder, generation.dimension)
        for embedder in list(self._by_model.values()):
            if (embedder.identity, embedder.dimension) == wanted:
                return embedder
        found: list[str] = []
        for model in dict.fromkeys((generation.embedder_model, self._own_model)):
            try:
                embedder = self._model(model)
            except _UNUSABLE as error:
                found.append(str(error))
                continue
            if (embedder.identity, embedder.dimension) == wanted:
                return embedder
            found.append(f"{model or 'the default model'} is {embedder.identity} ({embedder.dimension})")
        raise _unavailable(generation, found)

    def keep_only(self, identities: Collection[str]) -> None:
        """Lets go of those that no generation was made with, besides the installation's own."""
        with self._lock:
            self._by_model = {
                model: embedder
                for model, embedder in self._by_model.items()
                if model == self._own_model or embedder.identity in identities
            }

    def _model(self, model: str) -> Embedder:
        found = self._by_model.get(model)
        if found is not None:
            return found
        with self._lock:
            if model not in self._by_model:
                self._by_model[model] = self._loaded(model)
            return self._by_model[model]

    def _loaded(self, model: str) -> Embedder:
        error, until = self._failed.get(model, (None, 0.0))
        if error is not None and time.monotonic() < until:
            raise error.with_traceback(None)
        try:
            return self._load(model)
        except _UNUSABLE as failure:
            self._failed[model] = (failure, time.monotonic() + _FAILED_FOR_S)
            raise


def _unavailable(generation: Generation, found: list[str]) -> Conflict:
    where = f"to {generation.embedder_model}" if generation.embedder_model else "as ANSWERDESK_EMBEDDER__MODEL"
    return Conflict(
        f"This knowledge base was made with the embedder {generation.embedder} ({generation.dimension} dimensions), "
        f"which cannot be had here: {'; '.join(found)}. Bring that model back {where}, or have all documents read "
        "again for another one: `answerdesk kb rebuild NAME --embedder MODEL --switch`.",
        {"made_with": generation.embedder, "model": generation.embedder_model},
    )
