"""Which documents of an archive are stored already, so that its members need not be parsed to find that out.

Owns the two queries: for an upload, and for a generation that an archive is read again for. Whether a document is
current when its turn comes is asked again by the sinks; what is not known here only costs time.
"""

from sqlalchemy import ColumnElement, and_, or_, select

from app.db import Database
from app.jobs import Claim
from app.models import Document, GenerationDocument
from ingestion.archives import MOST_MEMBERS
from ingestion.detect import MEDIA_TYPES

_RECORDS = MEDIA_TYPES[".jsonl"]
"""Records go by the ids that are in their files and are nobody's members."""


def known_to_upload(database: Database, claim: Claim) -> dict[str, str]:
    """Content hashes by external id: of what the job took over or has stored, and of what no job is there for.

    A folder that is synchronised leaves its documents without a job, and so does an import.
    """
    of_source = or_(Document.job_id == claim.job_id, Document.job_id.is_(None))
    return _known(database, claim, and_(of_source, *marked_as(claim)))


def marked_as(claim: Claim) -> list[ColumnElement[bool]]:
    """Documents whose mark is another than the upload's are stored anew, as their content would be."""
    return [] if claim.is_public is None else [Document.is_public == claim.is_public]


def known_to_generation(database: Database, claim: Claim, generation_id: str) -> dict[str, str]:
    """Content hashes by external id: of the source's documents that the generation has as they are now."""
    done = select(GenerationDocument.document_key).where(
        GenerationDocument.generation_id == generation_id,
        GenerationDocument.document_key == Document.key,
        GenerationDocument.version == Document.version,
    )
    return _known(database, claim, and_(Document.file_path == claim.source_path, done.exists()))


def _known(database: Database, claim: Claim, of_source: ColumnElement[bool]) -> dict[str, str]:
    query = select(Document.external_id, Document.content_hash).where(
        Document.knowledge_base_id == claim.knowledge_base_id,
        Document.version > 0,
        Document.media_type != _RECORDS,
        of_source,
    )
    own_first = query.order_by(Document.job_id.is_(None), Document.key).limit(MOST_MEMBERS)
    with database.read() as session:
        return {row.external_id: row.content_hash for row in session.execute(own_first)}
