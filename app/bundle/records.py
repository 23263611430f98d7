"""What the lines of a bundle say: files, documents, pages, passages, golden questions, and the manifest over them.

Owns the fields and what each may hold; the file they are in is `app.bundle.format`, and whether they agree with each
other is seen in `app.bundle.importing`. Records name each other by their line's number, from 0. Knows no SQL.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from app import source_maps
from app.db import storable_json, storable_text

FILES, FILE_BYTES = "files.jsonl", "files.bin"
DOCUMENTS, PAGES, PASSAGES, VECTORS = "documents.jsonl", "pages.jsonl", "passages.jsonl", "vectors.f16"
GOLDEN = "golden.jsonl"
MANIFEST = "manifest.json"

_FIRST = (FILES, FILE_BYTES, DOCUMENTS, PAGES, PASSAGES, VECTORS)
MEMBERS = {1: _FIRST, 2: (*_FIRST, GOLDEN), 3: (*_FIRST, GOLDEN)}
"""Of every format that can be read: its members besides the manifest, in the order in which they are hashed."""

MOST = 2**31 - 1
"""The largest number that the databases' integer columns take."""

Count = Annotated[int, Field(ge=0, le=MOST)]
LargeCount = Annotated[int, Field(ge=0, le=2**62)]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, AfterValidator(storable_text)]
Line = Annotated[str, Field(max_length=1000), AfterValidator(storable_text)]
Json = Annotated[dict[str, JsonValue], AfterValidator(storable_json)]


class Record(BaseModel):
    """Strict: a field that is missing, unknown or of another type refuses the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FileRecord(Record):
    """An uploaded file. `name` is its last part only, as it lies in the files folder."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    bytes: LargeCount
    sha256: Sha256


class DocumentRecord(Record):
    id: Id
    external_id: Annotated[Line, Field(min_length=1)]
    title: Line
    version: Annotated[int, Field(ge=1, le=MOST)]
    media_type: Annotated[Text, Field(max_length=120)]
    language: Annotated[Text, Field(max_length=16)]
    content_hash: Annotated[Text, Field(max_length=64)]
    file: Count | None
    facets: Json
    edits: Json = {}
    is_public: bool = False
    warnings: list[tuple[Count | None, Text]]
    page_count: Count
    passage_count: Count
    window_count: Count
    created_at: AwareDatetime
    updated_at: AwareDatetime


class PageRecord(Record):
    """`source_map`: base64 of what `app.source_maps` packs."""

    document: Count
    number: Count
    label: Annotated[Text, Field(max_length=40)] | None
    text: Text
    source_map: str

    def source_runs(self) -> bytes:
        """The packed source map. Raises `ValueError` for runs that are not on the page."""
        packed = base64.b64decode(self.source_map, validate=True)
        source_maps.unpack(packed, len(self.text))
        return packed


class PassageRecord(Record):
    """`spans` are (page, start, end, anchor); `windows` (start, end) in `text`."""

    id: Id
    document: Count
    ordinal: Count
    heading_path: list[Text]
    spans: Annotated[list[tuple[Count, Count, Count, Text | None]], Field(min_length=1)]
    windows: list[tuple[Count, Count]]
    page_label: Annotated[Text, Field(max_length=40)] | None
    text: Text
    content_hash: Annotated[Text, Field(max_length=64)]


class GoldenRecord(Record):
    """A line of a golden file, as it can be uploaded too; `rag.evaluation.questions` knows what it may say."""

    id: Annotated[Text, Field(min_length=1, max_length=200)]
    question: Text
    history: list[Json] = []
    filter: Json = {}
    expected: Annotated[JsonValue, AfterValidator(storable_json)]


class KnowledgeBaseRecord(Record):
    id: Id
    name: Annotated[Line, Field(min_length=1, max_length=200)]
    language: Annotated[Text, Field(max_length=16)]
    embedder: Annotated[Text, Field(min_length=1, max_length=200)]
    dimension: Annotated[int, Field(ge=1, le=65_536)]
    chunker_version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    chunker: Json = {}
    settings: Json
    change: LargeCount


class MemberRecord(Record):
    bytes: LargeCount
    sha256: Sha256


class Counts(Record):
    """`vectors` are rows; `left_out` are documents that had no content yet: waiting, failed or cancelled."""

    files: Count
    documents: Count
    pages: Count
    passages: Count
    vectors: LargeCount
    left_out: Count
    golden_questions: Count = 0


class Manifest(Record):
    format: int
    made_by: Line
    created_at: AwareDatetime
    knowledge_base: KnowledgeBaseRecord
    counts: Counts
    members: dict[str, MemberRecord]
    sha256: Sha256 = Field(description="Of all members: see `hash_of`.")


def hash_of(format: int, members: Mapping[str, MemberRecord]) -> str:
    """SHA-256 of the lines `<sha256>  <name>` in the members' order: what `sha256sum` prints of the unpacked files."""
    lines = "".join(f"{members[name].sha256}  {name}\n" for name in MEMBERS[format])
    return hashlib.sha256(lines.encode()).hexdigest()
