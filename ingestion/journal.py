"""What has been done of a long document, on disk: pages parsed, passages cut and embedded, in the order they came.

Owns the journal's file. It serves twice: memory does not grow with the document, and a worker that takes up what
another left unfinished goes on where that one stopped. It knows no SQL; a document is stored from it in one piece.

The file is a sequence of entries: one byte of kind, four of length, four of CRC-32, then the payload. It begins with
the recipe, everything that the entries depend on; a journal of another recipe is begun anew. What a crash left half
written at the end is cut off. A worker that takes a journal over continues a copy of it under the same name, so that
one which was thought dead goes on writing into a file that nobody reads.
"""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedRandom
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingestion.confined.child_frames import HEADER, BadFrame, Kind, decode, item_frame
from ingestion.types import ParsedPage, PassageDraft, Span

_ENTRY = struct.Struct(">cII")
_RECIPE, _PAGE, _PASSAGE = b"R", b"P", b"V"
_FORMAT = "2"  # raised with every change of what is written below; one of another format is begun anew
_DIGEST_LENGTH = 64
_Item = TypeVar("_Item", covariant=True)


class Many(Protocol[_Item]):
    """A known number of things that can be gone through any number of times, in memory or not."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[_Item]: ...


def digest(passage: PassageDraft) -> str:
    """Names what is stored of a passage and what its vectors were made from."""
    spans = [(span.page, span.start, span.end, span.anchor) for span in passage.spans]
    content = [passage.heading_path, spans, passage.text, passage.windows, passage.embedded]
    return sha256(json.dumps(content).encode()).hexdigest()


class Journal:
    """The journal of one document. `begin` before anything else; `remove` when it is no longer needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BufferedRandom | None = None
        self._pages: list[int] = []  # where the entries' payloads are, and how long
        self._passages: list[tuple[int, str]] = []

    @property
    def exists(self) -> bool:
        """Whether an earlier attempt has left something."""
        return self._path.exists()

    def begin(self, recipe: str) -> None:
        """Opens the journal: with what was written under the same recipe, else empty."""
        self.close()
        beginning = f"{_FORMAT} {recipe}".encode()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        mine = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        if self._path.exists():
            shutil.copyfile(self._path, mine)
        self._file = mine.open("r+b" if mine.exists() else "w+b")
        self._file.seek(0)
        self._pages, self._passages = [], []
        end = 0
        for kind, place, payload in self._entries():
            if end == 0 and (kind, payload) != (_RECIPE, beginning):
                break
            if kind == _PAGE:
                self._pages.append(place)
            elif kind == _PASSAGE:
                self._passages.append((place, payload[:_DIGEST_LENGTH].decode()))
            end = place + len(payload)
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self._append(_RECIPE, beginning)
        mine.replace(self._path)

    @property
    def page_count(self) -> int:
        return len(self._pages)

    @property
    def last_page(self) -> ParsedPage | None:
        return self._page(self._pages[-1]) if self._pages else None

    @property
    def pages(self) -> Many[ParsedPage]:
        """Those added so far. As the three below, good until the journal is closed."""
        return _Stored(tuple(self._pages), self._page)

    @property
    def passages(self) -> Many[PassageDraft]:
        """Without their `embedded` texts."""
        return _Stored(tuple(place for place, _ in self._passages), self._passage)

    @property
    def vectors(self) -> Many[NDArray[np.float16]]:
        """Those of each passage, float16 [1 + windows, dimension]."""
        return _Stored(tuple(place for place, _ in self._passages), self._vectors)

    @property
    def text_hashes(self) -> Many[bytes]:
        """Those of each passage, as many as it has vectors, one after another."""
        return _Stored(tuple(place for place, _ in self._passages), self._text_hashes)

    def add_page(self, page: ParsedPage) -> None:
        self._pages.append(self._append(_PAGE, item_frame(page)[HEADER.size :]))

    def add_passage(self, passage: PassageDraft, name: str, vectors: NDArray[np.float16], text_hashes: bytes) -> None:
        """`name` is the passage's `digest`, taken while it had its embedded texts."""
        spans = [(span.page, span.start, span.end, span.anchor) for span in passage.spans]
        fields = [passage.heading_path, spans, passage.text, passage.windows, text_hashes.hex(), vectors.shape]
        content = json.dumps(fields).encode()
        payload = name.encode() + len(content).to_bytes(4, "big") + content + vectors.astype("<f2").tobytes()
        self._passages.append((self._append(_PASSAGE, payload), name))

    def has_passage(self, ordinal: int, name: str) -> bool:
        """Whether passage `ordinal` is here already. One that differs is dropped, with all that came after it."""
        if ordinal >= len(self._passages):
            return False
        if self._passages[ordinal][1] == name:
            return True
        del self._passages[ordinal:]
        return False

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)

    def _append(self, kind: bytes, payload: bytes) -> int:
        """Writes one entry at the end, at once; returns where its payload is."""
        file = self._opened()
        file.seek(0, os.SEEK_END)
        place = file.tell() + _ENTRY.size
        file.write(_ENTRY.pack(kind, len(payload), zlib.crc32(payload)) + payload)
        file.flush()
        return place

    def _read(self, place: int) -> bytes:
        file = self._opened()
        file.seek(place - _ENTRY.size)
        _, length, _ = _ENTRY.unpack(file.read(_ENTRY.size))
        return file.read(length)

    def _entries(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Kind, place and payload of every entry up to the first that is not whole."""
        file = self._opened()
        while len(head := file.read(_ENTRY.size)) == _ENTRY.size:
            kind, length, checksum = _ENTRY.unpack(head)
            place = file.tell()
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            yield kind, place, payload

    def _page(self, place: int) -> ParsedPage:
        page = decode(Kind.PAGE, self._read(place))
        if not isinstance(page, ParsedPage):
            raise BadFrame("a journal's page is no page")
        return page

    def _passage(self, place: int) -> PassageDraft:
        path, spans, text, windows, _, _ = self._fields(place)[0]
        return PassageDraft(
            heading_path=tuple(path),
            spans=tuple(Span(*span) for span in spans),
            text=text,
            windows=tuple((start, end) for start, end in windows),
            embedded=(),
        )

    def _vectors(self, place: int) -> NDArray[np.float16]:
        fields, rest = self._fields(place)
        return np.frombuffer(rest, "<f2").reshape(fields[-1])

    def _text_hashes(self, place: int) -> bytes:
        return bytes.fromhex(self._fields(place)[0][-2])

    def _fields(self, place: int) -> tuple[list[Any], bytes]:
        payload = self._read(place)
        start = _DIGEST_LENGTH + 4
        end = start + int.from_bytes(payload[_DIGEST_LENGTH:start], "big")
        return json.loads(payload[start:end]), payload[end:]

    def _opened(self) -> BufferedRandom:
        if self._file is None:
            raise RuntimeError("the journal has not been begun")
        return self._file


@dataclass(frozen=True, slots=True)
class _Stored(Generic[_Item]):
    """Things that are read from their places one at a time."""

    places: tuple[int, ...]
    read: Callable[[int], _Item]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[_Item]:
        return map(self.read, self.places)
