"""Reads zipped folders: every file inside is a document, its path inside is its external id.

Owns what of an archive is read and what is refused: sizes, numbers, nesting, paths. No member is ever written under
its own name. How a member is read is its parser's matter; an archive in the archive is read as a folder.
"""

import hashlib
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from ingestion.errors import BadRecord, BrokenFile, EncryptedFile, PermanentError, TooLarge, UnsupportedType
from ingestion.parsers.base import Limits, PagedParser, Parser, Resume, Source
from ingestion.parsers.reading import check_packing, check_size, reading
from ingestion.types import DocumentStart, ParsedPage, RecordFailed

MOST_MEMBERS = 20_000
DEEPEST = 3
"""An archive in an archive in an archive is read; one more is refused."""

UNPACKED_FILES = 4
"""All members together may be as many times as large as the largest single file."""

_MOST_RATIO = 200
_RATIO_MATTERS_FROM = 10 * 2**20
_PIECE = 1 << 20
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF8_NAME = 0x800
_LONGEST_NAME = 1_000
_SYSTEM_FILES = frozenset(["thumbs.db", "desktop.ini"])
_PICTURES = frozenset([".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"])
_WEB_PAGES = frozenset([".html", ".htm", ".md", ".markdown", ".xhtml"])
_WEB_FURNITURE = frozenset(
    [".css", ".js", ".map", ".svg", ".gif", ".ico", ".woff", ".woff2", ".ttf", ".otf", ".eot", ".inv", ".scss", ".less"]
)
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, RuntimeError, ValueError)

ParserFor = Callable[[Path, Limits], Parser]
Item = DocumentStart | ParsedPage | RecordFailed


@dataclass(slots=True)
class _Walk:
    """One way through an archive and all archives inside it: what may still be unpacked, and which member is next."""

    limits: Limits
    resume: Resume
    bytes: int
    members: int
    number: int = 0


class ZipParser:
    """ZIP archives. `parser_for` chooses the parser of a member by its name."""

    media_type = "application/zip"

    def __init__(self, parser_for: ParserFor) -> None:
        self._parser_for = parser_for

    def parse(self, source: Source, limits: Limits) -> Iterator[Item]:
        """A `DocumentStart` with its pages for each member in the order of their paths, or a `RecordFailed`.

        A `RecordFailed` may follow pages of the same document: then these are not all of it.

        Passed over are what programs put beside documents (`__MACOSX`, hidden files), a web site's style sheets and
        scripts, and the pictures of folders that hold HTML or Markdown: they are illustrations. Raises `BrokenFile`,
        `EncryptedFile`, `EmptyFile`, and `TooLarge` before anything is unpacked.
        """
        return self.parse_from(source, limits, Resume())

    def parse_from(self, source: Source, limits: Limits, resume: Resume) -> Iterator[Item]:
        """As `parse`, without the members that have been read before and those that cannot be.

        Of a member that is known with this very content there is the `DocumentStart` alone.
        """
        walk = _Walk(limits, resume, UNPACKED_FILES * limits.file_bytes, MOST_MEMBERS)
        return self._read(source.path, source.path.name, "", walk, 1)

    def _read(self, path: Path, name: str, prefix: str, walk: _Walk, depth: int) -> Iterator[Item]:
        check_size(path, walk.limits)
        with reading(path) as file:
            try:
                archive = _opened(file)
            except _DAMAGED as error:
                raise BrokenFile(f"{name} is damaged ({error}): pack it again and upload the new file") from error
            members = sorted((each for each in archive.infolist() if not each.is_dir()), key=_name_of)
            _spend(walk, members, name)
            if members and all(each.flag_bits & 1 for each in members):
                raise EncryptedFile(f"{name} is protected by a password: pack it again without one")
            wanted = set(worth_reading([_name_of(each) for each in members]))
            seen: set[str] = set()
            for member in members:
                inside = _name_of(member)
                if inside not in wanted or inside in seen:
                    continue
                seen.add(inside)
                yield from self._member(archive, member, prefix + inside, walk, depth)

    def _member(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, external_id: str, walk: _Walk, depth: int
    ) -> Iterator[Item]:
        """One member's documents; what is wrong with it fails it alone."""
        number, resume = walk.number, walk.resume
        walk.number += 1
        was_read, holds_members = number < resume.members, _suffix(external_id) == ".zip"
        if number in resume.unreadable_members or (was_read and not holds_members):
            return
        try:
            if not was_read:
                resume.opening_member(number, external_id)
            _check(member, external_id, walk.limits)
            with tempfile.TemporaryDirectory(prefix="answerdesk-") as folder:
                # Under its own last name, which messages and titles show; of the path nothing is used.
                path = Path(folder) / _safe_name(external_id)
                content_hash = _unpack(archive, member, path, external_id)
                if holds_members:
                    if depth >= DEEPEST:
                        raise TooLarge(
                            f"{external_id}: archives are nested more than {DEEPEST} deep; unpack them first"
                        )
                    yield from self._read(path, external_id, f"{external_id}/", walk, depth + 1)
                    return
                if resume.known.get(external_id) == content_hash:
                    yield DocumentStart(external_id, PurePosixPath(external_id).stem, content_hash=content_hash)
                    return
                source = Source(path, external_id)
                within = resume if number == resume.members else Resume(opening=resume.opening)
                yield from self._documents(source, content_hash, walk.limits, within)
        except PermanentError as error:
            if not was_read:
                yield RecordFailed(external_id, PurePosixPath(external_id).stem, error)

    def _documents(self, source: Source, content_hash: str, limits: Limits, resume: Resume) -> Iterator[Item]:
        """What a member's own parser yields, with its hash and its media type."""
        parser = self._parser_for(source.path, limits)
        if isinstance(parser, PagedParser):
            items: Iterator[Item] = parser.parse_from(source, limits, resume)
        else:
            items = parser.parse(source, limits)
        for item in items:
            if isinstance(item, DocumentStart):
                item = replace(
                    item,
                    content_hash=item.content_hash or content_hash,
                    media_type=item.media_type or parser.media_type,
                )
            yield item


@contextmanager
def member_file(path: Path, external_id: str, limits: Limits) -> Iterator[Path]:
    """The member of an archive that `ZipParser` read as document `external_id`, unpacked as long as it is wanted.

    Raises `BrokenFile` when there is none, and what makes a member or an archive unfit to be unpacked.
    """
    with tempfile.TemporaryDirectory(prefix="answerdesk-") as folder:
        inside = external_id
        for depth in range(DEEPEST):
            unpacked = Path(folder) / str(depth) / _safe_name(inside)
            unpacked.parent.mkdir()
            inside = _unpack_on_the_way(path, inside, unpacked, limits)
            if not inside:
                yield unpacked
                return
            path = unpacked
        raise BrokenFile(f"{external_id} is not in its archive any more: upload the archive again")


def _unpack_on_the_way(path: Path, inside: str, unpacked: Path, limits: Limits) -> str:
    """Unpacks the member `inside`, or the archive that it lies in; what is left of its path then."""
    with reading(path) as file:
        try:
            archive = _opened(file)
        except _DAMAGED as error:
            raise BrokenFile(f"{path.name} is damaged ({error}): upload it again") from error
        for member in archive.infolist():
            name = _name_of(member)
            is_on_the_way = inside.startswith(f"{name}/") and _suffix(name) == ".zip"
            if name == inside or (is_on_the_way and not member.is_dir()):
                _check(member, name, limits)
                _unpack(archive, member, unpacked, name)
                return inside[len(name) + 1 :]
    raise BrokenFile(f"{inside} is not in its archive any more: upload the archive again")


def is_archive(path: Path) -> bool:
    """Whether a file of this name is read by a `ZipParser`."""
    return _suffix(path.name) == ".zip"


def worth_reading(names: Iterable[str]) -> list[str]:
    """Those of a folder's files that are documents or should be told of, by their paths inside, with `/` between.

    Pictures are documents only in folders without web pages; there they are illustrations and icons.
    """
    listed = [name for name in names if not _is_furniture(name)]
    has_pages = any(_suffix(name) in _WEB_PAGES for name in listed)
    return [name for name in listed if not (has_pages and _suffix(name) in _PICTURES)]


def _is_furniture(name: str) -> bool:
    parts = name.split("/")
    hidden = any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)
    return hidden or parts[-1].lower() in _SYSTEM_FILES or _suffix(name) in _WEB_FURNITURE


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    """Raises one of `_DAMAGED`; also for a member without a name, which `zipfile` itself cannot ask for its kind."""
    archive = zipfile.ZipFile(file)
    if not all(member.filename for member in archive.infolist()):
        raise zipfile.BadZipFile("a member has no name")
    return archive


def _name_of(member: zipfile.ZipInfo) -> str:
    """The member's path. Names that are not said to be UTF-8 are tried as UTF-8 and as the Chinese Windows' GBK."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME and not name.isascii():
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def _spend(walk: _Walk, members: list[zipfile.ZipInfo], name: str) -> None:
    walk.members -= len(members)
    walk.bytes -= sum(member.file_size for member in members)
    if walk.members < 0:
        raise TooLarge(f"{name} holds more than {MOST_MEMBERS:,} files: split it")
    if walk.bytes < 0:
        raise TooLarge(f"{name} unpacks to more than the limits allow: split it, or raise the limit in the settings")


def _check(member: zipfile.ZipInfo, name: str, limits: Limits) -> None:
    """Raises what makes a member unfit to be unpacked; zipfile unpacks no more than the size that is declared.

    That holds of the two methods that `check_packing` lets pass.
    """
    if _FORBIDDEN.search(name) or len(name) > _LONGEST_NAME:
        raise BadRecord("a file in the archive has no usable name: rename it and pack the archive again")
    if name.startswith("/") or _DRIVE.match(name) or any(part in ("", ".", "..") for part in name.split("/")):
        raise BadRecord(f"{name}: the path leads out of the archive; pack the folder again")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnsupportedType(f"{name} is a symbolic link: pack the file that it points to")
    if member.flag_bits & 1:
        raise EncryptedFile(f"{name} is protected by a password: pack it again without one")
    check_packing(member, name)
    if member.file_size > limits.file_bytes:
        raise TooLarge(f"{name} unpacks to more than {limits.file_bytes / 2**20:,.1f} MB: split it, or raise the limit")
    if member.file_size > max(_RATIO_MATTERS_FROM, _MOST_RATIO * member.compress_size):
        raise TooLarge(f"{name} unpacks to more than {_MOST_RATIO} times its size, as attacks do; upload it by itself")


def _safe_name(external_id: str) -> str:
    """The last part of a path as a file name of bounded length, with its extension."""
    path = PurePosixPath(external_id)
    return path.stem[:60] + path.suffix[:12]


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, name: str) -> str:
    """Writes a member to `path`; its SHA-256. Raises `BrokenFile`."""
    digest = hashlib.sha256()
    try:
        with archive.open(member) as packed, path.open("wb") as unpacked:
            while piece := packed.read(_PIECE):
                digest.update(piece)
                unpacked.write(piece)
    except _DAMAGED as error:
        raise BrokenFile(f"{name} is damaged in the archive ({error}): pack it again") from error
    return digest.hexdigest()
