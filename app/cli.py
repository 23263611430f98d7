"""The command line `answerdesk`: every verb of the product, for people and (`--json`) for programs.

Owns arguments and what is printed. What the verbs do is in `app.cli_verbs` and in the modules they call.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from app.cli_account import account
from app.cli_evaluate import evaluate
from app.cli_generations import commands as generations
from app.cli_output import JsonOption, errors_for_people, json_object, messages, out, print_result
from app.cli_runtime import runtime
from app.settings import Settings

app = typer.Typer(
    name="answerdesk",
    help="Answers questions from your own manuals, and shows the page each sentence came from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
knowledge_bases = typer.Typer(help="Create, list and delete knowledge bases.", no_args_is_help=True)
index = typer.Typer(help="Compare indexes with the database, or build them anew.", no_args_is_help=True)
knowledge_bases.add_typer(generations)
app.add_typer(knowledge_bases, name="kb")
app.add_typer(index, name="index")
app.add_typer(runtime, name="runtime")
app.add_typer(account, name="account")

KnowledgeBaseOption = Annotated[str, typer.Option("--kb", help="Name or id of the knowledge base.")]
TopKOption = Annotated[int, typer.Option("--top-k", min=1, max=200, help="How many passages.")]
FilterOption = Annotated[str, typer.Option("--filter", help='Narrows documents, as JSON: {"product": "LT-300"}.')]


@app.command()
def run(
    sample: Annotated[bool, typer.Option("--sample", help="Make the sample knowledge base if it is missing.")] = False,
    model: Annotated[
        str, typer.Option(help="Serve it with vLLM and answer with it: smollm2-moe, a folder or a hub id.")
    ] = "",
) -> None:
    """Start the API, a worker, the user interface and, with --model, vLLM; Ctrl-C stops them."""
    from app import cli_run

    with errors_for_people():
        cli_run.run(_settings(), sample=sample, model=model, console=out)


@app.command()
def serve() -> None:
    """Start the API alone."""
    from app import cli_run

    with errors_for_people():
        cli_run.serve(_settings())


@app.command()
def worker() -> None:
    """Start a worker alone: it reads what has been uploaded."""
    from app import cli_run

    with errors_for_people():
        cli_run.work(_settings())


@app.command()
def ui() -> None:
    """Start the user interface alone."""
    from app import cli_run

    with errors_for_people():
        cli_run.show_ui(_settings())


@knowledge_bases.command("create")
def create_knowledge_base(
    name: str,
    language: Annotated[str, typer.Option(help="Main language, such as en or zh; empty for mixed.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Create a knowledge base."""
    from app import cli_verbs

    with errors_for_people():
        made = cli_verbs.create_knowledge_base(_settings(), name, language)
        print_result(made.model_dump(mode="json"), as_json, f"Created the knowledge base {made.name} ({made.id}).")


@knowledge_bases.command("list")
def list_knowledge_bases(as_json: JsonOption = False) -> None:
    """List the knowledge bases."""
    from app import cli_verbs

    with errors_for_people():
        rows = cli_verbs.list_knowledge_bases(_settings())
        table = Table("name", "documents", "passages", "windows", "id")
        for row in rows:
            counts = (row.document_count, row.passage_count, row.window_count)
            table.add_row(row.name, *(f"{count:,}" for count in counts), row.id)
        print_result([row.model_dump(mode="json") for row in rows], as_json, table)


@knowledge_bases.command("delete")
def delete_knowledge_base(name: str, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a knowledge base with its documents, conversations and files."""
    from app import cli_verbs

    if not yes and not typer.confirm(f"Delete {name} and all that is in it?"):
        raise typer.Exit(1)
    with errors_for_people():
        cli_verbs.delete_knowledge_base(_settings(), name)
        messages.print(f"Deleted the knowledge base {name}.")


@knowledge_bases.command("report")
def report_on_documents(name: str, as_json: JsonOption = False) -> None:
    """Tell what is in its documents: languages, near-duplicates, recurring and unreadable text, and what filters do."""
    from app import cli_report

    with errors_for_people():
        report = cli_report.document_report(_settings(), name)
        print_result(report.model_dump(mode="json"), as_json, cli_report.for_people(report))


@knowledge_bases.command("export")
def export_knowledge_base(
    name: str,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a knowledge base into one file, with its documents, vectors and uploaded files."""
    from app import cli_bundle

    with errors_for_people():
        made = cli_bundle.export(_settings(), name, file, overwrite)
        counts = made["counts"]
        left_out = f"; {counts['left_out']:,} without content left out" if counts["left_out"] else ""
        summary = f"{made['file']}: {counts['documents']:,} documents, {counts['passages']:,} passages{left_out}, "
        print_result(made, as_json, f"{summary}{made['bytes'] / 2**20:,.1f} MiB.")


@knowledge_bases.command("import")
def import_knowledge_base(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file that `kb export` wrote.")],
    name: Annotated[str, typer.Option(help="Name of the new knowledge base; the one it had when left out.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a knowledge base of an exported file; all of it or nothing."""
    from app import cli_bundle

    with errors_for_people():
        made = cli_bundle.import_(_settings(), file, name)
        for warning in made["warnings"]:
            messages.print(f"[bold yellow]Warning:[/] {warning}", highlight=False)
        row = made["knowledge_base"]
        summary = f"Imported {row['name']}: {row['document_count']:,} documents, {row['passage_count']:,} passages."
        print_result(made, as_json, summary)


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with all that is in them.")],
    kb: KnowledgeBaseOption,
    as_json: JsonOption = False,
) -> None:
    """Read documents into a knowledge base (made if it is missing) and wait until they can be asked."""
    from app import cli_ingest

    with errors_for_people():
        outcome = cli_ingest.ingest(_settings(), kb, paths, console=messages)
        print_result(outcome.as_json(), as_json, outcome.summary())
    if outcome.has_failures:
        raise typer.Exit(1)


@app.command()
def sync(
    kb: Annotated[str, typer.Argument(help="Name or id of the knowledge base; made if it is missing.")],
    source: Annotated[str, typer.Argument(help="A folder, a JSONL file, a web address, or a file with one a line.")],
    delete: Annotated[bool, typer.Option("--delete/--no-delete", help="Delete documents whose file is gone.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete even when most files are gone.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take over documents that were uploaded.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a knowledge base up to a folder or a list of web pages: what is new, changed and gone."""
    from app import cli_sync
    from app.sync.sync import Options

    with errors_for_people():
        options = Options(delete=delete, force=force, adopt=adopt)
        done = cli_sync.run_sync(_settings(), kb, source, options, dry_run=dry_run, console=messages)
        print_result(done, as_json, cli_sync.summary(done))
    if done["failed"]:
        raise typer.Exit(1)


@app.command()
def search(
    query: str,
    kb: KnowledgeBaseOption,
    top_k: TopKOption = 10,
    filter: FilterOption = "{}",
    as_json: JsonOption = False,
) -> None:
    """Find passages, best first, without an answer."""
    from app import cli_verbs

    with errors_for_people():
        found = cli_verbs.search(_settings(), kb, query, top_k, _filter(filter))
        table = Table("score", "document", "page", "section", "text", expand=True)
        for hit in found.hits:
            page = hit.page_label or next((str(span.page) for span in hit.spans if span.page), "")
            section = " › ".join(hit.heading_path)
            table.add_row(f"{hit.score or 0:.2f}", hit.title, page, section, " ".join(hit.text.split())[:200])
        print_result(found.model_dump(mode="json"), as_json, table)


@app.command()
def ask(question: str, kb: KnowledgeBaseOption, filter: FilterOption = "{}", as_json: JsonOption = False) -> None:
    """Ask one question and print the answer with its sources."""
    from app import cli_verbs

    with errors_for_people():
        message = cli_verbs.ask(_settings(), kb, question, _filter(filter))
        print_result(message.model_dump(mode="json"), as_json, cli_verbs.answer_for_people(message))


app.command()(evaluate)


@index.command("check")
def index_check(
    kb: Annotated[str, typer.Option("--kb", help="One knowledge base; all when left out.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Compare every index with the database; exits 1 when they differ."""
    from app import cli_verbs

    with errors_for_people():
        reports = cli_verbs.index_check(_settings(), kb)
        table = Table("knowledge base", "passages", "orphans", "missing")
        for report in reports:
            table.add_row(
                str(report["knowledge_base"]),
                str(report["passages"]),
                *(str(len(report[key])) for key in ("orphans", "missing")),
            )
        print_result(reports, as_json, table)
    if any(report["orphans"] or report["missing"] for report in reports):
        raise typer.Exit(1)


@index.command("rebuild")
def index_rebuild(
    kb: Annotated[str, typer.Option("--kb", help="One knowledge base; all when left out.")] = "",
) -> None:
    """Build indexes anew from the database, without embedding anything again."""
    from app import cli_verbs

    with errors_for_people():
        for name in cli_verbs.index_rebuild(_settings(), kb):
            messages.print(f"Built the index of {name} anew.")


@app.command()
def migrate() -> None:
    """Bring the database to this version's tables."""
    from app import cli_verbs

    with errors_for_people():
        cli_verbs.migrate(_settings())
        messages.print("The database is up to date.")


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of docs/settings.md.")] = False,
) -> None:
    """Print every setting with its value; secrets are hidden."""
    from app.settings_reference import setting_rows, settings_markdown

    with errors_for_people():
        current = _settings()
        if markdown:
            sys.stdout.write(settings_markdown(current) + "\n")
            return
        table = Table("setting", "value", "what it is")
        for row in setting_rows(current):
            table.add_row(row.name, row.value, row.description)
        out.print(table)


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app()


def _settings() -> Settings:
    return Settings()


def _filter(text: str) -> dict[str, object]:
    return json_object(text, "--filter", '{"product": "LT-300"}')


if __name__ == "__main__":
    main()
