"""Reads a multipart upload as it arrives: each file straight to disk, within limits.

Owns the form's grammar, the size limits and the file names that are accepted. Starlette's own form parser keeps
every file below a megabyte in memory, and a folder of HTML has thousands. Knows nothing of documents and jobs.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import IO, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadRequest, TooLargeRequest, Unavailable
from app.facets import PUBLIC
from app.models import new_id

_LONGEST_FIELD = 1_000_000  # bytes of a form field that is not a file
_LONGEST_HEADER = 8_192
_MOST_FIELDS = 20
_LONGEST_NAME = 1_000
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WEB_ADDRESS = re.compile(r"https?://[!-~]{1,990}")  # a page's external id, which names no file
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(slots=True)
class ReceivedFile:
    """One file of the form. `error` is a code and a reason when it was refused; then there is nothing at `path`."""

    name: str
    path: Path
    size: int = 0
    content_hash: str = ""
    error: tuple[str, str] | None = None


@dataclass(slots=True)
class Upload:
    """The form: its files in order, and its other fields (of repeated ones the last)."""

    files: list[ReceivedFile] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    def external_id(self) -> str | None:
        """The form's external id, if it has one. Raises `BadRequest` when it cannot be used, or there are no files."""
        if not self.files:
            raise BadRequest("There are no files in the request; send them in the field 'files'.")
        external_id = self.fields.get("external_id")
        if not external_id:
            return None
        if len(self.files) > 1:
            raise BadRequest("external_id names one document: send a single file with it.")
        try:
            return external_id if _WEB_ADDRESS.fullmatch(external_id) else checked_name(external_id)
        except ValueError as error:
            raise BadRequest(f"external_id cannot be used. {error}") from error

    def facets(self) -> dict[str, Any]:
        """The form's facets. Raises `BadRequest` unless they are an object of texts, numbers, booleans or lists."""
        unknown = self.fields.keys() - {"facets", "external_id", PUBLIC}
        if unknown:
            raise BadRequest(
                f"The form has no field {min(unknown)!r}: there are files, external_id, facets and {PUBLIC}."
            )
        try:
            facets = json.loads(self.fields.get("facets") or "{}", parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"facets is not JSON: {error}") from error
        if not isinstance(facets, dict):
            raise BadRequest("facets must be a JSON object.")
        require_facets(facets)
        return facets

    def is_public(self) -> bool | None:
        """Whether visitors may see the documents; None when the form does not say. Raises `BadRequest`."""
        given = self.fields.get(PUBLIC)
        if given not in (None, "", "true", "false"):
            raise BadRequest(f"{PUBLIC} must be true or false.")
        return given == "true" if given else None


def require_facets(facets: Mapping[str, Any]) -> None:
    """Raises `BadRequest` unless all are texts, numbers, booleans or lists, without control characters."""
    if PUBLIC in facets:
        raise BadRequest(f"{PUBLIC} is no facet but a field of its own, which admins set.")
    for name, value in facets.items():
        members = value if isinstance(value, list) else [value]
        if not all(isinstance(member, str | int | float) for member in members):
            raise BadRequest(f"The facet {name!r} must be a text, a number, a truth value or a list of them.")
        if any(_FORBIDDEN.search(text) for text in (name, *members) if isinstance(text, str)):
            raise BadRequest(f"The facet {name!r} holds control characters.")


def form_of(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the API's reference says of a request: it is a form with these fields, of which `files` must be there."""
    schema = {"type": "object", "required": ["files"], "properties": fields}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@asynccontextmanager
async def received(request: Request, folder: Path, file_bytes: int, request_bytes: int) -> AsyncIterator[Upload]:
    """The request's form; its files lie in a folder of their own inside `folder` until the block ends.

    A file of more than `file_bytes` is refused alone. Raises `TooLargeRequest` beyond `request_bytes` and
    `BadRequest` for a body that is not a form.
    """
    place = folder / new_id()
    reader = _Reader(_boundary(request), place, file_bytes)
    await run_in_threadpool(place.mkdir, parents=True)
    try:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > request_bytes:
                raise TooLargeRequest(
                    f"The request is larger than {request_bytes // 2**20} MiB; send fewer files at once."
                )
            if chunk:
                await run_in_threadpool(reader.feed, chunk)
        yield reader.finish()
    finally:
        reader.close()
        await run_in_threadpool(rmtree, place, ignore_errors=True)


def checked_name(name: str) -> str:
    """A file's name, or its path inside the folder it came from, with `/` between the parts.

    Raises `ValueError` for absolute paths, `..`, control characters, and what is too long.
    """
    name = name.replace("\\", "/")
    parts = name.split("/")
    if _FORBIDDEN.search(name) or not name.strip():
        raise ValueError("The file has no usable name: name it without control characters.")
    if name.startswith("/") or _DRIVE.match(name) or any(part in ("", ".", "..") for part in parts):
        raise ValueError("The file's name must be a plain one or a relative path without '..'.")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"The file's name is longer than {_LONGEST_NAME} characters.")
    return name


class _Reader:
    """Turns the parser's callbacks into files and fields."""

    def __init__(self, boundary: bytes, folder: Path, file_bytes: int) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._upload = Upload()
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._field: tuple[str, bytearray] | None = None
        self._file: ReceivedFile | None = None
        self._output: IO[bytes] | None = None
        self._hash: Any = None
        self._is_complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_finished,
                "on_end": self._ends,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise BadRequest(f"The request is not a well-formed multipart form: {error}") from error
        except OSError as error:
            raise Unavailable(f"The upload could not be stored: {error.strerror or error}.") from error

    def finish(self) -> Upload:
        self._parser.finalize()
        if not self._is_complete:
            raise BadRequest("The request ended before its form did; send it again.")
        return self._upload

    def close(self) -> None:
        if self._output is not None:
            self._output.close()

    def _ends(self) -> None:
        self._is_complete = True

    def _part_begins(self) -> None:
        self._headers, self._header = {}, (bytearray(), bytearray())
        self._field = self._file = self._output = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header[0], data[start:end], _LONGEST_HEADER, "A header in the form")

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header[1], data[start:end], _LONGEST_HEADER, "A header in the form")

    def _header_ends(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise BadRequest("A part of the form has no name.")
        name = options[b"name"].decode(errors="replace")
        if b"filename" not in options:
            if len(self._upload.fields) >= _MOST_FIELDS:
                raise BadRequest(f"The form has more than {_MOST_FIELDS} fields.")
            self._field = (name, bytearray())
            return
        if name != "files":
            raise BadRequest(f"Files belong into the field 'files', not {name!r}.")
        given = options[b"filename"].decode(errors="replace")
        self._file = ReceivedFile(given, self._folder / f"{len(self._upload.files)}{_suffix(given)}")
        self._upload.files.append(self._file)
        try:
            self._file.name = checked_name(given)
        except ValueError as error:
            self._file.error = ("bad_name", str(error))
            return
        self._hash = sha256()
        self._output = self._file.path.open("wb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self._grow(self._field[1], data[start:end], _LONGEST_FIELD, f"The field {self._field[0]!r}")
        elif self._file is not None and self._output is not None:
            self._file.size += end - start
            if self._file.size > self._file_bytes:
                limit = self._file_bytes // 2**20
                reason = f"The file is larger than {limit} MiB: split it, or raise ANSWERDESK_INGESTION__MAX_FILE_MB."
                self._file.error = ("too_large", reason)
                self._output.close()
                self._output = None
                self._file.path.unlink()
                return
            self._hash.update(data[start:end])
            self._output.write(data[start:end])

    def _part_ends(self) -> None:
        if self._field is not None:
            name, value = self._field
            try:
                self._upload.fields[name] = value.decode()
            except UnicodeDecodeError as error:
                raise BadRequest(f"The field {name!r} is not UTF-8.") from error
        elif self._file is not None and self._output is not None:
            self._output.close()
            self._output = None
            self._file.content_hash = self._hash.hexdigest()

    def _grow(self, buffer: bytearray, more: bytes, limit: int, what: str) -> None:
        buffer += more
        if len(buffer) > limit:
            raise BadRequest(f"{what} is longer than {limit} bytes.")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest("Documents are uploaded as multipart/form-data, with the files in the field 'files'.")
    return options[b"boundary"]


def _suffix(name: str) -> str:
    """The extension, as far as it is harmless in a path: formats are told by it."""
    match = re.search(r"\.[A-Za-z0-9]{1,10}$", name)
    return match.group() if match else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
