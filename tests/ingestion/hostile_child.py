"""A parser process whose parser does what its file says, one line a page. Run in the place of `confined.child`."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ingestion import reader
from ingestion.archives import ZipParser
from ingestion.confined import child
from ingestion.errors import BrokenFile, TransientError
from ingestion.parsers.base import Limits, Parser, Resume, Source
from ingestion.types import Block, BlockKind, DocumentStart, ParsedPage


class ScriptedParser:
    """Pages from a script. "once:WHAT" does WHAT only the first time that anybody comes to the line."""

    media_type = "text/scripted"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        yield from self.parse_from(source, limits, Resume())

    def parse_from(self, source: Source, limits: Limits, resume: Resume) -> Iterator[DocumentStart | ParsedPage]:
        lines = source.path.read_text().splitlines()
        yield DocumentStart(source.external_id, "Scripted", len(lines))
        for number, line in list(enumerate(lines, 1))[resume.pages :]:
            if number in resume.unreadable:
                yield ParsedPage(number, "", (), warning=resume.unreadable[number])
                continue
            resume.opening(number)
            once, _, what = line.rpartition(":")
            mark = source.path.with_name(f"{source.path.name}-{number}")
            if once and mark.exists():
                what = ""
            mark.touch()
            act(what)
            text = f"{line} under {[title for _, _, title in resume.sections] if number == resume.pages + 1 else ''}\n"
            block = Block(BlockKind.PARAGRAPH, 0, len(text) - 1, (line,))
            yield ParsedPage(number, text, (block,), open_sections=((0, 0, f"after {number}"),))


class UnpagedParser:
    """The same for a format that cannot be begun in the middle."""

    media_type = "text/scripted"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        return ScriptedParser().parse(source, limits)


def act(what: str) -> None:
    match what:
        case "hang":
            time.sleep(1000)
        case "burn":
            while True:
                pass
        case "crash":
            ctypes.string_at(0)
        case "eat":
            bytearray(1 << 40)
        case "grow":
            bytearray(b"1") * (300 * 2**20)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "print":
            os.write(1, b"not a frame" * 10_000)
            os.write(2, b"nor this")
        case "forge":
            os.write(child_pipe(), b"Z\x00\x00\x00\x01?")
        case "raise":
            raise ArithmeticError("out of luck")
        case "broken":
            raise BrokenFile("Bent beyond repair. Straighten it.")
        case "later":
            raise TransientError("The disk is tired.")
        case "fork":
            subprocess.Popen(["sleep", "1000"])
            time.sleep(1000)
        case "orphan":
            subprocess.Popen(["sleep", "1000"])
            os._exit(3)
        case "close":
            os.close(child_pipe())
            time.sleep(1000)
        case "nap":
            time.sleep(0.7)  # longer than its parent listens at a time


def child_pipe() -> int:
    """The number under which the child writes its frames: the highest open pipe."""
    return max(int(name) for name in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{name}").is_fifo())


def parser_for(path: Path, limits: Limits) -> Parser:
    if path.suffix == ".zip":
        return ZipParser(parser_for)
    return ScriptedParser() if path.suffix == ".paged" else UnpagedParser()


if __name__ == "__main__":
    reader.parser_for = parser_for  # type: ignore[assignment]
    child.main()
