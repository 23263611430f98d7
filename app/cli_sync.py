"""`answerdesk sync`: brings a knowledge base up to a folder, a list of web pages or a JSONL file.

Owns how the plan is shown and who works. What is done is in `app.sync.sync`.
"""

from typing import Any

from rich.console import Console

from app.cli_ingest import make_if_missing, work_until_done
from app.cli_verbs import SCOPE, services_for
from app.settings import Settings
from app.sync.sources import source_of
from app.sync.sync import Options, Plan, sync

_SHOWN = 20


def run_sync(
    settings: Settings, name: str, source: str, options: Options, *, dry_run: bool, console: Console
) -> dict[str, Any]:
    """What was done, or with `dry_run` would be. Makes the knowledge base if it is missing.

    Raises `NotFound` when it is missing and the run is dry.
    """
    services = services_for(settings)
    wanted = source_of(source, settings.fetch)
    if not dry_run:
        make_if_missing(services, name, console)
    done = sync(
        services,
        SCOPE,
        name,
        wanted,
        options,
        show=lambda plan: _show(plan, options, console),
        work=None if dry_run else lambda jobs: work_until_done(services, jobs, console) if jobs else None,
    )
    return {
        "knowledge_base": name,
        "source": wanted.address,
        "dry_run": dry_run,
        "delete": options.delete,
        **done.as_json(),
    }


def summary(done: dict[str, Any]) -> str:
    """One line for people, and one for each file that was left alone."""
    records = sum(map(len, done["removed_records"].values()))
    counts = f"{len(done['new'])} new, {len(done['changed'])} changed, {done['unchanged']} unchanged, "
    removed = "removed" if done["delete"] else "gone but kept"
    counts += f"{len(done['removed'])} {removed}" + (f", {records} records {removed}" if records else "")
    head = f"{'Would be' if done['dry_run'] else 'Synchronised'}: {counts}, {len(done['failed'])} not read."
    return "\n".join([head, *(f"Not read: {each['place']}: {each['message']}" for each in done["failed"])])


def _show(plan: Plan, options: Options, console: Console) -> None:
    gone = "remove" if options.delete else "gone, kept"
    stale = [f"{place}: {id_}" for place, ids in plan.stale.items() for id_ in sorted(ids)]
    for what, places in (("new", [*plan.new]), ("changed", [*plan.changed]), (gone, [*plan.removed, *stale])):
        for place in places[:_SHOWN]:
            console.print(f"{what:>10}  {place}", markup=False, highlight=False)
        if len(places) > _SHOWN:
            console.print(f"{what:>10}  and {len(places) - _SHOWN:,} more", markup=False)
