"""Sealed bundles that say wrong things: each is refused with its reason, and nothing of it is left."""

import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from app.bootstrap import Services
from app.bundle.format import FORMAT, _Sealing
from app.bundle.importing import import_bundle
from app.bundle.records import MemberRecord, hash_of
from app.errors import BadBundle, BadRequest
from app.evaluation.api import MOST_BYTES
from app.evaluation.questions import MOST_QUESTIONS, all_questions
from app.models import Document, GoldenQuestion, KnowledgeBase
from app.scope import Scope

FILE = b"the uploaded file"
TEXT = "Press the red lamp."


def _id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


def _document(number: int) -> dict[str, Any]:
    fields = {"title": f"Manual {number}", "version": 1, "media_type": "text/plain", "language": "en"}
    counts = {"page_count": 1, "passage_count": 1, "window_count": 2}
    times = {"created_at": "2026-11-01T10:00:00Z", "updated_at": "2026-11-01T10:00:00Z"}
    told = {"id": _id(number), "external_id": f"m{number}.txt", "content_hash": "", "file": 0, "facets": {}}
    return {**told, **fields, **counts, **times, "warnings": []}


def _page(number: int) -> dict[str, Any]:
    runs = base64.b64encode(np.array([[0, 0, len(TEXT)]], "<i4").tobytes()).decode()
    return {"document": number, "number": 1, "label": None, "text": TEXT, "source_map": runs}


def _passage(number: int) -> dict[str, Any]:
    words = {"heading_path": ["Lamps"], "page_label": None, "text": TEXT, "content_hash": ""}
    places = {"spans": [[1, 0, len(TEXT), None]], "windows": [[0, 5], [6, 19]]}
    return {"id": _id(100 + number), "document": number, "ordinal": 0, **words, **places}


def _question(number: int) -> dict[str, Any]:
    asked = {"id": f"q{number}", "question": f"Which lamp is number {number}?"}
    return asked | {"history": [], "filter": {}, "expected": {"document": "m0.txt", "answer": "the red lamp"}}


@dataclass
class Draft:
    """A sound bundle, to be spoilt before it is sealed. `manifest` is merged over the right one."""

    files: list[dict[str, Any]] = field(
        default_factory=lambda: [{"name": "m.txt", "bytes": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}]
    )
    file_bytes: bytes = FILE
    documents: list[dict[str, Any]] = field(default_factory=lambda: [_document(0), _document(1)])
    pages: list[dict[str, Any]] = field(default_factory=lambda: [_page(0), _page(1)])
    passages: list[dict[str, Any]] = field(default_factory=lambda: [_passage(0), _passage(1)])
    golden: list[dict[str, Any]] = field(default_factory=lambda: [_question(0), _question(1)])
    vectors: Any = field(default_factory=lambda: np.full((6, 64), 0.125, "<f2"))
    knowledge_base: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    compression: int = zipfile.ZIP_STORED
    format: int = FORMAT

    def write(self, path: Path) -> None:
        lines = {"files": self.files, "documents": self.documents, "pages": self.pages, "passages": self.passages}
        members = {
            f"{name}.jsonl": "".join(json.dumps(each) + "\n" for each in rows).encode()
            for name, rows in (lines | ({"golden": self.golden} if self.format > 1 else {})).items()
        }
        members |= {"files.bin": self.file_bytes, "vectors.f16": self.vectors.tobytes()}
        records = {name: MemberRecord(bytes=len(members[name]), sha256=_hash(members[name])) for name in members}
        made = {"id": _id(999), "name": "manuals", "language": "en", "embedder": "hashing@1", "dimension": 64}
        made |= {"chunker_version": "1", "settings": {}, "change": 7}
        counts = {name: len(rows) for name, rows in lines.items()} | {"vectors": len(self.vectors), "left_out": 0}
        counts |= {"golden_questions": len(self.golden)} if self.format > 1 else {}
        manifest = {
            "format": self.format,
            "made_by": "a test",
            "created_at": "2026-11-01T10:00:00Z",
            "knowledge_base": made | self.knowledge_base,
            "counts": counts | self.counts,
            "members": {name: record.model_dump() for name, record in records.items()},
            "sha256": hash_of(self.format, records),
        }
        written = {**members, "manifest.json": json.dumps(manifest | self.manifest).encode()} | self.raw
        with path.open("wb") as file:
            sealing = _Sealing(file)
            with zipfile.ZipFile(sealing, "w", self.compression) as archive:
                for name, content in written.items():
                    archive.writestr(name, content)
                archive.comment = b"answerdesk-bundle sha256:" + b"0" * 64
            sealing.seal()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _set(rows: str, **values: Any) -> Callable[[Draft], None]:
    """Changes the last record of a kind."""
    return lambda draft: getattr(draft, rows)[-1].update(values)


def _assign(**values: Any) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        for name, value in values.items():
            setattr(draft, name, value)

    return spoil


def _vectors(value: float) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        draft.vectors[3, 5] = value

    return spoil


_RUNS_BEYOND = base64.b64encode(np.array([[5, 0, 400]], "<i4").tobytes()).decode()

SPOILT: dict[str, tuple[Callable[[Draft], None], str]] = {
    "a newer format": (
        _assign(manifest={"format": FORMAT + 1}, raw={"later.jsonl": b""}),
        f"format {FORMAT + 1} .* this version",
    ),
    "a format of no version": (_assign(manifest={"format": 0}), "format 0 .* this version"),
    "an old format with a member of the new one": (_assign(manifest={"format": 1}), "members are not those"),
    "a new format without its member": (_assign(format=1, manifest={"format": 2}), "members are not those"),
    "an old format that counts golden questions": (
        _assign(format=1, counts={"golden_questions": 1}),
        "0 golden questions, but its manifest says 1",
    ),
    "a member more": (_assign(raw={"../../evil": b"x"}), "members are not those"),
    "another program's archive": (_assign(raw={"manifest.json": b'{"name": "other"}'}), "manifest cannot be used"),
    "compressed members": (_assign(compression=zipfile.ZIP_DEFLATED), "compressed or encrypted"),
    "an altered member": (_assign(raw={"pages.jsonl": b"x" * 10}), "members are not those"),
    "a member of the same length": (
        _assign(raw={"vectors.f16": np.full((6, 64), 0.25, "<f2").tobytes()}),
        "vectors.f16 is not what its manifest says",
    ),
    "hashes that do not belong together": (_assign(manifest={"sha256": "0" * 64}), "do not belong together"),
    "no dimension": (_assign(knowledge_base={"dimension": 0}), "dimension"),
    "another dimension": (_assign(knowledge_base={"dimension": 32}), "vectors"),
    "too long vectors": (_assign(knowledge_base={"dimension": 128}), "shorter than the records say"),
    "absurd counts": (_assign(counts={"passages": 10**9}), "2 passages, but its manifest says"),
    "a name that is an id": (_assign(knowledge_base={"name": _id(5)}), "cannot look like an id"),
    "a name with a slash": (_assign(knowledge_base={"name": "a/b"}), "slashes"),
    "a chunker that is no number": (_assign(knowledge_base={"chunker_version": "x"}), "chunker_version"),
    "settings of another product": (_assign(knowledge_base={"settings": {"colour": "red"}}), "colour"),
    "settings out of bounds": (_assign(knowledge_base={"settings": {"dense_weight": 7}}), "dense_weight"),
    "a vector of NaN": (_vectors(float("nan")), "NaN"),
    "a vector of infinity": (_vectors(float("inf")), "Infinity"),
    "a path for a file": (_set("files", name="../../../etc/passwd"), "name"),
    "an absolute path": (_set("files", name="/etc/passwd"), "name"),
    "a folder in a file's name": (_set("files", name="a/b.txt"), "no slashes"),
    "a file that is not its hash": (_set("files", sha256="0" * 64), "not the one that its record names"),
    "a hash that is a path": (_set("files", sha256="../x"), "sha256"),
    "a file of absurd length": (_set("files", bytes=10**15), "files.bin is shorter"),
    "files left over": (_assign(file_bytes=FILE + b"more"), "files.bin is not what"),
    "a document of a file that is not there": (_set("documents", file=1), "names file 1"),
    "an id that is a path": (_set("documents", id="../../../../../../../../etc/cron.d/evil"), "id"),
    "two documents with one id": (_set("documents", id=_id(0)), "same id"),
    "two documents with one name": (_set("documents", external_id="m0.txt"), "same id, external id"),
    "a document without a version": (_set("documents", version=0), "version"),
    "more passages than the document says": (_set("documents", passage_count=0), "as many passages"),
    "fewer windows than the document says": (_set("documents", window_count=9), "as many windows"),
    "fewer pages than the document says": (_set("documents", page_count=2), "as many pages"),
    "a NUL in a title": (_set("documents", title="a\0b"), "NUL"),
    "a NUL in a facet": (_set("documents", facets={"x": ["a\0b"]}), "NUL"),
    "half a character": (_set("documents", title="\ud800"), "documents.jsonl"),
    "infinity in a facet": (_set("documents", facets={"x": float("inf")}), "Infinity"),
    "nested beyond reason": (_set("documents", facets=json.loads('{"a":' * 300 + "1" + "}" * 300)), "documents.jsonl"),
    "an unknown field": (_set("documents", status="ready"), "status"),
    "a page of no document": (_set("pages", document=2), "belongs to document 2"),
    "a page of document -1": (_set("pages", document=-1), "document"),
    "the same page twice": (_set("pages", document=0), "page number"),
    "a source map beyond the text": (_set("pages", source_map=_RUNS_BEYOND), "outside of its text"),
    "half a source map": (_set("pages", source_map="AAAA"), "Page 1"),
    "a source map that is no base64": (_set("pages", source_map="?"), "Page 1"),
    "a passage of no document": (_set("passages", document=7), "belongs to document 7"),
    "two passages with one id": (_set("passages", id=_id(100)), "same id"),
    "a span on a page that is not there": (_set("passages", spans=[[2, 0, 5, None]]), "page 2 has no text"),
    "a span beyond its page": (_set("passages", spans=[[1, 0, 20, None]]), "page 1 has no text"),
    "a span that ends before it starts": (_set("passages", spans=[[1, 9, 3, None]]), "has no text"),
    "a passage without spans": (_set("passages", spans=[]), "spans"),
    "a window beyond its passage": (_set("passages", windows=[[0, 5], [6, 20]]), "lies outside"),
    "a number beyond the database": (_set("passages", ordinal=2**40), "ordinal"),
    "more golden questions than it says": (_assign(counts={"golden_questions": 1}), "2 golden questions, but"),
    "two golden questions with one id": (_set("golden", id="q0"), "same id"),
    "a golden question without words": (_set("golden", question=" "), 'Golden question 2 .*"question" must be a text'),
    "a golden question that expects nothing": (_set("golden", expected={}), "Golden question 2 .* needs a"),
    "a golden question of pages below 1": (
        _set("golden", expected={"document": "m0.txt", "page": [0]}),
        "whole number from 1",
    ),
    "a golden question with another field": (_set("golden", outcome="right"), "line 2|outcome"),
    "a turn of nobody's": (_set("golden", history=[{"role": "root", "text": "x"}]), "role"),
    "a NUL in a golden question": (_set("golden", question="a\0b"), "NUL"),
    "a NUL in what is expected": (_set("golden", expected={"answer": "a\0b"}), "NUL"),
    "half a character in a golden question": (_set("golden", question="\ud800"), "golden.jsonl"),
    "infinity in a golden filter": (_set("golden", filter={"x": float("inf")}), "Infinity"),
    "a golden id that is too long": (_set("golden", id="x" * 201), "id"),
    "a golden question beyond any upload": (_set("golden", question="x" * (MOST_BYTES + 1)), "cut off or too long"),
    "too many golden questions": (
        _assign(golden=[_question(number) for number in range(MOST_QUESTIONS + 1)]),
        "more than 5,000 golden questions",
    ),
    "a text for a number": (_set("passages", ordinal="0"), "ordinal"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_it_is_refused_and_nothing_is_left(services: Services, tmp_path: Path, what: str) -> None:
    spoil, reason = SPOILT[what]
    draft = Draft()
    spoil(draft)
    draft.write(tmp_path / "bundle")
    with pytest.raises(BadRequest) as refused:
        import_bundle(services, Scope(), tmp_path / "bundle")
    assert re.search(reason, refused.value.message), refused.value.message
    with services.database.read() as session:
        for table in (KnowledgeBase, Document, GoldenQuestion):
            assert session.scalar(select(func.count()).select_from(table)) == 0
    assert list(services.settings.files_folder.rglob("*")) == []


@pytest.mark.parametrize(("format", "golden"), [(1, []), (2, ["q0", "q1"]), (FORMAT, ["q0", "q1"])])
def test_the_draft_itself_is_sound(services: Services, tmp_path: Path, format: int, golden: list[str]) -> None:
    """Also as the versions before wrote it."""
    Draft(format=format).write(tmp_path / "bundle")
    imported = import_bundle(services, Scope(), tmp_path / "bundle")
    hits = services.retriever(imported.knowledge_base).search("red lamp", top_k=1).hits
    assert [(hit.passage.text, [place.external_id for place in hit.also_at]) for hit in hits] == [(TEXT, ["m1.txt"])]
    assert [question.id for question in all_questions(services, imported.knowledge_base.id)] == golden
    with services.database.read() as session:
        assert not any(session.scalars(select(Document.is_public))), "what does not say that it is public is internal"


def test_a_directory_of_a_million_members_is_not_read(tmp_path: Path, services: Services) -> None:
    path = tmp_path / "bundle"
    with path.open("wb") as file:
        sealing = _Sealing(file)
        with zipfile.ZipFile(sealing, "w") as archive:
            for number in range(2000):
                archive.writestr(f"{number}", b"")
            archive.comment = b"answerdesk-bundle sha256:" + b"0" * 64
        sealing.seal()
    with pytest.raises(BadBundle, match="directory is not that of a bundle"):
        import_bundle(services, Scope(), path)
