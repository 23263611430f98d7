"""`answerdesk`, as it is, but for two things: an embedder without a model, and that it can be told when to die.

    python -m tests.crash.product VICTIM serve|worker|index check ...

An order lies in the folder CRASH_ORDERS, as VICTIM.json: {"id", "step", "nth"}. Whoever takes the nth such step since
the order came removes the order and is killed at once, in the very middle of what it does: nothing is flushed, closed
or rolled back. The steps are seen from outside of the product's code (statements of SQL, changes of files), so that
they are the same whatever the product is made of. The parser has no code of ours in it: its worker sees what it
sends, and kills it.

With CRASH_EMBEDDER=default the product's own embedder is used.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from ingestion.confined.sandbox_process import ParserProcess
from model_runtime import embedder
from model_runtime.fakes import HashingEmbedder
from tests.crash.plan import Step, Victim

_CHANGES_FILES = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "shutil.rmtree"))
_CHANGES_ROWS = ("INSERT", "UPDATE", "DELETE")


class Orders:
    """The order of one victim; `step` is called at every step that it takes."""

    def __init__(self, folder: Path, victim: str) -> None:
        self._order = folder / f"{victim}.json"
        self._lock = threading.Lock()
        self._inside = threading.local()
        self._id = -1
        self._steps = 0

    def step(self, step: Step, process: int | None = None) -> None:
        """Does not come back if this is the step to die at; `process` dies in our place."""
        if getattr(self._inside, "yes", False):
            return  # what is done here is no step
        self._inside.yes = True
        try:
            if self._is_last(step):
                os.kill(process or os.getpid(), signal.SIGKILL)
        finally:
            self._inside.yes = False

    def _is_last(self, step: Step) -> bool:
        try:
            order = json.loads(self._order.read_bytes())
        except FileNotFoundError:
            return False
        if order["step"] != step:
            return False
        with self._lock:
            if order["id"] != self._id:
                self._id, self._steps = order["id"], 0
            self._steps += 1
            if self._steps != order["nth"]:
                return False
        try:
            self._order.rename(self._order.with_name(f"{order['id']}.obeyed"))
        except FileNotFoundError:
            return False  # another worker was quicker
        return True


class MortalEmbedder(HashingEmbedder):
    def __init__(self, orders: Orders) -> None:
        super().__init__()
        self._orders = orders

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self._orders.step(Step.EMBED)
        return super().embed_passages(texts)

    def embed_question(self, text: str) -> NDArray[np.float32]:
        self._orders.step(Step.EMBED)
        return super().embed_question(text)


def _watch_sql(orders: Orders) -> None:
    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        orders.step(Step.QUERY)
        if statement.lstrip().upper().startswith(_CHANGES_ROWS):
            orders.step(Step.WRITE)

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", lambda _: orders.step(Step.COMMIT))
    event.listen(Session, "after_commit", lambda _: orders.step(Step.COMMITTED))


def _watch_files(orders: Orders, home: str) -> None:
    """Only what is done from Python shows; FAISS, Tantivy and SQLite write between these steps."""

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, _, flags = arguments
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        elif name in _CHANGES_FILES:
            path = arguments[0]
        else:
            return
        # What removes a tree names files by their folder's descriptor, without a path.
        if isinstance(path, str | bytes | Path) and (
            os.fsdecode(path).startswith(home) or "/" not in os.fsdecode(path)
        ):
            orders.step(Step.FILE)

    sys.addaudithook(hook)


def _watch_parser(of_worker: Orders, of_parser: Orders) -> None:
    receive = ParserProcess.receive

    def received(self: ParserProcess, wait_s: float) -> Any:
        frame = receive(self, wait_s)
        if frame is not None:
            of_worker.step(Step.FRAME)
            of_parser.step(Step.FRAME, self.pid)
        return frame

    ParserProcess.receive = received  # type: ignore[method-assign]


def main() -> None:
    victim, *arguments = sys.argv[1:]
    folder, home = Path(os.environ["CRASH_ORDERS"]), os.environ["ANSWERDESK_HOME"]
    orders = Orders(folder, victim)
    if os.environ.get("CRASH_EMBEDDER") != "default":
        mortal = MortalEmbedder(orders)
        embedder.load_embedder = lambda *_: mortal
    if victim == Victim.WORKER:
        _watch_parser(orders, Orders(folder, Victim.PARSER))
    _watch_sql(orders)
    _watch_files(orders, home)
    from app.cli import main as answerdesk  # now: it takes `load_embedder` by its name

    sys.argv = ["answerdesk", *arguments]
    answerdesk()


if __name__ == "__main__":
    main()
