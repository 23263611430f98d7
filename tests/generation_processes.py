"""An API and a worker in processes of their own, with two embedders that need no model."""

import signal
import threading
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from app.bootstrap import Services, build_services
from app.main import create_app
from app.settings import Settings
from app.worker import run_worker
from model_runtime.embedder import Embedder
from model_runtime.errors import ModelUnavailable
from model_runtime.fakes import HashingEmbedder
from tests.app.live_app import wait_until

OTHER = "other-model"


class OtherEmbedder(HashingEmbedder):
    """Vectors that cannot be compared with the first one's: of another length."""

    identity = "other@1"

    def __init__(self) -> None:
        super().__init__(dimension=48)


def load(model: str) -> Embedder:
    if model == OTHER:
        return OtherEmbedder()
    raise ModelUnavailable(f"no embedder {model!r}")


def services_with_two(settings: Settings) -> Services:
    return build_services(settings, HashingEmbedder(), load)


def serve(settings: Settings, port_file: Path) -> None:
    """The API, until it is told to stop; notes its port in the file."""
    server = uvicorn.Server(uvicorn.Config(create_app(services_with_two(settings)), port=0, log_level="warning"))

    def say_port() -> None:
        wait_until(lambda: server.started, 60)
        port_file.with_suffix(".new").write_text(str(server.servers[0].sockets[0].getsockname()[1]))
        port_file.with_suffix(".new").rename(port_file)

    threading.Thread(target=say_port, daemon=True).start()
    server.run()


def work_slowly(settings: Settings, seconds_a_call: float) -> None:
    """A worker whose second embedder takes its time, so that it can be killed in the middle."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: types.FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)

    class Slow(OtherEmbedder):
        def embed_passages(self, texts: Sequence[str]) -> Any:
            stopping.wait(seconds_a_call)
            return super().embed_passages(texts)

    run_worker(build_services(settings, HashingEmbedder(), lambda _: Slow()), stopping)
