"""Pictures sent with a question: what may come in, checked to be what it says before anything else sees it.

Owns formats and limits. Pictures come as data URLs and in no other way: the server fetches nothing for anybody. Does
not know who looks at them.
"""

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Sequence
from typing import Self

from PIL import Image

from app.auth import MAX_JSON_BYTES
from app.errors import BadImage

MOST_IMAGES = 4
MOST_BYTES = 4 * 2**20
MOST_PIXELS = 20_000_000

_ROOM_FOR_TEXT = 2**20
MOST_BYTES_TOGETHER = (MAX_JSON_BYTES - _ROOM_FOR_TEXT) * 3 // 4
"""As much as goes through the gate: base64 makes four bytes of three, and the question comes with them."""

_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
_DATA_URL = re.compile(r"data:(?P<type>[a-z]+/[a-z0-9.+-]+);base64,(?P<data>[A-Za-z0-9+/]*={0,2})")


class Picture(str):
    """A data URL with its `digest`, made once: it is megabytes long, and asked for where others wait."""

    digest: str

    def __new__(cls, address: str) -> Self:
        made = super().__new__(cls, address)
        made.digest = hashlib.blake2b(address.encode(), digest_size=32).hexdigest()
        return made


def digest_of(address: str) -> str:
    """The same for a `Picture` and for its address as it comes from storage."""
    return address.digest if isinstance(address, Picture) else Picture(address).digest


def checked_images(addresses: Sequence[str]) -> tuple[Picture, ...]:
    """The same data URLs, each a whole PNG, JPEG, WebP or GIF picture within the limits.

    Raises `BadImage` that says which picture is wrong and why.
    """
    if len(addresses) > MOST_IMAGES:
        raise BadImage(f"A question may have {MOST_IMAGES} pictures; these are {len(addresses)}.")
    for number, address in enumerate(addresses, start=1):
        _check(f"Picture {number}", address)
    together = sum(_size_of(address.partition(",")[2]) for address in addresses)
    if together > MOST_BYTES_TOGETHER:
        raise BadImage(
            f"The pictures have {together / 2**20:.1f} MiB together; a question may have "
            f"{MOST_BYTES_TOGETHER / 2**20:g}. Send smaller ones."
        )
    return tuple(map(Picture, addresses))


def _size_of(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded.count("=", -2)


def _check(name: str, address: str) -> None:
    if re.match(r"https?:", address, re.IGNORECASE):
        raise BadImage(f"{name} is an address on the web, which is never fetched; send the picture as a data URL.")
    matched = _DATA_URL.fullmatch(address)
    if matched is None or matched["type"] not in _FORMATS:
        raise BadImage(
            f"{name} is not a data URL of a PNG, JPEG, WebP or GIF picture in base64 (data:image/png;base64,...)."
        )
    if _size_of(matched["data"]) > MOST_BYTES:
        raise BadImage(f"{name} is larger than {MOST_BYTES // 2**20} MiB; send a smaller one.")
    try:
        content = base64.b64decode(matched["data"], validate=True)
    except binascii.Error as error:
        raise BadImage(f"{name} is not valid base64; send it again.") from error
    _check_picture(name, content, _FORMATS[matched["type"]])


def _check_picture(name: str, content: bytes, format: str) -> None:
    """Opened as the format that it claims to be, and decoded only when its header promises a bounded size."""
    too_many = f"{name} has more than {MOST_PIXELS:,} pixels; send a smaller one."
    try:
        with Image.open(io.BytesIO(content), formats=[format]) as picture:
            pixels = picture.width * picture.height
            if pixels <= MOST_PIXELS:
                picture.load()
    except Image.DecompressionBombError as error:
        raise BadImage(too_many) from error
    except Exception as error:
        raise BadImage(f"{name} is not a {format} picture, or it is damaged.") from error
    if pixels > MOST_PIXELS:
        raise BadImage(too_many)
