"""Where documents can be synchronised from: a folder, a list of web pages, or one JSONL file.

Owns finding out what is there now, and what could not be looked at. Does not know what a knowledge base has of it.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.errors import BadRequest
from app.folders import documents_below
from app.settings import FetchSettings
from app.sync.addresses import FetchRefused, checked_url
from app.sync.fetch import Fetched, Fetcher, FetchFailed, PageGone, Resolve, Validators, resolve
from app.uploads import checked_name

_LONGEST_LIST = 10 * 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """One file or page. `path` is None when the server says that it is as it was."""

    place: str
    path: Path | None
    content_hash: str = ""
    validators: Validators = field(default_factory=Validators)


@dataclass(slots=True)
class Looked:
    """What is there, by place, and why some of it could not be seen. What is in neither is gone."""

    found: dict[str, Found] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def explains(self, place: str) -> bool:
        """Whether `place`, or a folder that it is in, could not be looked at."""
        return any(place == each or place.startswith(f"{each}/") for each in self.failed)


class Source(Protocol):
    @property
    def address(self) -> str:
        """By which the source is known again."""
        ...

    def look(self, known: Mapping[str, Validators], folder: Path) -> Looked:
        """What is there now; `folder` takes what must be kept until it has been queued."""
        ...


def source_of(text: str, settings: FetchSettings, resolve: Resolve = resolve) -> Source:
    """The source that a person named. Raises `BadRequest` for what is not there."""
    if text.startswith(("http://", "https://")):
        return WebPages(text, [text], settings, resolve)
    path = Path(text).expanduser()
    if path.is_dir():
        return Folder(path.resolve())
    if path.suffix.lower() == ".jsonl" and path.is_file():
        return Records(path.resolve())
    if path.is_file():
        return WebPages(str(path.resolve()), _addresses(path), settings, resolve)
    raise BadRequest(f"There is no folder or file {text}; nothing was changed.")


@dataclass(frozen=True, slots=True)
class Folder:
    """All documents below a folder, as `app.folders` sees them."""

    root: Path

    @property
    def address(self) -> str:
        return str(self.root)

    def look(self, known: Mapping[str, Validators], folder: Path) -> Looked:
        looked = Looked()

        def failed(error: OSError) -> None:
            place = Path(error.filename).relative_to(self.root).as_posix()
            if place == ".":
                raise BadRequest(f"The folder {self.root} cannot be read: {error.strerror}.") from error
            looked.failed[place] = error.strerror or str(error)

        for place, path in documents_below(self.root, failed):
            try:
                if checked_name(place) != place:
                    raise ValueError("The file's name holds a backslash: rename it.")
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                looked.failed[place] = error.strerror or str(error)
            except ValueError as error:
                looked.failed[place.encode(errors="replace").decode()] = str(error)
            else:
                looked.found[place] = Found(place, path, digest)
        return looked


@dataclass(frozen=True, slots=True)
class Records:
    """One JSONL file: its records come, change and go."""

    path: Path

    @property
    def address(self) -> str:
        return str(self.path)

    def look(self, known: Mapping[str, Validators], folder: Path) -> Looked:
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Looked({self.path.name: Found(self.path.name, self.path, digest)})


@dataclass(frozen=True, slots=True)
class WebPages:
    """Pages by their addresses, fetched by `app.sync.fetch`; a page that the server calls gone is gone."""

    address: str
    pages: list[str]
    settings: FetchSettings
    resolve: Resolve = resolve

    def look(self, known: Mapping[str, Validators], folder: Path) -> Looked:
        return asyncio.run(self._look(known, folder))

    async def _look(self, known: Mapping[str, Validators], folder: Path) -> Looked:
        looked = Looked()
        places: dict[str, None] = {}
        for page in self.pages:
            try:
                places[str(checked_url(page, self.settings))] = None
            except FetchRefused as error:
                looked.failed[page] = f"{page}: {error}."
        at_once = asyncio.Semaphore(self.settings.parallel)
        async with Fetcher(self.settings, self.resolve) as fetcher:

            async def look_at(number: int, place: str) -> None:
                async with at_once:
                    try:
                        fetched = await fetcher.fetch(place, known.get(place, Validators()), folder / str(number))
                    except PageGone:
                        return
                    except (FetchRefused, FetchFailed) as error:
                        looked.failed[place] = f"{place} could not be fetched: {error}."
                    else:
                        looked.found[place] = _found(place, fetched)

            await asyncio.gather(*(look_at(number, place) for number, place in enumerate(places)))
        return looked


def _found(place: str, fetched: Fetched | None) -> Found:
    if fetched is None:
        return Found(place, None)
    return Found(place, fetched.path, fetched.content_hash, fetched.validators)


def _addresses(path: Path) -> list[str]:
    """One address a line; empty lines and those that begin with # are passed over."""
    if path.stat().st_size > _LONGEST_LIST:
        raise BadRequest(f"{path} is too long for a list of addresses.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not a list of addresses: it is not text in UTF-8.") from error
    pages = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if pages and not any(page.startswith(("http://", "https://")) for page in pages):
        raise BadRequest(f"{path} is no list of addresses: none of its lines begins with http:// or https://.")
    return pages
