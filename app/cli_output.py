"""What the commands have in common: where they print, JSON, and errors made for people.

Owns the shape of the output, and the form and exit status of errors. Knows no command.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from app.errors import ServiceError
from model_runtime.setting_errors import reasons

out = Console()
messages = Console(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON; what the API has too, in its shapes.")]


def print_result(data: object, as_json: bool, for_people: object) -> None:
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    else:
        out.print(for_people)


@contextmanager
def errors_for_people(*more: type[Exception]) -> Iterator[None]:
    """Errors made for people, of the packages' trees and of `more` kinds, and settings that are none, are printed
    without a trace, and the command ends with status 2; everything else is a bug and shows one."""
    from app.processes import ChildGaveUp, PortTaken
    from ingestion.errors import IngestionError
    from model_runtime.errors import EmbedderError
    from model_runtime.server.errors import VllmError
    from rag.errors import RagError

    own: tuple[type[Exception], ...] = (ServiceError, IngestionError, RagError, EmbedderError, VllmError)
    own += (PortTaken, ChildGaveUp, *more)
    try:
        yield
    except ValidationError as error:
        fail(reasons(error))
    except own as error:
        fail(str(error) or type(error).__name__)


def json_object(text: str, option: str, example: str) -> dict[str, Any]:
    """The object that `option` was given; anything else ends the command with what it should be."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        fail(f"{option} must be JSON, such as {example}: {error}")
    if not isinstance(value, dict):
        fail(f"{option} must be a JSON object, such as {example}.")
    return value


def fail(text: str) -> NoReturn:
    """`text` as it is: it may hold paths and other programs' words."""
    messages.print("Error:", style="bold red", end=" ")
    messages.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)
