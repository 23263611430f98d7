"""Pictures that are bombs, lie about their size, or break off."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

from PIL import Image


def picture_files() -> Iterator[tuple[str, bytes]]:
    good = {suffix: _saved(kind) for suffix, kind in _KINDS.items()}
    for suffix, content in good.items():
        for part in (1, 4, 7):
            yield f"picture-cut-{part}.{suffix}", content[: len(content) * part // 8]
        for seed in range(6):
            yield f"picture-bits-{seed}.{suffix}", _damaged(content, seed)
        yield f"picture-then-zeros.{suffix}", content[:40] + bytes(100_000)
    yield "sides-100000.png", _png(100_000, 100_000, zlib.compress(bytes(10_000_000), 9))
    yield "sides-2147483647.png", _png(2**31 - 1, 2**31 - 1, zlib.compress(bytes(1_000)))
    yield "sides-0.png", _png(0, 0, zlib.compress(b""))
    yield "line-of-200-million.png", _png(200_000_000, 1, zlib.compress(bytes(25_000_000), 9))
    yield "column-of-1-million.png", _png(1, 1_000_000, zlib.compress(bytes(2_000_000), 9))
    yield "texts-huge.png", _png(64, 64, zlib.compress(bytes(1_000)), _chunk(b"zTXt", b"a\0\0" + _zeros(100_000_000)))
    yield "profile-huge.png", _png(64, 64, zlib.compress(bytes(1_000)), _chunk(b"iCCP", b"a\0\0" + _zeros(100_000_000)))
    yield "pixels-packed.png", _png(9_000, 9_000, zlib.compress(bytes(9_000 * 1_126), 9))
    jpeg = bytearray(good["jpg"])
    frame = jpeg.index(b"\xff\xc0") + 5
    jpeg[frame : frame + 4] = b"\xff\xff\xff\xff"
    yield "sides-65535.jpg", bytes(jpeg)
    yield "markers-endless.jpg", good["jpg"][:2] + b"\xff\xe1\x00\x02" * 500_000 + good["jpg"][2:]
    tiff = good["tif"]
    directory = struct.unpack("<I", tiff[4:8])[0]
    entries = struct.unpack("<H", tiff[directory : directory + 2])[0]
    following = directory + 2 + 12 * entries
    yield "directory-follows-itself.tif", tiff[:following] + struct.pack("<I", directory) + tiff[following + 4 :]
    yield "directory-of-65535.tif", tiff[:directory] + b"\xff\xff" + tiff[directory + 2 :]
    yield "pages-300.tif", _pages(300)
    yield "sides-lie.bmp", good["bmp"][:18] + struct.pack("<ii", 2**31 - 1, -(2**31)) + good["bmp"][26:]


_KINDS = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF", "webp": "WEBP", "bmp": "BMP"}


def _saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def _pages(count: int) -> bytes:
    buffer = io.BytesIO()
    blank = Image.new("L", (8, 8), 255)
    blank.save(buffer, "TIFF", save_all=True, append_images=[blank] * (count - 1))
    return buffer.getvalue()


def _damaged(content: bytes, seed: int) -> bytes:
    damage = random.Random(seed)
    changed = bytearray(content)
    for _ in range(damage.randint(1, 30)):
        changed[damage.randrange(8, len(changed))] = damage.randrange(256)
    return bytes(changed)


def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def _png(width: int, height: int, pixels: bytes, *others: bytes) -> bytes:
    """One bit a pixel, whatever the sides claim (ISO/IEC 15948)."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), *others, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
