"""`answerdesk kb rebuild`, `generations`, `activate`, `retry`, `drop`: another embedder or chunker, and the way back.

Owns arguments and printing, and the wait. What is done is in `app.generations`, by the worker's code.
"""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.cli_output import JsonOption, errors_for_people, messages, print_result
from app.settings import Settings

if TYPE_CHECKING:  # imported when a command runs: it takes a second
    from collections.abc import Callable

    from app.bootstrap import Services
    from app.generation_shapes import GenerationShape
    from app.scope import Scope

commands = typer.Typer()

NameArgument = Annotated[str, typer.Argument(help="Name or id of the knowledge base.")]
GenerationArgument = Annotated[str, typer.Argument(help="Number or id of the generation.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Work until it is done, and show how far it is.")]


@commands.command("rebuild")
def rebuild(
    name: NameArgument,
    embedder: Annotated[
        str | None, typer.Option(help="multilingual-e5-small, a sentence-transformers folder, or a hub id.")
    ] = None,
    passage_tokens: Annotated[int | None, typer.Option(help="Longest passage, in tokens.")] = None,
    front_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of title and headings before a passage.")
    ] = None,
    window_words: Annotated[int | None, typer.Option(help="Length of an embedded window, in words.")] = None,
    window_characters: Annotated[int | None, typer.Option(help="Length of a Chinese window.")] = None,
    window_overlap: Annotated[float | None, typer.Option(help="Share of a window that the next one repeats.")] = None,
    switch: Annotated[bool, typer.Option("--switch", help="Let it answer as soon as it is ready.")] = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read all documents again with another embedder or chunker, while the present generation answers."""
    from app.generation_shapes import ChunkerChange, NewGeneration
    from app.generations import build_generation

    with errors_for_people():
        chunker = ChunkerChange(
            passage_tokens=passage_tokens,
            front_tokens=front_tokens,
            window_words=window_words,
            window_characters=window_characters,
            window_overlap=window_overlap,
        )
        new = NewGeneration(embedder=embedder, chunker=chunker, switch_when_ready=switch)
        services, scope = _services()
        made = build_generation(services, scope, name, new)
        _end(services, name, made.id, wait, as_json)


@commands.command("generations")
def list_all(name: NameArgument, as_json: JsonOption = False) -> None:
    """List what was made of a knowledge base: with which embedder and chunker, which one answers, how far one is."""
    from app.generations import list_generations

    with errors_for_people():
        found = list_generations(*_services(), name)
        table = Table("generation", "status", "embedder", "passage tokens", "documents", "passages", "windows", "id")
        for each in found:
            documents = f"{each.documents:,} of {each.documents_total:,}"
            made_with = (each.embedder, str(each.chunker["passage_tokens"]))
            counts = (documents, f"{each.passages:,}", f"{each.windows:,}")
            table.add_row(str(each.number), each.status, *made_with, *counts, each.id)
        print_result([each.model_dump(mode="json") for each in found], as_json, table)


@commands.command("activate")
def activate(
    name: NameArgument, generation: GenerationArgument, wait: WaitOption = False, as_json: JsonOption = False
) -> None:
    """Let a generation answer: at once when it has every document, else as soon as it has. Also the way back."""
    from app.generations import activate_generation

    _do(activate_generation, name, generation, wait, as_json)


@commands.command("retry")
def retry(
    name: NameArgument, generation: GenerationArgument, wait: WaitOption = False, as_json: JsonOption = False
) -> None:
    """Read the documents again that could not be read for a generation."""
    from app.generations import retry_generation

    _do(retry_generation, name, generation, wait, as_json)


@commands.command("drop")
def drop(
    name: NameArgument,
    generation: GenerationArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a generation that does not answer, with its passages, vectors and index."""
    from app.generation_upkeep import finish_drop
    from app.generations import drop_generation

    if not yes and not typer.confirm(f"Drop generation {generation} of {name}? There is no way back to it then."):
        raise typer.Exit(1)
    with errors_for_people():
        services, scope = _services()
        dropped = drop_generation(services, scope, name, generation)
        finish_drop(services, dropped)  # perhaps no worker runs that would do it
        messages.print(f"Dropped generation {generation} of {name}.")


def _services() -> "tuple[Services, Scope]":
    """Services and scope: who has the files has everything."""
    from app.cli_verbs import SCOPE, services_for

    return services_for(Settings()), SCOPE


def _do(
    what: "Callable[[Services, Scope, str, str], GenerationShape]",
    name: str,
    generation: str,
    wait: bool,
    as_json: bool,
) -> None:
    with errors_for_people():
        services, scope = _services()
        _end(services, name, what(services, scope, name, generation).id, wait, as_json)


def _end(services: "Services", name: str, generation: str, wait: bool, as_json: bool) -> None:
    """Waits if wanted, and says how the generation is; exits with 1 when documents could not be read."""
    from app.cli_verbs import SCOPE
    from app.generations import get_generation

    if wait:
        _work_until_done(services, name, generation)
    made = get_generation(services, SCOPE, name, generation)
    words = {
        "building": made.message
        or f"A worker reads the documents again: {made.documents:,} of {made.documents_total:,} so far.",
        "ready": f"It is ready: `answerdesk kb activate {name} {made.number}` lets it answer.",
        "active": "It answers.",
        "failed": made.message,
    }
    text = f"Generation {made.number} of {name} ({made.embedder}): {words.get(made.status, made.status)}"
    print_result(made.model_dump(mode="json"), as_json, text)
    if made.status == "failed":
        raise typer.Exit(1)


def _work_until_done(services: "Services", name: str, generation: str) -> None:
    """Works in a thread of this process beside whatever worker is running, until nothing is left to be done."""
    from app.cli_verbs import SCOPE
    from app.cli_working import working_here
    from app.generations import get_generation

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=messages, transient=True)
    reading = f"Reading {name} again"
    with working_here(services) as worker, bar:
        task = bar.add_task(reading, total=None)
        while worker.is_alive():
            made = get_generation(services, SCOPE, name, generation)
            if made.status in ("active", "failed") or (made.status == "ready" and not made.switch_when_ready):
                break
            if made.progress is not None:
                completed, total = made.progress.done, made.progress.total or None
                bar.update(task, description=escape(made.message) or reading, completed=completed, total=total)
            time.sleep(0.2)
