"""Opens the ZIP packages that modern office documents and e-books are: parts, their relations, and their XML.

Owns the safety of it: nothing is unpacked before its declared size has been weighed, XML expands no entities and
reaches no file or network. Knows neither words, cells nor slides.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote
from xml.parsers import expat

from lxml import etree
from lxml.etree import _Element

from ingestion.errors import BrokenFile, EncryptedFile, TooLarge
from ingestion.parsers.base import Limits
from ingestion.parsers.reading import check_packing, check_size, reading
from ingestion.parsers.stated import stated_facets

OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Of the old Office formats, and of the container that a password-protected new one is put into."""

_MOST_PARTS = 20_000
_PIECE = 65_536
_XML_BYTES_PER_CHARACTER = 40
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_RELATION_KEY = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, OSError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a part points to: the kind (the last word of its type's address) and the name of the other part."""

    kind: str
    target: str


class Package:
    """The parts of an open package by name. Names are compared as they are, then without regard to case."""

    def __init__(self, archive: zipfile.ZipFile, name: str, limits: Limits) -> None:
        self.name = name
        self._archive = archive
        self._longest = _XML_BYTES_PER_CHARACTER * limits.page_characters
        self._names = {info.filename: info for info in reversed(archive.infolist())}
        self._folded = {part.lower(): info for part, info in self._names.items()}

    def __contains__(self, part: str) -> bool:
        return part in self._names or part.lower() in self._folded

    def names(self) -> list[str]:
        return list(self._names)

    def check_xml(self) -> None:
        """For formats that are read as one page: raises `TooLarge` when all XML together is more than one may need."""
        sizes = (info.file_size for name, info in self._names.items() if name.endswith((".xml", ".rels")))
        if sum(sizes) > self._longest:
            raise too_large(self.name)

    @contextmanager
    def open(self, part: str) -> Iterator[IO[bytes]]:
        """A part as a stream. Raises `BrokenFile` when it is missing, and for damage while the block reads it."""
        info = self._names.get(part) or self._folded.get(part.lower())
        if info is None:
            raise BrokenFile(f'{self.name} is damaged: it has no part "{part}"; save it anew and upload it again')
        try:
            with self._archive.open(info) as stream:
                yield stream
        except _DAMAGED as error:
            raise self.damaged(error) from error

    def read(self, part: str) -> bytes:
        """A whole part. Raises `BrokenFile`, or `TooLarge` when it is beyond what one page may need."""
        info = self._names.get(part) or self._folded.get(part.lower())
        if info is not None and info.file_size > self._longest:
            raise too_large(self.name)
        with self.open(part) as stream:
            return stream.read()

    def xml(self, part: str) -> _Element:
        """The root of a part; names of the "strict" variant of Office's formats become the usual ones."""
        content = self.read(part)
        if b"http://purl.oclc.org/ooxml/" in content[:100_000]:
            content = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", content)
        try:
            root = etree.fromstring(content, _parser())
        except etree.XMLSyntaxError as error:
            raise self.damaged(error) from error
        if root is None:
            raise BrokenFile(f'{self.name} is damaged: its part "{part}" is empty; save it anew and upload it again')
        return root

    def scan(
        self,
        part: str,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None],
        text: Callable[[str], None],
    ) -> Iterator[None]:
        """Reads a part of any length in constant memory: the callbacks get local names, attributes and text.

        Yields after each piece of the part, so that the caller can hand on what has come. Raises `BrokenFile` for XML
        that is damaged or declares entities.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
        parser.CharacterDataHandler = text
        parser.EntityDeclHandler = self._refuse_entity
        with self.open(part) as stream:
            try:
                while piece := stream.read(_PIECE):
                    parser.Parse(piece, False)
                    yield
                parser.Parse(b"", True)
            except expat.ExpatError as error:
                raise self.damaged(error) from error
        yield

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise BrokenFile(f'{self.name} declares the XML entity "{name}", which no office program does: save it anew')

    def relations(self, part: str) -> dict[str, Relation]:
        """Where a part points to inside the package, by relation id; "" is the package itself."""
        folder, file = posixpath.split(part)
        described = posixpath.join(folder, "_rels", f"{file}.rels")
        if described not in self:
            return {}
        found: dict[str, Relation] = {}
        for element in self.xml(described).iter("{*}Relationship"):
            if element.get("TargetMode") != "External":
                kind = element.get("Type", "").rpartition("/")[2]
                found[element.get("Id", "")] = Relation(kind, resolved(folder, element.get("Target", "")))
        return found

    def main_part(self, kinds: str) -> str:
        """The name of the main part, which must lie in the folder `kinds` (`word`, `xl`, `ppt`), as all writers do it.

        Raises `BrokenFile` for a package of another kind.
        """
        targets = [each.target for each in self.relations("").values() if each.kind == "officeDocument"]
        if not targets or not targets[0].lower().startswith(f"{kinds}/"):
            raise BrokenFile(
                f"{self.name} is damaged, or an Office document of another kind than its extension says:"
                " open it in the program it was made with and save it again"
            )
        return targets[0]

    def core_title(self) -> str:
        """The title among the document's properties, "" where there is none."""
        return " ".join(self._properties("core-properties").get("title", "").split())

    def stated_facets(self) -> dict[str, str]:
        """What the document's properties, those that its author added first, say of the product."""
        core = self._properties("core-properties")
        properties = {**self._properties("custom-properties"), **core}
        return stated_facets(properties, [core.get(name, "") for name in ("keywords", "subject", "title")])

    def _properties(self, kind: str) -> dict[str, str]:
        """Those of one part, by their name: an added one's is an attribute, any other's its element's own."""
        part = next((each.target for each in self.relations("").values() if each.kind == kind), "")
        if part not in self:
            return {}
        return {
            each.get("name") or etree.QName(each).localname: "".join(each.itertext())
            for each in self.xml(part).iterchildren(etree.Element)
        }

    def damaged(self, error: Exception) -> BrokenFile:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return BrokenFile(
            f"{self.name} is damaged ({reason}): open it in the program it was made with and save it again"
        )


@contextmanager
def open_package(path: Path, limits: Limits) -> Iterator[Package]:
    """A package whose declared sizes are within the limits (zipfile never unpacks more than is declared).

    Raises `EmptyFile`, `EncryptedFile`, `BrokenFile`, `UnsupportedType` for parts packed as no office program or
    e-book maker may, and `TooLarge` before anything is unpacked; `TransientError` when the file cannot be read from
    disk.
    """
    check_size(path, limits)
    with reading(path) as file:
        if file.read(len(OLE_SIGNATURE)) == OLE_SIGNATURE:
            raise EncryptedFile(password_message(path.name))
        file.seek(0)
        try:
            archive = zipfile.ZipFile(file)
        except _DAMAGED as error:
            raise BrokenFile(f"{path.name} is damaged ({error}): export it again and upload the new file") from error
        parts = archive.infolist()
        if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > limits.file_bytes:
            raise too_large(path.name)
        for part in parts:
            if not part.flag_bits & 1:  # what is locked is told of below
                check_packing(part, f'"{part.filename}" in {path.name}')
        if any(part.flag_bits & 1 for part in parts) or "META-INF/encryption.xml" in archive.namelist():
            _check_protection(archive, path.name)
        yield Package(archive, path.name, limits)


def relation_id(element: _Element) -> str:
    return str(element.get(_RELATION_KEY) or "")


def resolved(folder: str, target: str) -> str:
    """The name of the part that `target` means, seen from a folder of the package; ".." never leads out of it."""
    target = unquote(target.split("#")[0].split("?")[0])
    joined = posixpath.normpath(posixpath.join("/", folder, target))
    return joined.lstrip("/")


def password_message(name: str) -> str:
    return (
        f"{name} is protected by a password, or is in an old format (.doc, .xls, .ppt): open it, remove the password, "
        "save it in the new format and upload it again"
    )


def too_large(name: str) -> TooLarge:
    return TooLarge(f"{name} unpacks to more than the limits allow: split it, or raise the limit in the settings")


def _check_protection(archive: zipfile.ZipFile, name: str) -> None:
    """Raises `EncryptedFile` for locked parts; an e-book that only scrambles its fonts can be read."""
    locked = any(part.flag_bits & 1 for part in archive.infolist())
    if not locked:
        try:
            described = archive.read("META-INF/encryption.xml")
        except _DAMAGED as error:
            raise BrokenFile(f"{name} is damaged ({error}): export it again and upload the new file") from error
        locked = re.search(rb"URI\s*=\s*[\"'][^\"']*\.x?html?[\"']", described) is not None
    if locked:
        raise EncryptedFile(f"{name} is protected: upload a copy without a password or copy protection")


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
