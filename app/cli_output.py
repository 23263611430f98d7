"""What the commands have in common: where they print, JSON, and errors made for people.

Owns the shape of the output. Knows no command.
"""

import json
import sys
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.console import Console

from app.cli_errors import errors_for_people as people_read
from app.cli_errors import fail
from app.errors import ServiceError

__all__ = ["JsonOption", "errors_for_people", "fail", "messages", "out", "print_result"]

out = Console()
messages = Console(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, in the shapes of the API.")]


def print_result(data: object, as_json: bool, for_people: object) -> None:
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    else:
        out.print(for_people)


def errors_for_people() -> AbstractContextManager[None]:
    """Errors made for people are printed without a trace; everything else is a bug and shows one."""
    from app.processes import ChildGaveUp, PortTaken
    from ingestion.errors import IngestionError
    from model_runtime.errors import EmbedderError
    from model_runtime.server.errors import VllmError
    from rag.errors import RagError

    return people_read(ServiceError, IngestionError, RagError, EmbedderError, VllmError, PortTaken, ChildGaveUp)
