"""Synchronises a knowledge base with a source: what is new, changed and gone since the source was last read.

    look ──> plan ──> queue new and changed ──> (a worker reads them) ──> remove what is gone

Owns the plan and what keeps it from doing harm: what came in another way is never touched, what could not be looked at
is never taken for gone, and a source that has suddenly lost most of its files removes nothing unless told so. Looking
is in `app.sync.sources`, remembering in `app.sync.memory`, reading is the worker's. May be stopped at any point and
run again.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import select

from app import files
from app.bootstrap import Services
from app.db import in_parts
from app.documents import accept
from app.errors import BadRequest, Conflict, TooLargeRequest, UnsupportedUpload
from app.models import Document, Job, new_id
from app.scope import Scope
from app.sync.memory import Memory, memory_of
from app.sync.sources import Found, Looked, Source
from app.uploads import ReceivedFile, Upload
from ingestion.detect import HOLDS_SEVERAL, MEDIA_TYPES
from ingestion.errors import IngestionError
from ingestion.listing import documents_in
from ingestion.parsers import base

_FEW = 10
_LONGEST_ADDRESS = 600

Work = Callable[[set[str]], None]
"""Waits until the jobs with these ids have ended."""


@dataclass(frozen=True, slots=True)
class Options:
    """`delete`: remove what is gone; `force`: also when it is most; `adopt`: take over what was uploaded."""

    delete: bool = True
    force: bool = False
    adopt: bool = False


@dataclass(slots=True)
class Plan:
    """Places by what is to be done. `stale` are documents that files which are still there no longer
    have, `documents` what is in each file (external id to content hash), `claimed` all that is anywhere. `loses` tells
    what is gone when it is most of what the source brought, so that nobody loses it by accident.
    """

    new: dict[str, Found] = field(default_factory=dict)
    changed: dict[str, Found] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    stale: dict[str, set[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    documents: dict[str, dict[str, str]] = field(default_factory=dict)
    claimed: frozenset[str] = frozenset()
    loses: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "new": list(self.new),
            "changed": list(self.changed),
            "unchanged": len(self.unchanged),
            "removed": self.removed,
            "removed_records": {place: sorted(ids) for place, ids in self.stale.items()},
            "failed": [{"place": place, "message": message} for place, message in self.failed.items()],
        }


def sync(
    services: Services,
    scope: Scope,
    name: str,
    source: Source,
    options: Options,
    *,
    show: Callable[[Plan], None],
    work: Work | None,
) -> Plan:
    """Makes the plan, shows it, and does it unless there is nobody to `work` (a dry run).

    Raises `Conflict` when most of the source is gone (see `Options.force`) or another process synchronises the same
    knowledge base, and what looking at the source raises; then nothing has been changed.
    """
    if len(source.address) > _LONGEST_ADDRESS:
        raise BadRequest(f"The source's address is longer than {_LONGEST_ADDRESS} characters.")
    with services.database.read() as session:
        base_id = scope.knowledge_base(session, name).id
    with _alone(services, base_id), _temporary_folder(services) as folder:
        memory = memory_of(services, base_id, source.address, begin=work is not None)
        validators = {place: known.validators for place, known in memory.files.items() if known.answers}
        plan = make_plan(memory, source.look(validators, folder), options, services.limits)
        show(plan)
        if work is not None:
            if plan.loses and options.delete and not options.force:
                raise Conflict(
                    f"{plan.loses} that came from {source.address} are gone; nothing was changed. If that is right, "
                    "say --force; to keep the documents, --no-delete.",
                    {"removed": len(plan.removed), "known": len(memory.files)},
                )
            _do(services, scope, memory, plan, options, folder, work)
    return plan


def make_plan(memory: Memory, looked: Looked, options: Options, limits: base.Limits) -> Plan:
    """What is to be done about everything that was seen, or is known and was not."""
    plan = Plan(failed=dict(looked.failed))
    partly = _read_documents(memory, looked, limits, plan)
    owners = {id_: place for place, ids in plan.documents.items() for id_ in ids if id_ in memory.documents(place)}
    claimed: dict[str, str] = {}
    for place, documents in plan.documents.items():
        rivals = (id_ for id_ in documents if claimed.get(id_, owners.get(id_, place)) != place)
        stranger = next(rivals, None) or memory.stranger(documents, options.adopt)
        if stranger is not None:
            plan.failed[place] = _not_ours(stranger, claimed.get(stranger, owners.get(stranger)))
            continue
        claimed.update(dict.fromkeys(documents, place))
        found, known = looked.found[place], memory.files.get(place)
        if known is not None and known.answers and found.content_hash in ("", known.content_hash):
            plan.unchanged.append(place)
        else:
            (plan.changed if known else plan.new)[place] = found
        stale = memory.documents(place) - claimed.keys() - documents.keys()
        if stale and place not in partly:
            plan.stale[place] = stale
    plan.removed = sorted(place for place in memory.files if place not in looked.found and not looked.explains(place))
    plan.claimed = frozenset(claimed)
    plan.loses = _most_of("files", set(plan.removed), memory.files.keys()) or _loses_documents(memory, plan)
    return plan


def _loses_documents(memory: Memory, plan: Plan) -> str:
    """Files that hold many documents can lose most of them and still be there: cut off in the middle, say."""
    known = {id_ for place in memory.files for id_ in memory.documents(place)}
    removed = {id_ for place in plan.removed for id_ in memory.documents(place)}
    gone = removed.union(*plan.stale.values()) - plan.claimed
    return _most_of("documents", gone, known | plan.claimed)


def _most_of(what: str, gone: Set[str], known: Set[str]) -> str:
    left = len(known) - len(gone)
    is_most = len(gone) > left and (len(gone) > _FEW or left == 0)
    return f"{len(gone):,} of the {len(known):,} {what}" if is_most else ""


def _read_documents(memory: Memory, looked: Looked, limits: base.Limits, plan: Plan) -> set[str]:
    """Fills `plan.documents`, by place in order; returns the places of which a part could not be read."""
    partly: set[str] = set()
    for place, found in sorted(looked.found.items()):
        try:
            plan.documents[place], is_whole = _documents_in(found, memory.documents(place), limits)
        except IngestionError as error:
            plan.failed[place] = str(error)
        else:
            partly.update(() if is_whole else (place,))
    return partly


def _documents_in(found: Found, known: Set[str], limits: base.Limits) -> tuple[dict[str, str], bool]:
    """External ids and content hashes of the documents in a file, and whether all of it could be read."""
    if found.path is None:
        return dict.fromkeys(known, ""), True
    if MEDIA_TYPES[found.path.suffix.lower()] not in HOLDS_SEVERAL:
        return {found.place: found.content_hash}, True
    documents = documents_in(base.Source(found.path, found.place), limits)
    return documents, all(documents.values())


def _not_ours(external_id: str, rival: str | None) -> str:
    if rival is not None:
        return f"{rival} has a document {external_id!r} too; it was taken from there."
    return (
        f"The knowledge base has a document {external_id!r} that did not come from here, with another content; it was "
        "left alone. --adopt takes over what was uploaded; what another source brings must be removed there first."
    )


def _do(
    services: Services, scope: Scope, memory: Memory, plan: Plan, options: Options, folder: Path, work: Work
) -> None:
    jobs: dict[str, str] = {}
    for place, found in {**plan.new, **plan.changed}.items():
        jobs |= dict.fromkeys(_queued(services, scope, memory, plan, found, folder), place)
    work(set(jobs))
    unread = _unread(services, jobs)
    plan.failed.update(unread)
    memory.forget_content(unread)
    if options.delete:
        removed = {id_ for place in plan.removed for id_ in memory.documents(place)}
        stale = {id_ for place, ids in plan.stale.items() if place not in plan.failed for id_ in ids}
        memory.remove(plan.removed, (removed | stale) - plan.claimed)


def _queued(services: Services, scope: Scope, memory: Memory, plan: Plan, found: Found, folder: Path) -> Iterator[str]:
    """Ids of the jobs that read a file; notes with the plan when it is refused."""
    assert found.path is not None
    copy = folder / new_id() / found.path.name
    copy.parent.mkdir()
    try:
        shutil.copyfile(found.path, copy)
    except OSError as error:
        plan.failed[found.place] = error.strerror or str(error)
        return
    with copy.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != found.content_hash:
            plan.failed[found.place] = "It was changed while it was being read; synchronise again."
            return
    name = found.place if "://" not in found.place else _name_of(found)
    upload = Upload([ReceivedFile(name, copy, copy.stat().st_size, found.content_hash)])
    upload.fields["external_id"] = found.place
    try:
        result = accept(services, scope, memory.knowledge_base_id, upload, removes_missing=False)
    except (BadRequest, TooLargeRequest, UnsupportedUpload) as error:
        plan.failed[found.place] = str(error)
        return
    memory.remember(found, plan.documents[found.place])
    yield from (job.id for job in result.jobs)


def _name_of(found: Found) -> str:
    """A file name for a page: the last part of its address, with the extension of what it was found to be."""
    assert found.path is not None
    last = found.place.partition("?")[0].rstrip("/").rpartition("/")[2]
    stem = "".join(each for each in last if each.isalnum() or each in "-_.").strip(".")
    stem = stem.removesuffix(found.path.suffix)
    return f"{stem[:100] or 'page'}{found.path.suffix}"


def _unread(services: Services, jobs: Mapping[str, str]) -> dict[str, str]:
    """The places whose job, or a document of whose, failed, with the reason."""
    unread: dict[str, str] = {}
    with services.database.read() as session:
        for ids in in_parts(sorted(jobs)):
            for job in session.scalars(select(Job).where(Job.id.in_(ids), Job.status.in_(("failed", "cancelled")))):
                unread[jobs[job.id]] = job.message
            failed = select(Document).where(Document.job_id.in_(ids), Document.status == "failed")
            for document in session.scalars(failed):
                unread.setdefault(jobs[document.job_id or ""], document.message)
    return unread


@contextmanager
def _alone(services: Services, knowledge_base_id: str) -> Iterator[None]:
    try:
        with FileLock(services.settings.home_folder / f".sync-{knowledge_base_id}.lock", timeout=0):
            yield
    except Timeout as error:
        raise Conflict("Another process is synchronising this knowledge base; wait until it has ended.") from error


@contextmanager
def _temporary_folder(services: Services) -> Iterator[Path]:
    folder = files.incoming_folder(services.settings.files_folder) / new_id()
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
