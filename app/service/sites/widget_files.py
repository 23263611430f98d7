"""The widget's own files, as pages of other sites load them.

Owns the two addresses, which names there are, their caching, and that they go compressed to whom takes it. The files
are the user interface's (`ui/widget`), which this package does not import.
"""

import gzip
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from app.errors import NotFound

router = APIRouter(tags=["widget"])

LOADER: Final = "widget.js"
MAX_AGE_S: Final = 300
"""For so long a browser does not ask whether there is a newer one."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}(\.[a-z0-9_-]{1,20})?\.(?P<kind>js|css|svg|json)")
_CODING = re.compile(r"([a-z0-9*-]+)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*(?:,|$)")
_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}


@router.get("/widget.js", response_class=Response, responses={200: {"content": {"text/javascript": {}}}})
def get_widget_loader(request: Request) -> Response:
    """What a site's page loads."""
    return _file(LOADER, request)


@router.get("/widget/{file}", response_class=Response, responses={200: {"content": {"text/javascript": {}}}})
def get_widget_file(file: str, request: Request) -> Response:
    """What the widget loads when it is needed."""
    return _file(file, request)


@dataclass(frozen=True, slots=True)
class _Content:
    """As it goes over the wire. `tag` is a strong entity tag: the two encodings of a file have different ones."""

    body: bytes
    tag: str


def _file(name: str, request: Request) -> Response:
    """Only names of our own form are looked for, so that none leads out of the folder."""
    matched = _NAME.fullmatch(name)
    path = _folder() / name if matched else None
    if matched is None or path is None or not path.is_file():
        raise NotFound(f"The widget has no file {name!r}.", {"file": name})
    is_compressed = takes_gzip(request.headers.getlist("accept-encoding"))
    content = _content(path, path.stat().st_mtime_ns, is_compressed)
    headers = {"etag": content.tag, "cache-control": f"public, max-age={MAX_AGE_S}", "vary": "Accept-Encoding"}
    if content.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if is_compressed:
        headers["content-encoding"] = "gzip"
    return Response(content.body, media_type=_TYPES[matched["kind"]], headers=headers)


@lru_cache(maxsize=128)
def _content(path: Path, changed_at: int, is_compressed: bool) -> _Content:
    """`changed_at` makes that a file which was replaced is read again. The same file gives the same bytes always."""
    body = path.read_bytes()
    if is_compressed:
        body = gzip.compress(body, compresslevel=9, mtime=0)
    return _Content(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def takes_gzip(accepted: Sequence[str]) -> bool:
    """Whether an Accept-Encoding (RFC 9110, section 12.5.3) allows it. What is not said is not."""
    weights = dict(_CODING.findall(",".join(accepted).lower()))
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and float(weight or 1) > 0


def _folder() -> Path:
    found = find_spec("ui")
    if found is None or not found.submodule_search_locations:
        raise NotFound("The widget is not installed.")
    return Path(found.submodule_search_locations[0]) / "widget"
