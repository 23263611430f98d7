"""What a source brought into a knowledge base before: its files with their hashes, and whose a document is.

Owns the queries over the sync tables. Does not know what a source has now.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.orm import Session

from app import files
from app.bootstrap import Services
from app.db import in_parts
from app.models import Document, Job, SyncDocument, SyncFile, SyncSource, now
from app.passages import raise_change
from app.sink import remove_documents
from app.sync.fetch import Validators
from app.sync.sources import Found

_UNREAD = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was last read. It `answers` when a document of it can be asked, or is still being read."""

    content_hash: str
    validators: Validators
    documents: set[str] = field(default_factory=set)
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """One source's memory. `source_id` is empty before the first time."""

    services: Services
    knowledge_base_id: str
    source_id: str
    files: Mapping[str, Known]

    def documents(self, place: str) -> Set[str]:
        """External ids of what the file brought before."""
        known = self.files.get(place)
        return known.documents if known else frozenset()

    def stranger(self, hashes: Mapping[str, str], adopt: bool) -> str | None:
        """One of these documents (external id to content hash) that came here in another way, if there is one.

        An upload of the very same content is no stranger, nor any upload when it is to be adopted.
        """
        with self.services.database.read() as session:
            for ids in in_parts(sorted(hashes)):
                owners = self._owners(session, ids)
                for id_, content_hash in self._present(session, ids):
                    owner = owners.get(id_)
                    same = adopt or content_hash == hashes[id_]
                    if owner != self.source_id and (owner is not None or not same):
                        return id_
        return None

    def remember(self, found: Found, documents: Iterable[str]) -> None:
        """Notes a file that has been queued; documents that it no longer has stay its own until they are removed."""
        key = {"source_id": self.source_id, "place": found.place}
        with self.services.database.write() as session:
            files.lock_knowledge_base(session, self.knowledge_base_id)
            row = SyncFile(**key, content_hash=found.content_hash)
            row.etag, row.last_modified = found.validators.etag, found.validators.last_modified
            session.merge(row)
            for ids in in_parts(sorted(documents)):
                session.execute(delete(SyncDocument).where(*self._mine(ids)))  # those of another of its files
                base = {"knowledge_base_id": self.knowledge_base_id, **key}
                session.execute(insert(SyncDocument), [{**base, "external_id": id_} for id_ in ids])

    def forget_content(self, places: Iterable[str]) -> None:
        """So that these are read again the next time, because they could not be read this time."""
        with self.services.database.write() as session:
            for some in in_parts(sorted(places)):
                of_places = (SyncFile.source_id == self.source_id, SyncFile.place.in_(some))
                for row in session.scalars(select(SyncFile).where(*of_places)):
                    row.content_hash, row.etag, row.last_modified = "", "", ""

    def remove(self, places: Iterable[str], documents: Iterable[str]) -> None:
        """Deletes documents of this source with the jobs about them, then forgets these files."""
        for ids in in_parts(sorted(documents)):
            with self.services.database.write() as session:
                change = raise_change(session, self.knowledge_base_id)
                mine = session.scalars(delete(SyncDocument).where(*self._mine(ids)).returning(SyncDocument.external_id))
                of_base = (Document.knowledge_base_id == self.knowledge_base_id, Document.external_id.in_(mine.all()))
                rows = session.scalars(select(Document).where(*of_base)).all()
                paths = [row.file_path for row in rows]
                paths += self._withdraw(session, [row.external_id for row in rows])
                remove_documents(session, self.knowledge_base_id, [row.key for row in rows], change)
            self._release(paths)
        for some in in_parts(places):
            with self.services.database.write() as session:
                files.lock_knowledge_base(session, self.knowledge_base_id)
                paths = self._withdraw(session, some)
                session.execute(delete(SyncFile).where(SyncFile.source_id == self.source_id, SyncFile.place.in_(some)))
            self._release(paths)

    def _withdraw(self, session: Session, external_ids: Sequence[str]) -> list[str]:
        """Deletes the jobs about these; the paths of their files."""
        of_base = (Job.knowledge_base_id == self.knowledge_base_id, Job.external_id.in_(external_ids))
        return list(session.scalars(delete(Job).where(*of_base).returning(Job.source_path)))

    def _release(self, paths: Iterable[str]) -> None:
        folder = self.services.settings.files_folder
        files.release(self.services.database, folder, self.knowledge_base_id, paths)

    def _mine(self, ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
        of_base = SyncDocument.knowledge_base_id == self.knowledge_base_id
        return of_base, SyncDocument.external_id.in_(ids), SyncDocument.source_id == self.source_id

    def _owners(self, session: Session, ids: Sequence[str]) -> dict[str, str]:
        query = select(SyncDocument.external_id, SyncDocument.source_id).where(
            SyncDocument.knowledge_base_id == self.knowledge_base_id, SyncDocument.external_id.in_(ids)
        )
        return {row.external_id: row.source_id for row in session.execute(query)}

    def _present(self, session: Session, ids: Sequence[str]) -> list[tuple[str, str]]:
        query = select(Document.external_id, Document.content_hash).where(
            Document.knowledge_base_id == self.knowledge_base_id, Document.external_id.in_(ids)
        )
        return [(row.external_id, row.content_hash) for row in session.execute(query)]


def memory_of(services: Services, knowledge_base_id: str, address: str, *, begin: bool) -> Memory:
    """What is known of a source; with `begin` it is noted when it is new."""
    of_source = (SyncSource.knowledge_base_id == knowledge_base_id, SyncSource.address == address)
    if begin:
        with services.database.write() as session:
            row = session.scalar(select(SyncSource).where(*of_source))
            row = row or SyncSource(knowledge_base_id=knowledge_base_id, address=address)
            row.synced_at = now()
            session.add(row)
    with services.database.read() as session:
        source_id = session.scalar(select(SyncSource.id).where(*of_source)) or ""
        known = {
            row.place: Known(row.content_hash, Validators(row.etag, row.last_modified))
            for row in session.scalars(select(SyncFile).where(SyncFile.source_id == source_id))
        }
        same = (Document.knowledge_base_id == knowledge_base_id) & (Document.external_id == SyncDocument.external_id)
        query = select(SyncDocument.place, SyncDocument.external_id, Document.status).outerjoin(Document, same)
        answering = set()
        for place, external_id, status in session.execute(query.where(SyncDocument.source_id == source_id)):
            known.setdefault(place, Known("", Validators())).documents.add(external_id)  # half removed, then stopped
            if status is not None and status not in _UNREAD:
                answering.add(place)
    for place in answering:
        known[place] = Known(known[place].content_hash, known[place].validators, known[place].documents, True)
    return Memory(services, knowledge_base_id, source_id, known)
