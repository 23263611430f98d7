"""The words of a knowledge base on disk: one persistent Tantivy index, changed in place by one writer.

Owns the Tantivy schema, adding and deleting, and searching. Does not know vectors, snapshots or which passages are
live: the index may be ahead of the snapshot that names it, and its readers mask what is no longer there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import tantivy
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.word_statistics import Statistics, inverse_document_frequency

WRITER_MEMORY = 50_000_000
"""Bytes that Tantivy may fill before it writes a segment."""

_ANALYZER = "words"


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    # The text arrives as words joined by blanks; positions are not needed, nothing is stored.
    builder.add_text_field("words", stored=False, tokenizer_name=_ANALYZER, index_option="freq")
    builder.add_integer_field("key", stored=False, indexed=True, fast=True)
    builder.add_integer_field("document", stored=False, indexed=True, fast=True)
    builder.add_integer_field("length", stored=False, indexed=False, fast=True)
    return builder.build()


def _register_analyzer(index: tantivy.Index) -> None:
    # Not kept in the files: without it after every opening, adding fails and searching silently finds other words.
    index.register_tokenizer(_ANALYZER, tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())


class WordWriter:
    """The one writer of a word index; a context manager. What was not committed is gone when it closes."""

    def __init__(self, folder: Path, *, new: bool) -> None:
        """Makes an empty index in `folder`, or opens the one there. Raises `IndexDamaged` when it cannot be opened."""
        try:
            if new:
                folder.mkdir()
                index = tantivy.Index(_schema(), path=str(folder), reuse=False)
            else:
                index = tantivy.Index.open(str(folder))
            _register_analyzer(index)
            # One thread: more of them make more and smaller segments, and the worker has better things to do.
            self._writer = index.writer(WRITER_MEMORY, 1)
        except (ValueError, OSError) as error:
            raise IndexDamaged(
                f"the word index {folder} cannot be written ({error}); `answerdesk index rebuild` makes a new one"
            ) from error

    def remove(self, keys: Iterable[int]) -> None:
        for key in keys:
            self._writer.delete_documents_by_term("key", key)

    def add(self, key: int, document: int, words: Sequence[str]) -> None:
        """Adds a passage, in place of the one with the same key if there is one."""
        self._writer.delete_documents_by_term("key", key)
        entry = tantivy.Document()
        entry.add_text("words", " ".join(words))
        entry.add_integer("key", key)
        entry.add_integer("document", document)
        entry.add_integer("length", len(words))
        self._writer.add_document(entry)

    def commit(self) -> None:
        """Makes all changes durable and visible to readers that reload."""
        self._writer.commit()

    def __enter__(self) -> "WordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Also ends the merges and gives up the lock; the writer cannot be used afterwards.
        self._writer.wait_merging_threads()


class WordReader:
    """One committed state of a word index, unchanged while others write. For many threads."""

    def __init__(self, folder: Path) -> None:
        """Opens the last commit in `folder`. Raises `IndexDamaged` when there is none that can be read."""
        try:
            index = tantivy.Index.open(str(folder))
            _register_analyzer(index)
            index.config_reader("Manual")
            index.reload()
        except (ValueError, OSError) as error:
            raise IndexDamaged(
                f"the word index {folder} cannot be read ({error}); `answerdesk index rebuild` makes a new one"
            ) from error
        self._schema = _schema()
        self._searcher = index.searcher()
        self.statistics = self._count()

    def _count(self) -> Statistics:
        total = self._searcher.aggregate(tantivy.Query.all_query(), {"words": {"sum": {"field": "length"}}})
        return Statistics(self._searcher.num_docs, int(total["words"]["value"] or 0))

    def containing(self, word: str) -> int:
        """How many passages hold `word`; deleted ones count until Tantivy merges their segment."""
        return int(self._searcher.doc_freq("words", word))

    def keys(self) -> NDArray[np.int64]:
        """The keys of all passages, ascending."""
        if not self._searcher.num_docs:
            return np.empty(0, np.int64)
        found = self._searcher.search(tantivy.Query.all_query(), limit=self._searcher.num_docs, count=False)
        return np.sort(self._keys_of([address for _, address in found.hits]))

    def search(
        self,
        weights: Mapping[str, float],
        limit: int,
        frequencies: Mapping[str, float] | None = None,
        keys: Sequence[int] | None = None,
        documents: Sequence[int] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best `limit` passages that hold a word: (keys int64 [n], BM25 scores float32 [n]), best first.

        `weights` says how much each word counts; `frequencies` replaces each word's own inverse document frequency
        (passages outside this index counted in). `keys` and `documents` admit only these.
        """
        query = self._question(weights, frequencies)
        if query is None or limit <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        required = [query]
        for field, admitted in (("key", keys), ("document", documents)):
            if admitted is not None:
                members = tantivy.Query.term_set_query(self._schema, field, list(admitted))
                required.append(tantivy.Query.const_score_query(members, 0.0))
        if len(required) > 1:
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, part) for part in required])
        hits = self._searcher.search(query, limit=limit, count=False).hits
        scores = np.fromiter((score for score, _ in hits), np.float32, len(hits))
        return self._keys_of([address for _, address in hits]), scores

    def _question(self, weights: Mapping[str, float], frequencies: Mapping[str, float] | None) -> tantivy.Query | None:
        parts = []
        for word, weight in weights.items():
            containing = self.containing(word)
            if not containing:
                continue
            query = tantivy.Query.term_query(self._schema, "words", word, index_option="freq")
            if frequencies is not None:
                weight *= frequencies[word] / inverse_document_frequency(self.statistics.passages, containing)
            parts.append(query if weight == 1.0 else tantivy.Query.boost_query(query, weight))
        if not parts:
            return None
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])

    def _keys_of(self, addresses: list[tantivy.DocAddress]) -> NDArray[np.int64]:
        return np.array(self._searcher.fast_field_values("key", addresses), np.int64)
