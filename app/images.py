"""Pictures sent with a question: what may come in, checked to be what it says before anything else sees it.

Owns formats and limits. Pictures come as data URLs and in no other way: the server fetches nothing for anybody. Does
not know who looks at them.
"""

import base64
import binascii
import io
import re
from collections.abc import Sequence

from PIL import Image

from app.errors import BadImage

MOST_IMAGES = 4
MOST_BYTES = 4 * 2**20
MOST_PIXELS = 20_000_000

_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
_DATA_URL = re.compile(r"data:(?P<type>[a-z]+/[a-z0-9.+-]+);base64,(?P<data>[A-Za-z0-9+/]*={0,2})")


def checked_images(addresses: Sequence[str]) -> tuple[str, ...]:
    """The same data URLs, each a whole PNG, JPEG, WebP or GIF picture within the limits.

    Raises `BadImage` that says which picture is wrong and why.
    """
    if len(addresses) > MOST_IMAGES:
        raise BadImage(f"A question may have {MOST_IMAGES} pictures; these are {len(addresses)}.")
    for number, address in enumerate(addresses, start=1):
        _check(f"Picture {number}", address)
    return tuple(addresses)


def _check(name: str, address: str) -> None:
    if re.match(r"https?:", address, re.IGNORECASE):
        raise BadImage(f"{name} is an address on the web, which is never fetched; send the picture as a data URL.")
    matched = _DATA_URL.fullmatch(address)
    if matched is None or matched["type"] not in _FORMATS:
        raise BadImage(
            f"{name} is not a data URL of a PNG, JPEG, WebP or GIF picture in base64 (data:image/png;base64,...)."
        )
    if len(matched["data"]) * 3 // 4 > MOST_BYTES:
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
