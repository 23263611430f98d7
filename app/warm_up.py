"""What is loaded beforehand, so that the first question is as fast as the next: embedder, reranker and indexes.

At the start, and from then on whenever a generation is about to answer, or messages begin to be routed.

Owns the thread that loads, and what `/ready` says about it. Knows nothing of how any of them is loaded.
"""

import logging
import threading

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.bootstrap import Services
from app.errors import Conflict
from app.generation_upkeep import open_coming
from app.models import KnowledgeBase
from rag import analyzer

_LOG = logging.getLogger(__name__)

STOP_AFTER_S = 5.0
LOOK_AGAIN_S = 1.0
PAUSE_S = 60.0


class WarmUp:
    """`problems` keep questions from being answered; `warnings` name what could not be opened: knowledge bases, and
    generations that will answer."""

    def __init__(self, services: Services) -> None:
        self.problems: dict[str, str] = {
            "embedder": "The embedder is being loaded.",
            "index": "Indexes are being opened.",
        }
        self.warnings: dict[str, str] = {}
        self._coming: frozenset[str] = frozenset()  # those of the warnings that are about generations
        if services.dictionary is not None:
            self.problems["dictionary"] = "The dictionary is being prepared."
        if services.settings.retrieval.reranker:
            self.problems["reranker"] = "The reranker is being loaded."
        self._services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._load, name="warm-up", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits for what is being loaded, though not for long: the process ends."""
        self._stopping.set()
        self._thread.join(STOP_AFTER_S)

    def _load(self) -> None:
        try:
            _ = self._services.embedder
            analyzer.warm_up()
        except Exception as error:  # noqa: BLE001  a thread's last frame: logged and shown by /ready
            _LOG.exception("The embedder cannot be loaded.")
            self.problems["embedder"] = f"The embedder cannot be loaded: {error}"
            return
        del self.problems["embedder"]
        try:
            if self._services.dictionary is not None:
                self._services.dictionary.prepare()
        except Exception as error:  # noqa: BLE001  likewise
            _LOG.exception("The dictionary cannot be prepared.")
            self.problems["dictionary"] = f"The dictionary cannot be prepared: {error}"
            return
        self.problems.pop("dictionary", None)
        try:
            _ = self._services.reranker
        except Exception as error:  # noqa: BLE001  likewise
            _LOG.exception("The reranker cannot be loaded.")
            self.problems["reranker"] = str(error)
            return
        self.problems.pop("reranker", None)
        try:
            with self._services.database.read() as session:
                rows = session.scalars(select(KnowledgeBase)).all()
        except SQLAlchemyError:
            _LOG.exception("The knowledge bases cannot be read.")
            self.problems["index"] = "The knowledge bases cannot be read; the server's log says why."
            return
        for row in rows:
            if self._stopping.is_set():
                return
            try:
                self._services.retriever(row)
            except Exception as error:  # noqa: BLE001  likewise; the other knowledge bases are fine
                _LOG.exception("Knowledge base %s cannot be opened.", row.name)
                self.warnings[row.name] = str(error)
        del self.problems["index"]
        while not self._stopping.wait(LOOK_AGAIN_S):
            try:
                self._warn(open_coming(self._services) | self._train_routers())
            except Exception:  # noqa: BLE001  likewise; the generation is opened by the first question
                _LOG.exception("What the next questions need cannot be prepared.")
                self._stopping.wait(PAUSE_S)

    def _train_routers(self) -> dict[str, str]:
        """Trains what knowledge bases with customer service route by, where that is new; tells why it cannot be."""
        problems = {}
        with self._services.database.read() as session:
            rows = session.scalars(select(KnowledgeBase)).all()
        for row in rows:
            if row.settings.get("service") is not None and not self._stopping.is_set():
                try:
                    self._services.router.prepare(row)
                except Conflict as error:
                    problems[row.name] = str(error)
        return problems

    def _warn(self, problems: dict[str, str]) -> None:
        """Of generations that will answer; what is told of them already is replaced."""
        for name, problem in problems.items():
            if self.warnings.get(name) != problem:
                _LOG.error("%s: %s", name, problem)
        self.warnings = {name: told for name, told in self.warnings.items() if name not in self._coming} | problems
        self._coming = frozenset(problems)
