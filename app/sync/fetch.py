"""Fetches web pages without letting anybody use us to reach what only we can reach.

Every hop is checked anew (`app.sync.addresses`): the URL, then every address that its name has; the connection goes to
one of those addresses, under the name that was asked for. Size, silence and total time are bounded, also of what a
compressed page unpacks to. Nothing of one page is sent to the next: no cookies, no credentials, no proxy settings.

Owns one page's way from URL to file. Does not know which pages are wanted, nor what becomes of them.
"""

import asyncio
import codecs
import hashlib
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath
from types import TracebackType

import httpx

from app.settings import FetchSettings
from app.sync.addresses import FetchRefused, checked_url, require_allowed
from ingestion.detect import MEDIA_TYPES, SUPPORTED_SUFFIXES

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SUFFIXES = {name: suffix for suffix, name in reversed(MEDIA_TYPES.items())} | {
    "application/xhtml+xml": ".html",
    "application/x-ndjson": ".jsonl",
    "application/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.ms-word.document.macroenabled.12": ".docm",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": ".pptm",
    "application/vnd.ms-excel.sheet.macroenabled.12": ".xlsm",
    "application/x-zip-compressed": ".zip",
    "image/jpg": ".jpg",
    "image/x-ms-bmp": ".bmp",
}
"""By Content-Type: what parsers call it, and by what other names servers send it."""

_TOLD_MORE = {
    ".txt": frozenset({".md", ".markdown", ".jsonl", ".csv", ".tsv"}),
    ".csv": frozenset({".tsv"}),
    ".zip": frozenset({".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm", ".epub"}),
}
"""Where the Content-Type names a family only, which extensions in the address say more."""

_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})  # then the address may tell
_TEXTS = frozenset({".html", ".txt", ".md", ".csv", ".tsv"})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to numeric addresses. Raises `OSError` for a name that has none."""


class FetchFailed(Exception):
    """The page could not be had this time. The message says why."""


class PageGone(Exception):
    """The server says that the page is no longer there (404, 410)."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave with a page, to ask later whether it has changed. RFC 9110, section 8.8."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page in a file whose extension says what it is. `content_hash` is SHA-256 of the file."""

    path: Path
    content_hash: str
    validators: Validators


async def resolve(host: str, port: int) -> Sequence[str]:
    """By the system's resolver, which also reads 2130706433, 0x7f.1 and the like as it would for a connection."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Fetches any number of pages; use it as `async with`."""

    def __init__(self, settings: FetchSettings, resolve: Resolve = resolve) -> None:
        self._settings = settings
        inner = httpx.AsyncHTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._client = httpx.AsyncClient(
            transport=_CheckedTransport(inner, settings, resolve),
            trust_env=False,
            follow_redirects=False,
            timeout=settings.idle_s,
            headers={"user-agent": settings.user_agent, "accept-encoding": "gzip"},
        )

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def fetch(self, address: str, known: Validators, folder: Path) -> Fetched | None:
        """The page in a new file inside `folder`, or None when it is still what `known` came with.

        Raises `FetchRefused` for addresses that may not be fetched, `PageGone`, and `FetchFailed` for the rest.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._follow(address, known, folder)
        except TimeoutError as error:
            raise FetchFailed(f"it took longer than {self._settings.timeout_s:g} s") from error
        except httpx.TimeoutException as error:
            raise FetchFailed(f"the server was silent for {self._settings.idle_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise FetchFailed(f"the server could not be spoken to ({error or type(error).__name__})") from error

    async def _follow(self, address: str, known: Validators, folder: Path) -> Fetched | None:
        url = checked_url(address, self._settings)
        for _ in range(1 + _MOST_REDIRECTS):
            request = self._client.build_request("GET", url, headers=_conditions(known))
            response = await self._client.send(request, stream=True)
            try:
                target = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not target:
                    return await self._kept(response, url, known, folder)
            finally:
                await response.aclose()
                self._client.cookies.clear()
            was_encrypted = url.scheme == "https"
            url = checked_url(str(url.join(target)), self._settings)
            if was_encrypted and url.scheme != "https":
                raise FetchRefused("it leads from https to http")
        raise FetchFailed(f"it was redirected more than {_MOST_REDIRECTS} times")

    async def _kept(self, response: httpx.Response, url: httpx.URL, known: Validators, folder: Path) -> Fetched | None:
        if response.status_code == 304 and known != Validators():
            return None
        if response.status_code in (404, 410):
            raise PageGone(f"the server says {response.status_code}")
        if response.status_code != 200:
            raise FetchFailed(f"the server says {response.status_code}")
        suffix, charset = _kind(response.headers.get("content-type", ""), url)
        path = folder / f"page{suffix}"
        folder.mkdir(parents=True)
        decoder = _decoder(charset) if suffix in _TEXTS else None
        limit = self._settings.max_mb * 2**20
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            if decoder is not None:
                digest.update(codecs.BOM_UTF8)
                file.write(codecs.BOM_UTF8)  # the server's word on the encoding goes before the page's own
            async for piece in _unpacked(response):
                size += len(piece)
                if size > limit:
                    raise FetchFailed(f"it is larger than {limit // 2**20} MiB (ANSWERDESK_FETCH__MAX_MB)")
                piece = piece if decoder is None else decoder.decode(piece).encode()
                digest.update(piece)
                file.write(piece)
        validators = Validators(response.headers.get("etag", "")[:500], response.headers.get("last-modified", "")[:100])
        return Fetched(path, digest.hexdigest(), validators)


class _CheckedTransport(httpx.AsyncBaseTransport):
    """Resolves a name once, checks what it gets, and connects to just that."""

    def __init__(self, inner: httpx.AsyncBaseTransport, settings: FetchSettings, resolve: Resolve) -> None:
        self._inner = inner
        self._settings = settings
        self._resolve = resolve

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = checked_url(str(request.url), self._settings)
        try:
            addresses = await self._resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{url.host} has no address") from error
        if not addresses:
            raise httpx.ConnectError(f"{url.host} has no address")
        for address in addresses:  # one that is not allowed spoils all: which of them is taken must not matter
            require_allowed(address, self._settings)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=addresses[0]),
            headers=request.headers,  # with Host as it was asked for
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.host},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _conditions(known: Validators) -> dict[str, str]:
    given = {"if-none-match": known.etag, "if-modified-since": known.last_modified}
    return {name: value for name, value in given.items() if value}


def _kind(content_type: str, url: httpx.URL) -> tuple[str, str]:
    """Extension and charset by the Content-Type, or by the address where there is none worth the name."""
    header = Message()
    header["content-type"] = content_type
    named = header.get_content_type() if content_type.strip() else ""
    charset = header.get_content_charset("") if named else ""
    suffix = PurePosixPath(url.path).suffix.lower()
    if named in _SUFFIXES:
        told = _SUFFIXES[named]
        return (suffix if suffix in _TOLD_MORE.get(told, ()) else told), charset
    if named in _UNTOLD and suffix in SUPPORTED_SUFFIXES:
        return suffix, ""
    raise FetchFailed(f"the server calls it {named or 'nothing'}, which cannot be read")


def _decoder(charset: str) -> codecs.IncrementalDecoder | None:
    """For pages that say in the header alone that they are not UTF-8."""
    try:
        name = codecs.lookup(charset).name if charset else "utf-8"
        text_encoding = codecs.getincrementaldecoder(name)("replace")
        text_encoding.decode(b"")
    except (LookupError, TypeError, AssertionError) as error:
        raise FetchFailed(f"its encoding {charset!r} is not known") from error
    return None if name in ("utf-8", "ascii") else text_encoding


async def _unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body in pieces of at most a mebibyte, however small the gzip that they come from."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        raise FetchFailed(f"the server packed it as {encoding}, although it was not asked to")
    unzip = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    async for raw in response.aiter_raw():
        if unzip is None:
            yield raw
            continue
        try:
            while raw and not unzip.eof:
                yield unzip.decompress(raw, 2**20)
                raw = unzip.unconsumed_tail
        except zlib.error as error:
            raise FetchFailed("what the server packed cannot be unpacked") from error
    if unzip is not None and not unzip.eof:
        raise FetchFailed("what the server packed was cut off")
