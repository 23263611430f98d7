"""An import that dies, in a process of its own."""

import os
import signal
from pathlib import Path

from app.bootstrap import build_services
from app.bundle import staging
from app.bundle.importing import import_bundle
from app.scope import Scope
from app.settings import Settings
from model_runtime.fakes import HashingEmbedder


def die_while_importing(settings: Settings, path: Path) -> None:
    """Imports, and is killed when all has been written and nothing is visible yet."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    staging.Staging.publish = die  # type: ignore[method-assign,assignment]
    import_bundle(build_services(settings, HashingEmbedder()), Scope(), path)
