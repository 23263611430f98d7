"""What goes wrong in a command, as people read it on their terminal.

Owns the form of such a message and its exit status. Which errors are made for people, each command says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from model_runtime.setting_errors import reasons

_messages = Console(stderr=True)


@contextmanager
def errors_for_people(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds, and settings that are none, are printed without a trace, and the command ends with status
    2; everything else is a bug and shows one."""
    try:
        yield
    except ValidationError as error:
        fail(reasons(error))
    except kinds as error:
        fail(str(error) or type(error).__name__)


def fail(text: str) -> NoReturn:
    """`text` as it is: it may hold paths and other programs' words."""
    _messages.print("Error:", style="bold red", end=" ")
    _messages.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)
