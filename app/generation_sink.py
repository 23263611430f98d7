"""Where the pipeline puts documents that are read again for a generation that is being built.

Owns what differs from an upload: the documents' own rows are left alone, and what has been replaced or deleted since
the job was queued is left out. How rows are written is in `app.sink`.
"""

from collections.abc import Mapping, Sequence
from time import monotonic

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import files
from app.errors import NotFound
from app.jobs import LeaseLost, hold
from app.known_documents import known_to_generation
from app.models import Document, GenerationDocument
from app.passages import raise_change
from app.sink import STORED, SqlSink, StoredDocument, remove_content, storable
from ingestion.errors import IngestionError
from ingestion.pipeline import ReadyDocument

_BETWEEN_LOOKS_S = 1.0


class GenerationSink(SqlSink):
    """`ingestion.pipeline.Sink` for one claimed job of a generation. Every method that writes raises `LeaseLost`."""

    _looked = 0.0

    def is_current(self, external_id: str, content_hash: str) -> bool:
        """Also whether this content is no longer wanted."""
        with self._database.read() as session:
            wanted = self._wanted(session, {external_id: content_hash})
            if external_id not in wanted:
                return True
            done = select(GenerationDocument.version).where(
                GenerationDocument.generation_id == self._generation_id,
                GenerationDocument.document_key == wanted[external_id].key,
            )
            return session.scalar(done) == wanted[external_id].version

    def known_documents(self) -> Mapping[str, str]:
        return known_to_generation(self._database, self._claim, self._generation_id)

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        """Writes pages, passages and vectors of the documents that are still of this content."""
        latest = {document.start.external_id: document for document in documents}
        hashes = {external_id: document.content_hash for external_id, document in latest.items()}
        with self._database.write() as session:
            change = self._raise_change(session)
            hold(session, self._claim, self._queue.lease_s)
            wanted = self._wanted(session, hashes)
            keys = [each.key for each in wanted.values()]
            remove_content(session, self._claim.knowledge_base_id, keys, change, self._generation_id)
            self._write_content(session, {id_: latest[id_] for id_ in wanted}, wanted, change)

    def failed(self, external_id: str, title: str, error: IngestionError) -> None:
        """Notes with the generation why it cannot have the document."""
        reason = storable(str(error))
        self.first_error = self.first_error or reason
        with self._database.write() as session:
            files.lock_knowledge_base(session, self._claim.knowledge_base_id)
            hold(session, self._claim, self._queue.lease_s)
            known = self._stored(session, [external_id]).get(external_id)
            if known is None or not known.version or known.file_path != self._claim.source_path:
                return  # it has been replaced meanwhile
            change = self._raise_change(session)
            remove_content(session, self._claim.knowledge_base_id, [known.key], change, self._generation_id)
            row = {"generation_id": self._generation_id, "document_key": known.key, "version": known.version}
            session.execute(insert(GenerationDocument), [{**row, "status": "failed", "message": reason}])

    def remove_missing(self) -> int:
        """None: which documents there are, uploads decide."""
        return 0

    def cancelled(self) -> bool:
        """Also when an upload waits: it goes first, and what has been done of this job is kept."""
        if super().cancelled():
            return True
        moment = monotonic()
        if moment - self._looked < _BETWEEN_LOOKS_S:
            return False
        self._looked = moment
        return self._queue.has_uploads()

    def _raise_change(self, session: Session) -> int:
        try:
            return raise_change(session, self._claim.knowledge_base_id, self._generation_id)
        except NotFound as error:
            raise LeaseLost(f"The knowledge base of {self._claim.source_name} has been deleted.") from error

    def _wanted(self, session: Session, hashes: Mapping[str, str]) -> dict[str, StoredDocument]:
        """Those that have the given content now, by external id."""
        query = select(*STORED, Document.content_hash).where(
            Document.knowledge_base_id == self._claim.knowledge_base_id,
            Document.external_id.in_(list(hashes)),
            Document.version > 0,
        )
        return {
            external_id: StoredDocument(*row)
            for external_id, *row, content_hash in session.execute(query)
            if content_hash == hashes[external_id]
        }
