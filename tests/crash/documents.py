"""The forty documents of the crash test, in every version: a pure function of the seed.

Owns the sources (files), what is in them, and the words by which a passage gives away whose it is. A document has
parts; each holds a *mark*, a nonsense word that occurs in this part of this version and nowhere else. A new version
changes one part and keeps the others, so a document's state is known by the set of marks that can be found.
"""

import io
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import wrap

from reportlab.pdfgen.canvas import Canvas

from tests.torture.make import paragraph, word

MARK = re.compile(r"qx[b-z]{9}k")

_LETTERS = "bcdfghjklmnpqrtvwxz"
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvw" for vowel in "aeiou"]
_KINDS: Mapping[str, Sequence[int]] = {
    "md": (1, 2, 3, 4, 1, 2, 3, 2, 1),
    "txt": (1, 2, 1, 3, 2),
    "html": (1, 2, 3, 1, 2, 3),
    "docx": (1, 2, 3, 2, 1, 2),
    "pdf": (1, 2, 3, 2, 1, 3, 2, 20),
}
"""How many parts the documents of each format have. The longest is kept in a worker's journal while it is read."""

_RECORD_FILES, _RECORDS = 2, 3
_WORDS_A_PART, _WORDS_A_SENTENCE = 150, 12  # three parts are more than one passage


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is uploaded: `documents` are the external ids of what is in it, `parts` how many each has."""

    name: str
    documents: tuple[str, ...]
    parts: int

    @property
    def holds_several(self) -> bool:
        return self.name.endswith(".jsonl")


def _sources() -> tuple[Source, ...]:
    single = [
        Source(name, (name,), parts)
        for kind, all_parts in _KINDS.items()
        for number, parts in enumerate(all_parts)
        for name in [f"manual-{number}.{kind}"]
    ]
    records = [
        Source(f"records-{file}.jsonl", tuple(f"record-{file}-{number}" for number in range(_RECORDS)), 1)
        for file in range(_RECORD_FILES)
    ]
    return (*single, *records)


SOURCES = _sources()
DOCUMENTS = tuple(document for source in SOURCES for document in source.documents)
SOURCE_OF = {document: number for number, source in enumerate(SOURCES) for document in source.documents}


def marks(seed: int, document: str, version: int) -> tuple[str, ...]:
    """The marks of a document in a version, one a part. Versions count from 1."""
    parts = SOURCES[SOURCE_OF[document]].parts
    return tuple(_mark(seed, document, part, _changed(version, part, parts)) for part in range(parts))


@cache
def content(seed: int, source: Source, version: int) -> bytes:
    """The file's bytes, the same each time in one process (office files bear the time they were made)."""
    texts = [_texts(seed, document, version) for document in source.documents]
    return _WRITERS[source.name.rpartition(".")[2]](source, texts)


def question(seed: int, mark: str) -> str:
    """What the sentence with this mark answers, and no other."""
    return f"What is {' '.join(_words(seed, mark)[:_WORDS_A_SENTENCE])} {mark}?"


def _changed(version: int, part: int, parts: int) -> int:
    """The version up to `version` that gave this part its text: version v changes part v mod `parts`."""
    return max((each for each in range(2, version + 1) if each % parts == part), default=1)


def _mark(seed: int, document: str, part: int, version: int) -> str:
    number = (DOCUMENTS.index(document) * 400 + version) * 20 + part
    unique = "".join(_LETTERS[number // len(_LETTERS) ** place % len(_LETTERS)] for place in range(5))
    by_seed = random.Random(f"{seed}/{number}").choices(_LETTERS, k=4)
    return f"qx{unique}{''.join(by_seed)}k"


def _texts(seed: int, document: str, version: int) -> list[str]:
    """The text of each part. Its mark stands in a sentence in the middle: pages that begin alike have running heads."""
    texts = []
    for mark in marks(seed, document, version):
        words = _words(seed, mark)
        sentences = [words[start : start + _WORDS_A_SENTENCE] for start in range(0, len(words), _WORDS_A_SENTENCE)]
        sentences = [*sentences[1:4], [*sentences[0], mark], *sentences[4:]]
        texts.append(" ".join(" ".join(sentence).capitalize() + "." for sentence in sentences))
    return texts


def _words(seed: int, mark: str) -> list[str]:
    noise = random.Random(f"{seed}/{mark}")
    return ["".join(noise.choices(_SYLLABLES, k=noise.randint(2, 4))) for _ in range(_WORDS_A_PART)]


def _markdown(source: Source, texts: list[list[str]]) -> bytes:
    sections = (f"## Section {number}\n\n{text}\n" for number, text in enumerate(texts[0]))
    return f"# {source.name}\n\n{''.join(sections)}".encode()


def _plain(source: Source, texts: list[list[str]]) -> bytes:
    return "\n\n".join(texts[0]).encode()


def _html(source: Source, texts: list[list[str]]) -> bytes:
    sections = "".join(f"<h2>Section {number}</h2><p>{text}</p>" for number, text in enumerate(texts[0]))
    return f"<html><head><title>{source.name}</title></head><body><main>{sections}</main></body></html>".encode()


def _docx(source: Source, texts: list[list[str]]) -> bytes:
    return word("".join(paragraph(text) for text in texts[0]))


def _pdf(source: Source, texts: list[list[str]]) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, invariant=True)
    for text in texts[0]:
        for number, line in enumerate(wrap(text, 80)):
            canvas.drawString(50, 780 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _jsonl(source: Source, texts: list[list[str]]) -> bytes:
    records = (
        {"_id": document, "title": document, "text": "\n\n".join(of_document)}
        for document, of_document in zip(source.documents, texts, strict=True)
    )
    return "".join(json.dumps(record) + "\n" for record in records).encode()


_WRITERS: Mapping[str, Callable[[Source, list[list[str]]], bytes]] = {
    "md": _markdown,
    "txt": _plain,
    "html": _html,
    "docx": _docx,
    "pdf": _pdf,
    "jsonl": _jsonl,
}
