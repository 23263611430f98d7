"""Snapshots of an index on disk: written whole, published by one rename, read back checked.

Owns the layout of an index folder:

    CURRENT              name of the snapshot to open
    <snapshot>/          manifest.json, vectors.faiss, keys.npy, documents.npy, first_rows.npy, terms.npy,
                         first_terms.npy; with many vectors quick.faiss and quick.json
    words-<token>/       the Tantivy index that the manifests name, changed in place
    .writing-<token>/    a snapshot being written; a leftover of a crash is removed by the next writer

A crash at any point leaves the snapshot that CURRENT names. Does not know storage or searching. No pickle.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.terms import Terms
from rag.types import Vectors
from rag.vector_index import VectorIndex

FORMAT_VERSION = 3
POINTER = "CURRENT"
WRITING = ".writing-"
WORDS = "words-"

_MANIFEST = "manifest.json"
_VECTORS = "vectors.faiss"
_QUICK = "quick.faiss"
_SIDECARS = ("keys", "documents", "first_rows", "terms", "first_terms")


@dataclass(frozen=True, slots=True)
class Identity:
    """What vectors and words were made with. Snapshots of another identity are not to be mixed with it.

    `generation` names, for storage, one filling with vectors of one embedder and passages of one chunker.
    """

    embedder: str
    dimension: int
    chunker: int
    analyzer: int
    generation: str = ""
    format: int = FORMAT_VERSION


@dataclass(frozen=True, slots=True)
class Content:
    """The passages of a snapshot, ascending by key; passage p has the rows first_rows[p] to first_rows[p + 1] - 1.

    keys, documents: int64 [passages]; first_rows: int64 [passages + 1]; vectors: float16 [rows, dimension], of each
    passage first the whole, then its windows; terms: uint32, the words of all rows, of row r first_terms[r] to
    first_terms[r + 1] - 1, int64 [rows + 1].
    """

    keys: NDArray[np.int64]
    documents: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    vectors: Vectors
    terms: Terms
    first_terms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot in memory. `change` is the change number it includes; `words` the folder of its word index."""

    name: str
    change: int
    identity: Identity
    content: Content
    index: VectorIndex
    words: Path


def current_name(folder: Path) -> str | None:
    """The name of the published snapshot, None before the first."""
    try:
        return (folder / POINTER).read_text().strip()
    except FileNotFoundError:
        return None


def load_current(folder: Path) -> Snapshot | None:
    """The published snapshot, None before the first. Raises `IndexDamaged` when it cannot be read or was altered."""
    name = current_name(folder)
    while name is not None:
        try:
            return _load(folder, name)
        except FileNotFoundError as error:
            # A writer may have published two more since the name was read, and removed this one.
            newer = current_name(folder)
            if newer == name:
                raise IndexDamaged(
                    f"the index snapshot {folder / name} lacks {Path(str(error.filename)).name}; "
                    "`answerdesk index rebuild` makes a new one"
                ) from error
            name = newer
    return None


def publish(folder: Path, change: int, identity: Identity, content: Content, words: str) -> str:
    """Writes a snapshot durably and makes it the current one. Returns its name.

    `words` names the folder of the word index, whose commit must be durable already.
    """
    written = folder / f"{WRITING}{uuid4().hex}"
    written.mkdir()
    VectorIndex.of(content.vectors).write(written / _VECTORS, written / _QUICK)
    for sidecar in _SIDECARS:
        np.save(written / f"{sidecar}.npy", getattr(content, sidecar), allow_pickle=False)
    files = {path.name: {"bytes": path.stat().st_size, "blake2b": _checksum(path)} for path in written.iterdir()}
    manifest = {
        "change": change,
        "identity": asdict(identity),
        "passages": len(content.keys),
        "vectors": len(content.vectors),
        "words": words,
        "files": files,
    }
    (written / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    for path in [*written.iterdir(), written]:
        _sync(path)
    name = f"{change:012d}-{uuid4().hex[:8]}"
    os.rename(written, folder / name)
    _sync(folder)
    _point_to(folder, name)
    return name


def remove_unused(folder: Path, kept: set[str]) -> None:
    """Removes every snapshot and word index but `kept`, and what crashes left. Only for the one writer."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)


def _load(folder: Path, name: str) -> Snapshot:
    place = folder / name
    try:
        manifest = json.loads((place / _MANIFEST).read_text())
        identity = Identity(**manifest["identity"])
        files = {str(file): (int(facts["bytes"]), str(facts["blake2b"])) for file, facts in manifest["files"].items()}
        change, words = int(manifest["change"]), str(manifest["words"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexDamaged(
            f"{place / _MANIFEST} cannot be read ({error}); `answerdesk index rebuild` makes a new one"
        ) from error
    for file in {*files, _VECTORS, *(f"{sidecar}.npy" for sidecar in _SIDECARS)}:
        size, checksum = files.get(file, (-1, ""))
        if (place / file).stat().st_size != size or _checksum(place / file) != checksum:
            raise IndexDamaged(f"{place / file} was altered; `answerdesk index rebuild` makes a new one")
    index = VectorIndex.read(place / _VECTORS, place / _QUICK if _QUICK in files else None)
    keys, documents, first_rows, terms, first_terms = (
        np.load(place / f"{sidecar}.npy", allow_pickle=False) for sidecar in _SIDECARS
    )
    of_passages = len(keys) == len(documents) == len(first_rows) - 1 and first_rows[-1] == index.rows
    if not of_passages or len(first_terms) != index.rows + 1 or first_terms[-1] != len(terms):
        raise IndexDamaged(f"the files of {place} do not belong together; `answerdesk index rebuild` makes a new one")
    content = Content(keys, documents, first_rows, index.vectors, terms, first_terms)
    return Snapshot(name, change, identity, content, index, folder / words)


def _point_to(folder: Path, name: str) -> None:
    pointer = folder / f"{POINTER}.new"
    pointer.write_text(name)
    _sync(pointer)
    os.rename(pointer, folder / POINTER)
    _sync(folder)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
