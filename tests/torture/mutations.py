"""Good files, damaged at random: the same damage for the same seed."""

import io
import random
import zipfile
from collections.abc import Callable, Iterator

from tests.torture.office_files import samples, zipped
from tests.torture.pdf_files import good

_TOKENS = (b"\0", b"<", b">", b'"', b"&", b"\xff\xff\xff\xff", b"-1", b"99999999999", b"<<", b"]", b"\n", b"\x80", b"{")


def mutations(count: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files of each format. Of packages every second one is damaged inside and packed again."""
    for name, content in [("good.pdf", good()), *samples()]:
        for seed in range(count):
            chance = random.Random(f"{name} {seed}")
            is_package = content.startswith(b"PK") and seed % 2
            damaged = _damaged_inside(content, chance) if is_package else damage(content, chance)
            yield f"mutation-{seed}.{name.rpartition('.')[2]}", damaged


def damage(content: bytes, chance: random.Random) -> bytes:
    """One to six of: bytes changed, a piece lost, repeated, moved, put in the place of another, or a token put in."""
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        content = chance.choice(_WAYS)(content, chance) or b"x"
    return content


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 4, 40))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _lose(content: bytes, chance: random.Random) -> bytes:
    start, end = _piece(content, chance)
    return content[:start] + content[end:]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    start, end = _piece(content, chance)
    return content[:end] + content[start:end] * chance.choice((1, 3, 200)) + content[end:]


def _copy_over(content: bytes, chance: random.Random) -> bytes:
    start, end = _piece(content, chance)
    place = chance.randrange(len(content))
    return content[:place] + content[start:end] + content[place + end - start :]


def _put_in(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + chance.choice(_TOKENS) * chance.choice((1, 1, 3_000)) + content[place:]


def _noise(content: bytes, chance: random.Random) -> bytes:
    start, end = _piece(content, chance)
    return content[:start] + chance.randbytes(end - start) + content[end:]


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _flip, _lose, _repeat, _copy_over, _put_in, _noise)


def _piece(content: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(content))
    return start, min(len(content), start + chance.choice((1, 8, 100, 2_000)))


def _damaged_inside(content: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    for name in chance.sample(sorted(parts), min(len(parts), chance.choice((1, 1, 2, 5)))):
        parts[name] = damage(parts[name] or b"x", chance)
    return zipped(parts)
