"""The file of a bundle, one knowledge base in one file: how it is sealed, written and opened.

    files.jsonl     one FileRecord a line      files.bin      their bytes, one after the other
    documents.jsonl one DocumentRecord a line, by key
    pages.jsonl     one PageRecord a line, by document and number
    passages.jsonl  one PassageRecord a line, by key    vectors.f16    float16 [1 + windows, dimension] of each
    golden.jsonl    one GoldenRecord a line, in the order in which they were added
    manifest.json   Manifest, the last member

The file is a ZIP archive (APPNOTE 6.3.10, with ZIP64) whose members are stored, never compressed: what a bundle
unpacks to is as large as itself, and any tool opens it. The archive's comment, its last bytes, is the seal: SHA-256 of
all bytes before the digest. No key of a database is in the file.

Owns the file and its limits; the records are `app.bundle.records`. Knows no SQL. `docs/decisions/0008` says why.
"""

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from app.bundle.records import (
    MANIFEST,
    MEMBERS,
    Counts,
    KnowledgeBaseRecord,
    Line,
    Manifest,
    MemberRecord,
    Record,
    hash_of,
)
from app.errors import BadBundle

FORMAT = max(MEMBERS)
"""Raised whenever a reader of the number before could not read the file rightly.

Format 1 had no golden questions; format 2 did not say which documents are public, so from it all come as internal.
"""

PIECE = 1 << 20
"""Bytes read or written at once."""

LONGEST_LINE = 256 << 20
"""Bytes of one record: a document without pages is one record of `pages.jsonl`."""

_SEAL = b"answerdesk-bundle sha256:"
_DIGEST = 64  # hex digits
_LONGEST_MANIFEST = 1 << 20
_LONGEST_DIRECTORY = 4096
_END = struct.Struct("<4s4H2LH")  # end of central directory record, APPNOTE 4.3.16
_END_64 = struct.Struct("<4sQ2H2L4Q")  # ZIP64 end of central directory record, 4.3.14
_LOCATOR_64_SIZE = 20


class BundleWriter:
    """Writes a bundle into any binary stream, from front to back; members in any order, one at a time.

    What is in the stream when the block ends without `finish` is no bundle.
    """

    def __init__(self, output: IO[bytes]) -> None:
        self._sealing = _Sealing(output)
        self._archive = zipfile.ZipFile(self._sealing, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._members: dict[str, MemberRecord] = {}

    def __enter__(self) -> "BundleWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()  # while the stream is open: when it is collected it would be too late

    @contextmanager
    def member(self, name: str) -> Iterator["_Hashed"]:
        """What is written inside the block becomes the member."""
        with self._archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as opened:
            hashed = _Hashed(opened)
            yield hashed
        self._members[name] = MemberRecord(bytes=hashed.bytes, sha256=hashed.digest.hexdigest())

    def finish(
        self, created_at: datetime, made_by: str, knowledge_base: KnowledgeBaseRecord, counts: Counts
    ) -> Manifest:
        """Writes manifest and seal."""
        manifest = Manifest(
            format=FORMAT,
            made_by=made_by,
            created_at=created_at,
            knowledge_base=knowledge_base,
            counts=counts,
            members=self._members,
            sha256=hash_of(FORMAT, self._members),
        )
        self._archive.writestr(zipfile.ZipInfo(MANIFEST), manifest.model_dump_json(indent=2) + "\n")
        self._archive.comment = _SEAL + b"0" * _DIGEST
        self._archive.close()
        self._sealing.seal()
        return manifest


class _Hashed:
    """A member being written. `write_record` writes one line of a .jsonl."""

    def __init__(self, output: IO[bytes]) -> None:
        self.bytes = 0
        self.digest = hashlib.sha256()
        self._output = output

    def write(self, piece: bytes) -> None:
        self.bytes += len(piece)
        self.digest.update(piece)
        self._output.write(piece)

    def write_record(self, record: Record) -> None:
        """Raises `BadBundle` for a record beyond `LONGEST_LINE`."""
        line = record.model_dump_json().encode() + b"\n"
        if len(line) > LONGEST_LINE:
            raise BadBundle(f"One page has {len(line) >> 20} MiB of text, more than a bundle's {LONGEST_LINE >> 20}.")
        self.write(line)


class _Sealing:
    """Passes on all bytes but the last 64, which `seal` replaces by the digest of those before."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._digest = hashlib.sha256()
        self._held = b""

    def write(self, piece: bytes) -> int:
        pending = self._held + piece
        passed, self._held = pending[:-_DIGEST], pending[-_DIGEST:]
        self._digest.update(passed)
        self._output.write(passed)
        return len(piece)

    def flush(self) -> None:
        self._output.flush()

    def close(self) -> None:
        """Whoever opened the output closes it."""

    def seal(self) -> None:
        self._output.write(self._digest.hexdigest().encode())
        self._output.flush()


_Of = TypeVar("_Of", bound=Record)


class Member(Protocol):
    """A member being read."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, limit: int = -1, /) -> bytes: ...


class Bundle:
    """A bundle whose seal, members and manifest have been checked; what the records say has not."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.manifest = manifest
        self._archive = archive

    @contextmanager
    def member(self, name: str) -> Iterator["MemberReader"]:
        """Raises `BadBundle` unless, at the end of the block, all was read and has the manifest's hash."""
        with _readable(name), self._archive.open(name) as opened:
            reader = MemberReader(opened, name)
            yield reader
        if reader.bytes != self.manifest.members[name].bytes or reader.digest != self.manifest.members[name].sha256:
            raise BadBundle(f"The bundle is damaged: {name} is not what its manifest says.")

    def records(self, name: str, kind: type[_Of], longest: int = LONGEST_LINE) -> Iterator[_Of]:
        """Every record of a .jsonl member, of at most `longest` bytes; none where the format has no such member yet.

        Raises `BadBundle` naming the line of one that is not right.
        """
        if name not in self.manifest.members:
            return
        with self.member(name) as member:
            number = 0
            while line := member.readline(longest + 1):
                number += 1
                if not line.endswith(b"\n") or len(line) > longest:
                    raise BadBundle(f"Line {number} of {name} is cut off or too long.")
                try:
                    yield kind.model_validate_json(line)
                except ValidationError as error:
                    raise BadBundle(f"Line {number} of {name} cannot be used: {_first(error)}.") from error


class MemberReader:
    """Reads a member and hashes what it has read."""

    def __init__(self, source: Member, name: str) -> None:
        self.bytes = 0
        self.name = name
        self._source = source
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises `BadBundle` when there are fewer."""
        piece = self._source.read(size)
        if len(piece) != size:
            raise BadBundle(f"{self.name} is shorter than the records say.")
        return self._note(piece)

    def readline(self, limit: int) -> bytes:
        return self._note(self._source.readline(limit))

    def _note(self, piece: bytes) -> bytes:
        self.bytes += len(piece)
        self._digest.update(piece)
        return piece


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """The bundle at `path`, read once from end to end to check its seal.

    Raises `BadBundle`, with the reason, for a file that is damaged, foreign or of a newer format.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        _check_seal(file, size)
        _check_directory(file, size)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise BadBundle(f"The file's directory cannot be read: {error}.") from error
        with archive:
            _check_members(archive.infolist(), size)
            manifest = _manifest(archive)
            stored = {each.filename: each.file_size for each in archive.infolist() if each.filename != MANIFEST}
            named = {name: member.bytes for name, member in manifest.members.items()}
            if named != stored or named.keys() != set(MEMBERS[manifest.format]):
                raise BadBundle("The bundle's members are not those that its manifest names and its format has.")
            if manifest.sha256 != hash_of(manifest.format, manifest.members):
                raise BadBundle("The manifest's hashes do not belong together.")
            yield Bundle(archive, manifest)


def _check_seal(file: IO[bytes], size: int) -> None:
    sealed = size - _DIGEST
    file.seek(max(sealed - len(_SEAL), 0))
    if file.read(len(_SEAL)) != _SEAL or sealed < len(_SEAL) + _END.size:
        raise BadBundle("The file is not a complete Answerdesk bundle: it was cut off, or another program made it.")
    expected = file.read()
    digest = hashlib.sha256()
    file.seek(0)
    left = sealed
    while left and (piece := file.read(min(PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    if digest.hexdigest().encode() != expected:
        raise BadBundle("The bundle is damaged: its bytes do not match its seal. Copy it again, or export anew.")


def _check_directory(file: IO[bytes], size: int) -> None:
    """Lets `zipfile`, which reads the directory whole, see small ones only."""
    at = size - _DIGEST - len(_SEAL) - _END.size
    file.seek(at)
    signature, *_, total, length, _, _ = _END.unpack(file.read(_END.size))
    at_64 = at - _LOCATOR_64_SIZE - _END_64.size
    lengths = [] if length == 0xFFFFFFFF else [length]
    totals = [] if total == 0xFFFF else [total]
    if at_64 >= 0:
        file.seek(at_64)
        signature_64, *_, total_64, length_64, _ = _END_64.unpack(file.read(_END_64.size))
        if signature_64 == b"PK\x06\x06":
            lengths.append(length_64)
            totals.append(total_64)
    if signature != b"PK\x05\x06" or not lengths or max(lengths) > _LONGEST_DIRECTORY or max(totals, default=99) > 99:
        raise BadBundle("The file's directory is not that of a bundle.")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    names = [each.filename for each in members]
    if MANIFEST not in names or len(names) != len(set(names)):
        raise BadBundle("The file is not a bundle: it has no manifest, or names a member twice.")
    for each in members:
        if each.compress_type != zipfile.ZIP_STORED or each.file_size != each.compress_size or each.flag_bits & 1:
            raise BadBundle(f"{each.filename} is compressed or encrypted; a bundle's members are stored as they are.")
    if sum(each.file_size for each in members) > size:
        raise BadBundle("The bundle's members overlap.")


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    if archive.getinfo(MANIFEST).file_size > _LONGEST_MANIFEST:
        raise BadBundle("The bundle's manifest is too long.")
    with _readable(MANIFEST):
        text = archive.read(MANIFEST)
    try:
        made = _AnyManifest.model_validate_json(text)
        if made.format in MEMBERS:
            return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BadBundle(f"The bundle's manifest cannot be used: {_first(error)}.") from error
    raise BadBundle(
        f"The bundle has format {made.format} and was made by {made.made_by}; this version reads formats up to "
        f"{FORMAT}. Import it with a version that reads it.",
        {"format": made.format, "supported": FORMAT},
    )


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns what `zipfile` finds wrong with a member into `BadBundle`."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BadBundle(f"The bundle is damaged: {name} cannot be read ({error}).") from error


class _AnyManifest(BaseModel):
    """What the manifest of every format has."""

    format: int
    made_by: Line = "an unknown version"


def _first(error: ValidationError) -> str:
    found: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'record'}: {found['msg']}"
