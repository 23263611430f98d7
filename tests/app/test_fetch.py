"""Nobody reaches with our help what only we can reach, and no server holds or fills us."""

import asyncio
import gzip
import hashlib
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.settings import FetchSettings
from app.sync.addresses import FetchRefused, checked_url, require_allowed
from app.sync.fetch import Fetched, Fetcher, FetchFailed, PageGone, Validators, resolve
from ingestion.detect import MEDIA_TYPES

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """A local web server; its pages are functions, and it keeps what it was asked."""

    port: int = 0
    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str, host: str = "docs.test") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            made.pages[self.path](self)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


def page(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"content_type": "text/html"} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(target: str) -> Answer:
    return page(b"", 302, location=target)


async def loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def fetch(site: Site, url: str, folder: Path, known: Validators | None = None, **settings: Any) -> Fetched | None:
    given = FetchSettings(**{"allow_private": True, "ports": (site.port,), **settings})

    async def run() -> Fetched | None:
        async with Fetcher(given, loopback) as fetcher:
            return await fetcher.fetch(url, known or Validators(), folder / "page")

    return asyncio.run(run())


PRIVATE = """
    127.0.0.1 127.8.9.1 10.0.0.1 172.16.5.4 192.168.1.1 100.64.0.1 0.0.0.0 0.1.2.3 169.254.169.254
    192.0.0.8 198.18.0.1 192.0.2.1 224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0
    fc00::1 fd00:ec2::254 fec0::1 ff02::1 ff0e::1 2001:db8::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
    ::ffff:0:10.0.0.1 ::127.0.0.1 2002:7f00:1:: 2002:a00:1::1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe
    64:ff9b:1::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:0:7f00:1::
""".split()  # noqa: SIM905
PUBLIC = """
    93.184.216.34 1.1.1.1 2606:4700:4700::1111 ::ffff:1.1.1.1 64:ff9b::1.1.1.1 2002:101:101::1
""".split()  # noqa: SIM905
NEVER = """
    169.254.169.254 0.0.0.0 224.0.0.1 fe80::1 fd00:ec2::254 ::ffff:169.254.1.1 168.63.129.16 100.100.100.200
    64:ff9b::168.63.129.16
""".split()  # noqa: SIM905
LOOPBACK = """
    127.0.0.1 2130706433 0x7f000001 0177.0.0.1 0x7f.1 127.1 017700000001 [::1] [::ffff:7f00:1] localhost
""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_internet_is_refused(address: str) -> None:
    with pytest.raises(FetchRefused):
        require_allowed(address, FetchSettings())


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_allowed(address: str) -> None:
    require_allowed(address, FetchSettings())


@pytest.mark.parametrize("address", NEVER)
def test_the_intranet_does_not_include_metadata_servers(address: str) -> None:
    with pytest.raises(FetchRefused):
        require_allowed(address, FetchSettings(allow_private=True))


def test_the_intranet_can_be_allowed() -> None:
    for address in ("127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "fc00::5", "::ffff:10.0.0.1"):
        require_allowed(address, FetchSettings(allow_private=True))


@pytest.mark.parametrize(
    "host",
    LOOPBACK,
)
def test_no_spelling_of_loopback_is_fetched(site: Site, tmp_path: Path, host: str) -> None:
    """By the system's own resolver, which knows the old spellings of numbers too."""

    async def run() -> None:
        async with Fetcher(FetchSettings(ports=(site.port,)), resolve) as fetcher:
            await fetcher.fetch(f"http://{host}:{site.port}/", Validators(), tmp_path / "page")

    with pytest.raises((FetchRefused, FetchFailed)):
        asyncio.run(run())
    assert site.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://docs.test/a",
        "file:///etc/passwd",
        "gopher://docs.test:80/",
        "//docs.test/a",
        "docs.test/a",
        "http:///a",
        "http://user:secret@docs.test/",
        "http://user@docs.test/",
        "http://docs.test:22/",
        "http://docs.test:8080/",
        "http://docs.test:99999/",
        "http://[::1/",
        "http://docs.test/" + "a" * 1000,
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused):
        checked_url(url, FetchSettings())


def test_a_name_with_one_private_address_is_refused_whatever_its_order(site: Site, tmp_path: Path) -> None:
    for answer in (["93.184.216.34", "10.0.0.1"], ["10.0.0.1", "93.184.216.34"]):

        async def both(host: str, port: int, answer: list[str] = answer) -> Sequence[str]:
            return answer

        async def run(resolve: Any = both) -> None:
            async with Fetcher(FetchSettings(ports=(site.port,)), resolve) as fetcher:
                await fetcher.fetch(site.url("/"), Validators(), tmp_path / "page")

        with pytest.raises(FetchRefused, match="private address"):
            asyncio.run(run())


def test_a_name_is_resolved_once_and_the_connection_goes_there(site: Site, tmp_path: Path) -> None:
    """A name that points elsewhere the second time (DNS rebinding) gets no second time."""
    site.pages["/"] = page(b"<p>Lamp</p>")
    asked: list[str] = []

    async def once(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async def run() -> None:
        async with Fetcher(FetchSettings(allow_private=True, ports=(site.port,)), once) as fetcher:
            await fetcher.fetch(site.url("/", "rebinding.test"), Validators(), tmp_path / "page")

    asyncio.run(run())
    assert asked == ["rebinding.test"]
    assert site.asked[0][1]["host"] == f"rebinding.test:{site.port}", "the server is asked for the name"


def test_a_page_becomes_a_file(site: Site, tmp_path: Path) -> None:
    site.pages["/a"] = page(b"<p>Lamp</p>", content_type="text/html; charset=utf-8", etag='"v1"')
    fetched = fetch(site, site.url("/a#part"), tmp_path)
    assert fetched is not None
    assert (fetched.path.name, fetched.path.read_bytes()) == ("page.html", b"<p>Lamp</p>")
    assert fetched.content_hash == hashlib.sha256(b"<p>Lamp</p>").hexdigest()
    assert fetched.validators == Validators(etag='"v1"')
    (path, headers) = site.asked[0]
    assert (path, headers["user-agent"]) == ("/a", "Answerdesk")
    assert not {"cookie", "authorization", "referer"} & headers.keys()


def test_the_servers_word_on_the_encoding_is_kept(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = page("<p>说明书</p>".encode("gb18030"), content_type="text/html; charset=gb2312")
    fetched = fetch(site, site.url("/"), tmp_path)
    assert fetched is not None
    assert fetched.path.read_text(encoding="utf-8-sig") == "<p>说明书</p>"


def test_every_format_is_known_by_its_media_type(site: Site, tmp_path: Path) -> None:
    for number, (suffix, media_type) in enumerate(MEDIA_TYPES.items()):
        site.pages[f"/plain{number}"] = page(b"x", content_type=media_type)
        site.pages[f"/file{suffix}"] = page(b"x", content_type="application/octet-stream")
        by_type = fetch(site, site.url(f"/plain{number}"), tmp_path / f"type{number}")
        by_name = fetch(site, site.url(f"/file{suffix}"), tmp_path / f"name{number}")
        assert by_type is not None
        assert by_name is not None
        assert MEDIA_TYPES[by_type.path.suffix] == media_type
        assert by_name.path.suffix == suffix


@pytest.mark.parametrize(
    ("content_type", "name", "suffix"),
    [
        ("text/plain", "a.csv", ".csv"),
        ("text/plain", "a.pdf", ".txt"),
        ("application/zip", "a.xlsx", ".xlsx"),
        ("application/zip", "a.md", ".zip"),
        ("application/vnd.ms-excel.sheet.macroEnabled.12", "a", ".xlsm"),
        ("text/tab-separated-values; charset=utf-8", "a", ".tsv"),
    ],
)
def test_the_address_may_say_more_than_the_media_type(
    site: Site, tmp_path: Path, content_type: str, name: str, suffix: str
) -> None:
    site.pages[f"/{name}"] = page(b"x", content_type=content_type)
    fetched = fetch(site, site.url(f"/{name}"), tmp_path)
    assert fetched is not None
    assert fetched.path.suffix == suffix


def test_an_unchanged_page_costs_a_304(site: Site, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        is_known = handler.headers.get("if-none-match") == '"v1"' and handler.headers.get("if-modified-since") == "then"
        page(b"" if is_known else b"new", 304 if is_known else 200)(handler)

    site.pages["/"] = answer
    assert fetch(site, site.url("/"), tmp_path, Validators('"v1"', "then")) is None
    site.pages["/"] = page(b"", 304)
    with pytest.raises(FetchFailed, match="304"):
        fetch(site, site.url("/"), tmp_path)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "port 80"),
        ("http://user:secret@docs.test:{port}/b", "password"),
        ("file:///etc/passwd", "must begin with http"),
        ("http://docs.test:22/", "port 22"),
    ],
)
def test_every_hop_is_checked(site: Site, tmp_path: Path, target: str, reason: str) -> None:
    site.pages["/"] = redirect(target.replace("{port}", str(site.port)))
    with pytest.raises(FetchRefused, match=reason):
        fetch(site, site.url("/"), tmp_path)


def test_a_hop_into_the_own_network_is_refused(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = redirect(f"http://inside.test:{site.port}/secret")

    async def names(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1" if host == "inside.test" else "127.0.0.1"]

    settings = FetchSettings(ports=(site.port,))

    async def run(monkey: pytest.MonkeyPatch) -> None:
        from app.sync import fetch as module

        monkey.setattr(module, "require_allowed", lambda a, s: None if a == "127.0.0.1" else require_allowed(a, s))
        async with Fetcher(settings, names) as fetcher:
            await fetcher.fetch(site.url("/"), Validators(), tmp_path / "page")

    with pytest.MonkeyPatch.context() as monkey, pytest.raises(FetchRefused, match=r"10\.0\.0\.1 is a private"):
        asyncio.run(run(monkey))


def test_redirects_are_followed_but_not_for_ever_and_carry_nothing(site: Site, tmp_path: Path) -> None:
    site.pages["/0"] = page(b"", 302, location="/1", set_cookie="session=1")
    for number in range(1, 5):
        site.pages[f"/{number}"] = redirect(f"/{number + 1}")
    site.pages["/5"] = page(b"<p>There</p>")
    fetched = fetch(site, site.url("/0"), tmp_path)
    assert fetched is not None
    assert fetched.path.read_bytes() == b"<p>There</p>"
    assert all("cookie" not in headers for _, headers in site.asked)
    site.pages["/5"] = redirect("/0")
    with pytest.raises(FetchFailed, match="more than 5 times"):
        fetch(site, site.url("/0"), tmp_path / "again")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (page(b"x", content_type="video/mp4"), "video/mp4, which cannot be read"),
        (page(b"x", content_type=""), "nothing, which cannot be read"),
        (page(b"x", content_type="text/html; charset=klingon"), "klingon"),
        (page(b"x", content_type="text/html; charset=rot13"), "rot13"),
        (page(b"x", 500), "500"),
        (page(b"x", 401), "401"),
        (page(b"x" * (2**20 + 1)), "larger than 1 MiB"),
        (page(gzip.compress(bytes(2**28)), content_encoding="gzip"), "larger than 1 MiB"),
        (page(gzip.compress(b"x" * 99)[:-9], content_encoding="gzip"), "cut off"),
        (page(b"no gzip at all", content_encoding="gzip"), "cannot be unpacked"),
        (page(zlib.compress(b"x"), content_encoding="deflate"), "packed it as deflate"),
        (page(b"x", content_encoding="gzip, gzip"), "packed it as gzip, gzip"),
    ],
)
def test_what_cannot_be_used_says_why(site: Site, tmp_path: Path, answer: Answer, reason: str) -> None:
    site.pages["/"] = answer
    with pytest.raises(FetchFailed, match=reason):
        fetch(site, site.url("/"), tmp_path, max_mb=1)


def test_a_page_that_is_gone_is_told_from_one_that_fails(site: Site, tmp_path: Path) -> None:
    for status in (404, 410):
        site.pages["/"] = page(b"", status)
        with pytest.raises(PageGone):
            fetch(site, site.url("/"), tmp_path)


@pytest.mark.parametrize("where", ["headers", "body", "silence"])
def test_a_server_that_drips_is_left(site: Site, tmp_path: Path, where: str) -> None:
    """A byte now and then defeats a limit on silence alone."""
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        if where == "body":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/html\r\n\r\n")
        elif where == "headers":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nx: ")
        while not stop.wait(0.05):
            if where != "silence":
                try:
                    handler.wfile.write(b"x")
                except OSError:
                    return

    site.pages["/"] = drip
    began = time.monotonic()
    with pytest.raises(FetchFailed, match=r"longer than 1 s|silent for"):
        fetch(site, site.url("/"), tmp_path, timeout_s=1.0, idle_s=0.5)
    stop.set()
    assert time.monotonic() - began < 60
