"""Zipped folders: which files become documents, under which names, and what is refused."""

import io
import stat
import zipfile
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ingestion import archives
from ingestion.archives import Item, ZipParser, member_file, worth_reading
from ingestion.chunker import ChunkerSettings
from ingestion.detect import parser_for
from ingestion.errors import BrokenFile, EncryptedFile, TooLarge, UnsupportedType
from ingestion.parsers.base import Limits, Parser, Resume, Source
from ingestion.pipeline import ReadyDocument, ingest_source
from ingestion.types import Block, BlockKind, DocumentStart, ParsedPage, RecordFailed
from model_runtime.fakes import HashingEmbedder


def packed(*members: tuple[str | zipfile.ZipInfo, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read(folder: Path, content: bytes, limits: Limits = Limits()) -> tuple[dict[str, str], dict[str, str]]:
    """The text of each document, and the code of each failure, by external id."""
    path = folder / "a.zip"
    path.write_bytes(content)
    texts: dict[str, str] = {}
    failures: dict[str, str] = {}
    for item in parser_for(path, limits).parse(Source(path, "a.zip"), limits):
        match item:
            case DocumentStart():
                current = item.external_id
                assert len(item.content_hash) == 64
                texts[current] = ""
            case ParsedPage():
                texts[current] += item.text
            case RecordFailed():
                failures[item.external_id] = item.error.code
    return texts, failures


def test_each_file_is_a_document_named_by_its_path(tmp_path: Path) -> None:
    inner = packed(("deep.txt", "deep"), ("more.jsonl", '{"_id": "record", "text": "of the file"}\n'))
    content = packed(
        ("guide/b.md", "# B"),
        ("guide/a.txt", "a"),
        ("guide/inner.zip", inner),
        ("guide/style.css", "p {}"),
        ("guide/icon.png", "no picture"),
        ("guide/old.doc", "x"),
        ("guide/empty.txt", ""),
        ("__MACOSX/guide/._a.txt", "x"),
        (".DS_Store", "x"),
        ("guide/.git/config.txt", "x"),
    )
    texts, failures = read(tmp_path, content)
    assert texts == {
        "guide/a.txt": "a\n",
        "guide/b.md": "B\n",
        "guide/inner.zip/deep.txt": "deep\n",
        "record": "of the file\n",
    }
    assert list(texts) == ["guide/a.txt", "guide/b.md", "guide/inner.zip/deep.txt", "record"]
    assert failures == {"guide/old.doc": "unsupported_type", "guide/empty.txt": "empty_file"}


def test_names_of_the_chinese_windows_are_understood(tmp_path: Path) -> None:
    content = packed(("a" * 8 + ".txt", "门")).replace(b"a" * 8, "打开阀门".encode("gbk"))
    assert read(tmp_path, content)[0] == {"打开阀门.txt": "门\n"}


def test_paths_that_lead_out_and_links_are_refused_alone(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    content = packed(
        ("../out.txt", "x"), ("/root.txt", "x"), ("C:/windows.txt", "x"), (link, "/etc/passwd"), ("a.txt", "a")
    )
    texts, failures = read(tmp_path, content)
    assert texts == {"a.txt": "a\n"}
    assert failures == {
        "../out.txt": "bad_record",
        "/root.txt": "bad_record",
        "C:/windows.txt": "bad_record",
        "link.txt": "unsupported_type",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_archives_are_followed_three_deep(tmp_path: Path) -> None:
    content = packed(("bottom.txt", "x"))
    for _ in range(3):
        content = packed(("in.zip", content))
    assert read(tmp_path, content) == ({}, {"in.zip/in.zip/in.zip": "too_large"})


def test_a_member_that_grows_out_of_proportion_fails_alone(tmp_path: Path) -> None:
    texts, failures = read(tmp_path, packed(("bomb.txt", b"0" * 20_000_000), ("a.txt", "a")))
    assert (texts, failures) == ({"a.txt": "a\n"}, {"bomb.txt": "too_large"})


def test_all_members_together_and_their_number_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = packed(*((f"{n}.txt", b"0123456789" * 300) for n in range(3)))
    with pytest.raises(TooLarge, match="unpacks"):
        read(tmp_path, packed(*((f"{n}.txt", b"0" * 900) for n in range(5))), Limits(file_bytes=1_000))
    assert read(tmp_path, packed(("in.zip", inner)), Limits(file_bytes=2_000))[1] == {"in.zip": "too_large"}
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(TooLarge, match="more than 2 files"):
        read(tmp_path, inner)


def test_what_is_locked_or_damaged_is_refused(tmp_path: Path) -> None:
    content = bytearray(packed(("a.txt", "a" * 50)))
    for at in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[at] |= 1
    with pytest.raises(EncryptedFile, match="password"):
        read(tmp_path, bytes(content))
    with pytest.raises(BrokenFile, match="pack it again"):
        read(tmp_path, packed(("a.txt", "a"))[:-30])
    damaged = packed(("a.txt", "abc" * 50), ("b.txt", "b"))
    assert read(tmp_path, damaged[:40] + b"\xff\xff" + damaged[42:]) == ({"b.txt": "b\n"}, {"a.txt": "broken_file"})


@pytest.mark.parametrize(("method", "kind"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
@pytest.mark.parametrize("damaged", [False, True])
def test_what_zipfile_unpacks_all_at_once_is_refused_alone(
    tmp_path: Path, method: int, kind: str, damaged: bool
) -> None:
    """A piece of bzip2 or LZMA is unpacked as a whole, whatever its size; and damage in it has errors of its own."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("bomb.txt", bytes(9 * 2**20))  # too small to stand out by its ratio
        archive.writestr("a.txt", "a", zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    if damaged:
        content[60:64] = b"\xff" * 4
    assert read(tmp_path, bytes(content)) == ({"a.txt": "a\n"}, {"bomb.txt": "unsupported_type"})
    with pytest.raises(UnsupportedType, match=f"packed by {kind}"), member_file(path, "bomb.txt", Limits()):
        pass
    path.rename(tmp_path / "a.docx")
    with pytest.raises(UnsupportedType, match=f"bomb.txt.*packed by {kind}"):
        list(parser_for(tmp_path / "a.docx", Limits()).parse(Source(tmp_path / "a.docx", "a.docx"), Limits()))


def test_a_damaged_name_reaches_nobody_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a\x1b[31m\x03.xml", "x")
    with pytest.raises(UnsupportedType) as refused:
        list(parser_for(path, Limits()).parse(Source(path, path.name), Limits()))
    assert str(refused.value).isprintable()


def test_pictures_are_documents_only_where_there_are_no_web_pages() -> None:
    assert worth_reading(["scan/1.png", "scan/2.jpg"]) == ["scan/1.png", "scan/2.jpg"]
    assert worth_reading(["a.html", "images/note.png", "report.pdf"]) == ["a.html", "report.pdf"]


class _Ends:
    """A sink that notes what was stored and what failed. What it knows has been deleted when its turn comes."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.stored: list[str] = []
        self.reasons: dict[str, str] = {}
        self._known = known or {}

    def is_current(self, external_id: str, content_hash: str) -> bool:
        return False

    def known_documents(self) -> dict[str, str]:
        return self._known

    def known_vectors(self, external_ids: Collection[str], text_hashes: Collection[bytes]) -> dict[bytes, Any]:
        return {}

    def store(self, documents: Sequence[ReadyDocument]) -> None:
        self.stored += [document.start.external_id for document in documents]

    def failed(self, external_id: str, title: str, error: Exception) -> None:
        self.reasons[external_id] = str(error)

    def progress(self, stage: str, done: int, total: int | None) -> None: ...

    def cancelled(self) -> bool:
        return False


class _Breaking:
    """A parser that reads a page and then comes to what it cannot read, where the file says so."""

    media_type = "text/breaking"

    def parse(self, source: Source, limits: Limits) -> Iterator[DocumentStart | ParsedPage]:
        yield DocumentStart(source.external_id, source.external_id)
        yield ParsedPage(1, "Whole.\n", (Block(BlockKind.PARAGRAPH, 0, 6, ()),))
        if "broken" in source.path.read_text():
            raise BrokenFile("The rest is damaged: export it again.")


class _Reader:
    """Reads archives; which files were parsed it notes."""

    def __init__(self) -> None:
        self.parsed: list[str] = []

    def read(self, source: Source, limits: Limits, resume: Resume, waiting: object = None) -> Iterator[Item]:
        def breaking(path: Path, limits: Limits) -> Parser:
            self.parsed.append(path.name)
            return _Breaking()

        return ZipParser(breaking).parse_from(source, limits, resume)


def test_of_a_member_that_breaks_off_nothing_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed(("a.txt", "good"), ("b.txt", "broken"), ("c.txt", "good")))
    sink = _Ends()
    ingest_source(
        Source(path, "a.zip"), HashingEmbedder(), sink, chunker=ChunkerSettings(), limits=Limits(), reader=_Reader()
    )
    assert sink.stored == ["a.txt", "c.txt"]
    assert sink.reasons == {"b.txt": "The rest is damaged: export it again."}


def test_members_that_are_known_are_not_parsed(tmp_path: Path) -> None:
    """Nor are they failures when they have been deleted since: they have no pages, and that is no want of text."""
    texts = {"deep/a.txt": "one", "b.txt": "two", "in.zip/c.txt": "three", "d.txt": "four", "e.txt": "five"}
    known = {name: sha256(text.encode()).hexdigest() for name, text in texts.items()}
    known |= {"e.txt": known["d.txt"], "in.zip": known["b.txt"]}
    path = tmp_path / "a.zip"
    inner = packed(("c.txt", "three"), ("new.txt", "six"))
    outside = [(name, text) for name, text in texts.items() if not name.startswith("in.zip/")]
    path.write_bytes(packed(*outside, ("in.zip", inner)))
    sink, reader = _Ends(known), _Reader()
    summary = ingest_source(
        Source(path, "a.zip"), HashingEmbedder(), sink, chunker=ChunkerSettings(), limits=Limits(), reader=reader
    )
    assert reader.parsed == ["e.txt", "new.txt"]
    assert sink.stored == ["e.txt", "in.zip/new.txt"]
    assert (summary.unchanged, summary.failed, sink.reasons) == (4, 0, {})


def test_only_of_an_archive_it_is_asked_what_is_known(tmp_path: Path) -> None:
    """Any other file has been read before its hash can be compared with anything."""
    path = tmp_path / "a.txt"
    path.write_text("Some text.")
    sink = _Ends({"a.txt": sha256(b"Some text.").hexdigest()})
    ingest_source(Source(path, "a.txt"), HashingEmbedder(), sink, chunker=ChunkerSettings(), limits=Limits())
    assert sink.stored == ["a.txt"]
