"""`answerdesk runtime build`, and what a model's name means to `runtime start` and `run`.

Owns the short name of the demonstration model as it is typed, and the progress of its building. How it is built is
`model_runtime.demonstration.smollm2`.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from app.cli_output import JsonOption, errors_for_people, messages
from app.settings import Settings
from model_runtime.demonstration.smollm2 import CONTEXT, SHORT_NAME, build_smollm2_moe
from model_runtime.demonstration.sparse_upcycling import Experts
from model_runtime.server.control import interpreter_of
from model_runtime.server.errors import Refused
from model_runtime.server.settings import RuntimeSettings


class Buildable(StrEnum):
    """Models that are made here."""

    SMOLLM2_MOE = SHORT_NAME


def build(
    model: Annotated[Buildable, typer.Argument(help="A small mixture of experts to try the runtime with.")],
    experts: Annotated[int, typer.Option(min=2, max=16, help="Experts in a layer.")] = Experts().count,
    top_k: Annotated[int, typer.Option(min=1, max=16, help="Experts that a token uses.")] = Experts().top_k,
    as_json: JsonOption = False,
) -> None:
    """Write the folder of a demonstration model into the cache, and print where it is."""
    with errors_for_people():
        if top_k > experts:
            raise Refused(f"a token cannot use {top_k} of {experts} experts: --top-k is at most --experts")
        folder = _built(Settings(), Experts(experts, top_k), messages)
    shown = json.dumps({"model": model.value, "folder": str(folder)}) if as_json else str(folder)
    sys.stdout.write(f"{shown}\n")


def settings_for(settings: Settings, model: str, console: Console) -> RuntimeSettings:
    """The section `runtime` for `model` (empty: its own): a short name, a folder or a hub id.

    The demonstration model is built where it is missing. Raises `VllmError`.
    """
    wanted = settings.runtime.model_copy(update={"model": model}) if model else settings.runtime
    if wanted.model == SHORT_NAME:
        given = {
            "model": str(_built(settings, Experts(), console)),
            "served_name": wanted.served_name or SHORT_NAME,
            "context_length": wanted.context_length or CONTEXT,
        }
        return wanted.model_copy(update=given)
    return wanted


def _built(settings: Settings, experts: Experts, console: Console) -> Path:
    interpreter = interpreter_of(settings.runtime)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, TextColumn("{task.completed:.0f}/{task.total}"), console=console) as bar:
        task = bar.add_task(f"Building {SHORT_NAME} (once)", total=None, visible=False)
        return build_smollm2_moe(
            interpreter,
            settings.cache_folder,
            experts,
            lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
