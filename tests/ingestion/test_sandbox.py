"""Parsing in a process of its own: what files that crash, hang, eat memory or lie cost, and what they do not."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

import pytest

from ingestion.confined import sandbox_process
from ingestion.confined.sandbox import Sandbox, SandboxLimits
from ingestion.confined.sandbox_process import ChildEnded, ParserProcess
from ingestion.errors import BrokenFile, Cancelled, ParserFailed, TooLarge, TransientError
from ingestion.parsers.base import Limits, Resume, Source
from ingestion.reader import HereReader, Item
from ingestion.shown.page_request import PDF, DrawRequest, PageSource
from ingestion.types import DocumentStart, ParsedPage, RecordFailed

SHORT = SandboxLimits(memory_mb=256, page_s=1.0, document_s=20.0)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_child")
    with Sandbox(SHORT) as sandbox:
        yield sandbox


def script(tmp_path: Path, *lines: str, suffix: str = ".paged") -> Path:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}{suffix}"
    path.write_text("\n".join(lines))
    return path


def nothing() -> None:
    return


def read(reader: Sandbox | HereReader, path: Path, resume: Resume | None = None, **limits: int) -> list[Item]:
    return list(reader.read(Source(path, path.name), Limits(**limits), resume or Resume(), nothing))


def pages_of(items: Sequence[Item]) -> list[ParsedPage]:
    return [item for item in items if isinstance(item, ParsedPage)]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "crashed (SIGSEGV)"),
        ("hang", "had not finished after 1 seconds"),
        ("burn", "had not finished after 1 seconds"),
        ("eat", "needed more than 256 MB of memory"),
        ("die", "was killed from outside"),
        ("close", "stopped answering"),
        ("exit", "ended unexpectedly (status 3)"),
        ("forge", "sent what nobody can read"),
        ("raise", "came upon something unexpected (ArithmeticError: out of luck)"),
    ],
)
def test_a_page_that_kills_the_parser_is_left_out(hostile: Sandbox, tmp_path: Path, what: str, reason: str) -> None:
    items = read(hostile, script(tmp_path, "one", "two", what, "four", "five"))
    assert items[0] == DocumentStart("0.paged", "Scripted", 5, media_type="text/scripted")
    pages = pages_of(items)
    assert [page.number for page in pages] == [1, 2, 3, 4, 5]
    assert [page.number for page in pages if page.warning] == [3]
    assert reason in (pages[2].warning or "")
    assert "Export the file again" in (pages[2].warning or "")
    assert [page.text for page in pages] == ["one under []\n", "two under \n", "", "four under \n", "five under \n"]
    assert read(hostile, script(tmp_path, "next"))  # and the next file is read as if nothing had been


def test_a_fresh_parser_is_told_the_sections_that_are_open(hostile: Sandbox, tmp_path: Path) -> None:
    pages = pages_of(read(hostile, script(tmp_path, "one", "once:die", "three")))
    assert [page.text for page in pages] == ["one under []\n", "once:die under ['after 1']\n", "three under \n"]
    path = script(tmp_path, "one", "two", "three")
    resumed = pages_of(read(hostile, path, Resume(1, ((0, 0, "Chapter"),))))
    assert [page.text for page in resumed] == ["two under ['Chapter']\n", "three under \n"]


def test_someone_else_killing_the_parser_costs_nothing(hostile: Sandbox, tmp_path: Path) -> None:
    pages = pages_of(read(hostile, script(tmp_path, "one", "once:die", "once:die", "four")))
    assert [page.number for page in pages] == [1, 2, 3, 4]
    assert not any(page.warning for page in pages)
    assert len(pages_of(read(hostile, script(tmp_path, "one", "two")))) == 2


def test_a_parser_that_died_while_idle_is_replaced(hostile: Sandbox, tmp_path: Path) -> None:
    read(hostile, script(tmp_path, "one"))
    process = hostile._kept.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(0.05)
    assert len(pages_of(read(hostile, script(tmp_path, "one", "two")))) == 2
    assert hostile._kept.process is not None
    assert hostile._kept.process.pid != process.pid


def test_a_file_without_pages_that_kills_the_parser_fails(hostile: Sandbox, tmp_path: Path) -> None:
    for what, reason in (("crash", "SIGSEGV"), ("hang", "1 seconds"), ("eat", "256 MB"), ("raise", "out of luck")):
        with pytest.raises(ParserFailed, match=reason) as caught:
            read(hostile, script(tmp_path, what, suffix=".whole"))
        assert "save it again" in str(caught.value)
    with pytest.raises(TransientError, match="tried again"):
        read(hostile, script(tmp_path, "one", "die", suffix=".whole"))


def test_too_many_bad_pages_fail_the_file(hostile: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ParserFailed, match=r"Too many pages .* page 6"):
        read(hostile, script(tmp_path, *["crash"] * 20))
    lines = (["crash"] + ["fine"] * 120) * 8  # not too many for a long file
    assert sum(bool(page.warning) for page in pages_of(read(hostile, script(tmp_path, *lines)))) == 8


def archive(tmp_path: Path, members: Mapping[str, str | bytes]) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def told(items: Sequence[Item]) -> list[str]:
    """Documents by name, pages by text or warning, failures by name and reason."""
    return [
        item.external_id if isinstance(item, DocumentStart)
        else (item.warning or item.text).strip() if isinstance(item, ParsedPage)
        else f"{item.external_id} failed: {item.error}"
        for item in items
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "reason"),
    [("crash", "SIGSEGV"), ("hang", "1 seconds"), ("eat", "256 MB"), ("raise", "out of luck"), ("exit", "status 3")],
)
def test_a_member_that_kills_the_parser_fails_alone(hostile: Sandbox, tmp_path: Path, what: str, reason: str) -> None:
    inner = archive(tmp_path, {"0.whole": what, "1.whole": "inside"}).read_bytes()
    path = archive(tmp_path, {"a.whole": "first", "b.whole": f"cut\n{what}", "c.zip": inner, "d.whole": "last"})
    items = told(read(hostile, path))
    assert [item for item in items if " failed" not in item] == [
        "a.whole", "first under []", "b.whole", "cut under []", "c.zip/0.whole", "c.zip/1.whole", "inside under []",
        "d.whole", "last under []",
    ]  # fmt: skip
    failures = [item for item in items if " failed" in item]
    assert [failure.split(" failed")[0] for failure in failures] == ["b.whole", "c.zip/0.whole"]
    assert all(reason in failure and "save it again" in failure for failure in failures)
    assert items.index(failures[0]) == 4  # right after what had come of it


def test_a_page_of_a_member_that_kills_the_parser_costs_only_the_page(hostile: Sandbox, tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.paged": "one\ncrash\nthree", "b.paged": "one\nexit", "c.whole": "end"})
    items = [item.split(":")[0] for item in told(read(hostile, path))]
    unread = "This page could not be read"
    assert items == [
        "a.paged", "one under []", unread, "three under", "b.paged", "one under []", unread, "c.whole", "end under []"
    ]  # fmt: skip


def test_known_members_are_not_opened_whatever_the_others_do(hostile: Sandbox, tmp_path: Path) -> None:
    """Also by the children that come after one which died of a member, and of a member's page."""
    members = {
        "a.whole": "exit", "b.whole": "crash", "c.paged": "one\ncrash\nthree", "d.whole": "hang", "e.whole": "end"
    }  # fmt: skip
    known = {name: sha256(members[name].encode()).hexdigest() for name in ("b.whole", "d.whole")}
    items = [item.split(":")[0] for item in told(read(hostile, archive(tmp_path, members), Resume(known=known)))]
    assert items == [
        "a.whole", "a.whole failed", "b.whole", "c.paged", "one under []", "This page could not be read", "three under",
        "d.whole", "e.whole", "end under []",
    ]  # fmt: skip


def test_an_archive_of_which_too_much_is_lost_fails(hostile: Sandbox, tmp_path: Path) -> None:
    path = archive(tmp_path, {f"{number:02}.whole": "exit" if number else "fine" for number in range(40)})
    reading = hostile.read(Source(path, "a.zip"), Limits(), Resume(), nothing)
    items = list(islice(reading, 42))
    assert told(items)[:2] == ["00.whole", "fine under []"]
    assert sum(isinstance(item, RecordFailed) for item in items) == 20
    with pytest.raises(ParserFailed, match=r"Too many files of this archive .* the last of them 2\d\.whole"):
        list(reading)


def test_a_member_with_too_much_text_fails_alone(hostile: Sandbox, tmp_path: Path) -> None:
    long = "\n".join(["a line of text"] * 20)
    items = told(read(hostile, archive(tmp_path, {"a.whole": long, "b.whole": "short"}), document_characters=100))
    assert items[-3].startswith("a.whole failed: This document has more than 100 characters")
    assert items[-2:] == ["b.whole", "short under []"]


def test_a_file_that_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_child")
    with (
        Sandbox(SandboxLimits(page_s=30, document_s=1.0, more_a_page_s=0)) as sandbox,
        pytest.raises(ParserFailed) as caught,
    ):
        read(sandbox, script(tmp_path, "one", "hang"))
    assert "after 1 pages" in str(caught.value)
    assert "PARSER_TIMEOUT_S" in str(caught.value)


def test_each_page_read_gives_a_file_more_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_child")
    clock = count(step=10)
    monkeypatch.setattr("ingestion.confined.sandbox.monotonic", lambda: next(clock))  # ten seconds for every frame
    path = script(tmp_path, "one", "two", "three", "four", "nap")
    with Sandbox(SandboxLimits(page_s=1000, document_s=50, more_a_page_s=60)) as sandbox:
        assert len(pages_of(read(sandbox, path))) == 5
    with (
        Sandbox(SandboxLimits(page_s=1000, document_s=50, more_a_page_s=0)) as sandbox,
        pytest.raises(ParserFailed, match="more than 50 seconds to read: after 4 pages it was given up"),
    ):
        read(sandbox, path)


def test_a_parser_that_takes_no_request_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_drawer")
    monkeypatch.setattr(sandbox_process, "_SECONDS_TO_LISTEN", 0.2)
    process = ParserProcess(256, 2**20)
    try:
        process.ask(DrawRequest(PageSource(Path("hang"), PDF, 1), ()))
        with pytest.raises(ChildEnded, match="had not taken its request") as ended:
            process.ask(DrawRequest(PageSource(Path("next"), PDF, 1, ((1, 2, 3),) * 100_000), ()))  # more than a pipe
        assert ended.value.is_foreign, "nothing is known against the page that it did not take"
        assert not process.is_alive()
    finally:
        process.kill()


def test_what_parsers_raise_comes_through(hostile: Sandbox, tmp_path: Path) -> None:
    process = None
    for what, suffix, kind, message in (
        ("broken", ".paged", BrokenFile, r"Bent beyond repair. Straighten it\."),
        ("later", ".paged", TransientError, r"The disk is tired\."),
        ("raise", ".whole", ParserFailed, r"ArithmeticError: out of luck"),
    ):
        with pytest.raises(kind, match=message):
            read(hostile, script(tmp_path, "one", what, suffix=suffix))
        process = process or hostile._kept.process
        assert hostile._kept.process is process  # it has done nothing wrong


def test_what_parsers_print_goes_nowhere(hostile: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(pages_of(read(hostile, script(tmp_path, "print", "two")))) == 2
    assert capfd.readouterr() == ("", "")


def test_the_size_of_the_worker_is_not_held_against_the_parser(hostile: Sandbox, tmp_path: Path) -> None:
    worker = bytearray(b"1") * (400 * 2**20)  # more than the parser may have; the system counts it at the fork
    del worker
    path = script(tmp_path, "one", "crash", "three")
    assert any("SIGSEGV" in (page.warning or "") for page in pages_of(read(hostile, path)))
    read(hostile, script(tmp_path, "one"))
    assert hostile._kept.process is not None


def test_too_much_text_is_refused(hostile: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="100 characters"):
        read(hostile, script(tmp_path, *["a line of text"] * 20), document_characters=100)


def test_a_file_that_is_left_costs_no_new_process(hostile: Sandbox, tmp_path: Path) -> None:
    path = script(tmp_path, *["line"] * 10_000)
    for _ in range(3):
        items = hostile.read(Source(path, "x"), Limits(), Resume(), nothing)
        assert len(list(islice(items, 5))) == 5
        items.close()  # type: ignore[attr-defined]
        assert hostile._kept.process is not None
    assert hostile._kept.process.files == 3
    hanging = hostile.read(Source(script(tmp_path, "one", "hang"), "x"), Limits(), Resume(), nothing)
    assert len(list(islice(hanging, 2))) == 2
    time.sleep(0.5)  # by now it hangs, and does not hear that nobody wants the rest
    hanging.close()  # type: ignore[attr-defined]
    assert hostile._kept.process is None


def test_whoever_waits_may_stop(hostile: Sandbox, tmp_path: Path) -> None:
    def stop() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(hostile.read(Source(script(tmp_path, "hang"), "x"), Limits(), Resume(), stop))


@pytest.mark.parametrize("what", ["fork", "orphan"])
def test_nothing_is_left_of_a_parser_that_started_others(hostile: Sandbox, tmp_path: Path, what: str) -> None:
    process_ids = set(_children_of_all())
    read(hostile, script(tmp_path, "one", what))
    hostile.close()
    deadline = time.monotonic() + 30
    while set(_children_of_all()) - process_ids and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in set(_children_of_all()) - process_ids if "sleep 1000" in _command(pid)]


def test_the_parser_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from ingestion.confined import sandbox_process\n"
        "from ingestion.parsers.base import Limits, Resume, Source\n"
        "from ingestion.confined.sandbox import Sandbox, SandboxLimits\n"
        "sandbox_process.CHILD = 'tests.ingestion.hostile_child'\n"
        "items = (sandbox := Sandbox(SandboxLimits())).read(\n"
        "    Source(Path(sys.argv[1]), 'x'), Limits(), Resume(), lambda: None)\n"
        "next(items), next(items)\n"
        "print(sandbox._kept.process.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    path = script(tmp_path, "one", "burn")
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert "hostile_child" in _command(child)
        parent.kill()
    deadline = time.monotonic() + 30
    while "hostile_child" in _command(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_parser_knows_no_secret_and_holds_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSWERDESK_DATABASE__URL", "postgresql://secret")
    (tmp_path / "a.md").write_text("# A\n\nText.")
    with (tmp_path / "open.db").open("w") as database, Sandbox(SandboxLimits(memory_mb=300)) as sandbox:
        os.set_inheritable(database.fileno(), True)
        read(sandbox, tmp_path / "a.md")
        assert sandbox._kept.process is not None
        proc = Path(f"/proc/{sandbox._kept.process.pid}")
        assert b"ANSWERDESK" not in (proc / "environ").read_bytes()
        targets = [os.readlink(entry) for entry in (proc / "fd").iterdir()]
        assert all(target.startswith(("pipe:", "/dev/null")) for target in targets)
        limits = {line[:26].strip(): line[26:].split()[0] for line in (proc / "limits").read_text().splitlines()}
        assert limits["Max data size"] == str(300 * 2**20)
        assert limits["Max core file size"] == "0"
        assert os.getpriority(os.PRIO_PROCESS, sandbox._kept.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_real_formats_come_through_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "---\ntitle: Kettle\n---\n# 水壶 \U0001f600\n\nPress.\n\n1. One\n2. Two\n\n```\ncode\n```\n"
    )
    (tmp_path / "b.html").write_text("<title>B</title><h1 id=x>One</h1><p>Text</p><table><tr><td>1<td>2</table>")
    (tmp_path / "c.jsonl").write_text('{"_id": "1", "text": "One.", "n": 1.5, "tags": ["a"]}\nnonsense\n')
    (tmp_path / "d.txt").write_text("Plain\n\ntext")
    with Sandbox(SandboxLimits()) as sandbox:
        for name in ("a.md", "b.html", "c.jsonl", "d.txt"):
            ours, theirs = read(sandbox, tmp_path / name), read(HereReader(), tmp_path / name)
            assert [repr(item) for item in ours] == [repr(item) for item in theirs]
        assert sandbox._kept.process is not None
        assert sandbox._kept.process.files == 4


def _children_of_all() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
