"""Opens files for the parsers: sizes and packing checked before reading, characters decoded, faults named.

Owns how bytes become text. Knows no format.
"""

import codecs
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from charset_normalizer import from_bytes

from ingestion.errors import BrokenFile, EmptyFile, TooLarge, TransientError, UnsupportedType
from ingestion.parsers.base import Limits

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHER_PACKING = {9: "Deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
_BIG5 = ("big5hkscs", "cp950")
_WIDER_CHINESE = {
    **dict.fromkeys(("big5", "big5hkscs", "cp950"), _BIG5),
    **dict.fromkeys(("gb2312", "gbk", "gb18030"), ("gb18030",)),
}
"""By what an encoding was taken for: those that have all its characters and more."""

_SAMPLE = 200_000
_ENOUGH_HANZI = 20
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e\u00a0-\u00ff\u2010-\u2027\u3000-\u303f\u4e00-\u9fff\uff01-\uff5e]")


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader]:
    """The file, open; what the system reports while it is read becomes a `TransientError`."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise TransientError(f"{path.name} could not be read: {error.strerror or error}") from error


def check_size(path: Path, limits: Limits) -> None:
    """Raises `EmptyFile` or `TooLarge`, without reading the file, or `TransientError` when it has gone."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TransientError(f"{path.name} could not be read: {error.strerror or error}") from error
    if size == 0:
        raise EmptyFile(f"{path.name} is empty: upload it again, the transfer may have been cut off")
    if size > limits.file_bytes:
        raise TooLarge(
            f"{path.name} has {size / 2**20:,.1f} MB, the limit is {limits.file_bytes / 2**20:,.1f} MB:"
            " split the file, or raise the limit in the settings"
        )


def check_packing(member: zipfile.ZipInfo, name: str) -> None:
    """Raises `UnsupportedType` for a member of a ZIP file that zipfile would not unpack piece by piece.

    Of bzip2 and LZMA it unpacks all that a read has let in at once: some hundred bytes become hundreds of megabytes.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        kind = _OTHER_PACKING.get(member.compress_type, f"method {member.compress_type}")
        shown = "".join(character if character.isprintable() else "?" for character in name)  # damage, or malice
        raise UnsupportedType(f"{shown} is packed by {kind}: pack it again by the usual method, called Deflate")


def read_bytes(path: Path, limits: Limits) -> bytes:
    """The whole file. Raises as `check_size` does."""
    check_size(path, limits)
    with reading(path) as file:
        return file.read()


def decode(content: bytes, name: str) -> str:
    """Text in UTF-8, UTF-16, UTF-32 (with a byte order mark), GB18030 (of which GBK is a part) or Big5.

    Newlines become `\\n`.

    Without a mark the encoding is the first that decodes all bytes to text that looks like writing.
    Raises `BrokenFile` for anything else.
    """
    text = _decoded(content, name)
    if _CONTROLS.search(text):
        if len(_CONTROLS.findall(text)) > len(text) / 100:
            raise BrokenFile(f"{name} is not text, it holds binary data: upload the original document instead")
        text = _CONTROLS.sub(" ", text)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes, name: str) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            try:
                return content[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise BrokenFile(
                    f"{name} says it is {encoding} but breaks off or is damaged ({error}): save it again, as UTF-8"
                ) from error
    if b"\x00" in content:
        candidates = [("utf-16-le", _looks_like_writing), ("utf-16-be", _looks_like_writing)]
    else:
        candidates = [("utf-8", lambda text: True), ("gb18030", _looks_simplified)]
    for encoding, is_plausible in candidates:
        text = _in(encoding, content)
        if text is not None and is_plausible(text):
            return text
    for encoding in () if b"\x00" in content else _other_chinese(content):
        if (text := _in(encoding, content)) is not None:
            return text
    raise BrokenFile(
        f"{name} is not text in UTF-8, UTF-16, GBK or Big5: save it as UTF-8, or upload the original document instead"
    )


def _in(encoding: str, content: bytes) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _looks_like_writing(text: str) -> bool:
    return len(_PLAIN.findall(text)) >= 0.9 * len(text)


def _looks_simplified(text: str) -> bool:
    """Nearly all bytes decode as GB18030; in other encodings than that they become characters that GB 2312 lacks.

    Or kana and Greek letters, as Big5 and Japanese do, or Korean: its syllables end where half of the Chinese begin.
    """
    foreign = [character for character in text[:_SAMPLE] if not character.isascii()]
    leads = "".join(foreign).encode("gb2312", "ignore")[::2]
    hanzi = [lead for lead in leads if lead >= 0xB0]
    is_korean = len(hanzi) >= _ENOUGH_HANZI and 10 * sum(lead > 0xC8 for lead in hanzi) < len(hanzi)
    return len(hanzi) + sum(lead <= 0xA3 for lead in leads) >= 0.8 * len(foreign) and not is_korean


def _other_chinese(content: bytes) -> Iterator[str]:
    """Encodings of traditional characters, if the bytes look like one; of other scripts none is guessed."""
    end = content.find(b"\n", _SAMPLE)
    found = from_bytes(content[: end if end != -1 else None]).best()
    if found is not None:
        yield from _WIDER_CHINESE.get(found.encoding, ())
