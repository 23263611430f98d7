"""Public question sets as knowledge bases in memory, searched by the product's own retriever.

Reads SQuAD-format files and BEIR-format folders. Embeds every passage and question once and keeps the vectors in a
cache folder, so that the same questions can be asked of the whole set and of its halves.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from app.settings import Settings
from ingestion.chunker import CHUNKER_VERSION, Chunker, ChunkerSettings
from ingestion.parsers.plain_blocks import plain_page
from ingestion.types import ParsedPage
from model_runtime.embedder import Embedder, load_embedder
from rag.chain import normalised
from rag.dictionary import Dictionary
from rag.index import KnowledgeBaseIndex
from rag.retriever import HybridRetriever
from rag.types import IndexedPassage, Passage, PassageChanges, Span, Vectors


@dataclass(frozen=True)
class Asked:
    """A question, the number of its text, and the gold answers (empty: not answerable from that text).

    `also` are other texts that answer it as well.
    """

    text: str
    document: int
    answers: tuple[str, ...]
    also: tuple[int, ...] = ()


@dataclass(frozen=True)
class QuestionSet:
    """Titles and texts, and the questions asked about them."""

    name: str
    documents: list[tuple[str, str]]
    questions: list[Asked]


def load_sets(data: Path) -> list[QuestionSet]:
    """The sets under `data`: xquad (en, zh), cmrc2018, squad2 and emanual_smart_tv."""
    return [
        _squad("xquad en", data / "xquad" / "xquad.en.json"),
        _squad("xquad zh", data / "xquad" / "xquad.zh.json"),
        _squad("cmrc2018", data / "cmrc2018" / "cmrc2018_dev.json"),
        _squad("squad2", data / "squad2" / "cs224n_dev-v2.0.json"),
        _beir("emanual_smart_tv", data / "emanual_smart_tv"),
    ]


def cross_language_sets(data: Path) -> list[QuestionSet]:
    """The parallel texts of xquad, asked in the other language."""
    english, chinese = load_sets(data)[:2]
    return [
        QuestionSet("english over chinese", chinese.documents, english.questions),
        QuestionSet("chinese over english", english.documents, chinese.questions),
    ]


def _squad(name: str, path: Path) -> QuestionSet:
    documents: list[tuple[str, str]] = []
    questions: list[Asked] = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = () if question.get("is_impossible") else tuple(a["text"] for a in question["answers"])
                questions.append(Asked(question["question"], len(documents), answers))
            documents.append((article.get("title", "").replace("_", " "), paragraph["context"]))
    return QuestionSet(name, documents, questions)


def _beir(name: str, folder: Path) -> QuestionSet:
    corpus, queries = _records(folder / "corpus.jsonl"), _records(folder / "queries.jsonl")
    numbers = {record["_id"]: number for number, record in enumerate(corpus)}
    relevant: dict[str, list[int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, *_ = line.split("\t")
        relevant.setdefault(query, []).append(numbers[document])
    questions = [
        Asked(query["text"], found[0], (query.get("answer") or "?",), tuple(found[1:]))
        for query in queries
        if (found := relevant.get(query["_id"]))
    ]
    return QuestionSet(name, [(record["title"], record["text"]) for record in corpus], questions)


def _records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


class EmbeddedSet:
    """A question set with its passages and all vectors. `pages` makes pages of a document's text."""

    def __init__(
        self,
        questions: QuestionSet,
        embedder: Embedder,
        cache: Path,
        pages: Callable[[str], Iterable[ParsedPage]] = lambda text: [plain_page(text)],
    ) -> None:
        self.set = questions
        self._pages = pages
        self._embedder = embedder
        self.passages, embedded = self._chunked()
        self._vectors = self._cached(cache, "passages", embedded, embedder.embed_passages).astype(np.float16)
        texts = [asked.text for asked in questions.questions]
        asked_vectors = self._cached(
            cache, "questions", texts, lambda t: np.array([embedder.embed_question(x) for x in t])
        )
        asked_as = [normalised(text) for text in texts]  # as the chain asks them
        self.embeddings = _Known(
            dict(zip([*texts, *asked_as], [*asked_vectors, *asked_vectors], strict=True)), embedder
        )

    def retriever(self, documents: Iterable[int]) -> HybridRetriever:
        """The product's retriever over the passages of some of the documents."""
        wanted = set(documents)
        indexed: list[IndexedPassage] = []
        for passage, vectors in self.with_vectors():
            if passage.document_key in wanted:
                words = "\n".join((passage.title, *passage.heading_path, passage.text))
                front = len(words) - len(passage.text)
                starts = tuple(front + start for start, _ in passage.windows)
                indexed.append(IndexedPassage(passage.key, passage.document_key, words, vectors, starts))
        store = _Store({passage.key: passage for passage in self.passages if passage.document_key in wanted}, indexed)
        index = KnowledgeBaseIndex(
            Path(mkdtemp()),
            embedder=self._embedder.identity,
            dimension=self._embedder.dimension,
            chunker=int(CHUNKER_VERSION),
        )
        index.write_snapshot(store)
        dictionary = Dictionary(Settings().cache_folder)
        return HybridRetriever(index=index, store=store, embeddings=self.embeddings, dictionary=dictionary)

    def with_vectors(self) -> Iterator[tuple[Passage, Vectors]]:
        """Every passage, and its own vector and those of its windows, float16 [1 + windows, dimension]."""
        row = 0
        for passage in self.passages:
            rows = 1 + len(passage.windows)
            yield passage, self._vectors[row : row + rows]
            row += rows

    def _chunked(self) -> tuple[list[Passage], list[str]]:
        chunker = Chunker(self._embedder, ChunkerSettings())
        passages: list[Passage] = []
        embedded: list[str] = []
        for number, (title, text) in enumerate(self.set.documents):
            for ordinal, draft in enumerate(chunker.chunk(title, self._pages(text))):
                spans = tuple(Span(span.page, span.start, span.end) for span in draft.spans)
                key = len(passages)
                passages.append(
                    Passage(
                        key,
                        str(key),
                        number,
                        str(number),
                        1,
                        str(number),
                        title,
                        draft.heading_path,
                        spans,
                        None,
                        draft.text,
                        draft.windows,
                        ordinal,
                    )
                )
                embedded.extend(draft.embedded)
        return passages, embedded

    def _cached(
        self, cache: Path, what: str, texts: Sequence[str], embed: Callable[[list[str]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        digest = hashlib.sha256("\0".join([self._embedder.identity, *texts]).encode()).hexdigest()[:16]
        path = cache / f"{self.set.name.replace(' ', '_')}-{what}-{digest}.npy"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            np.save(path, embed(list(texts)))
        vectors: NDArray[np.float32] = np.load(path)
        return vectors


class _Known(Embeddings):
    """Vectors computed before, for whole sets are asked several times; of other texts (sides of one) new ones."""

    def __init__(self, vectors: Mapping[str, NDArray[np.float32]], embedder: Embedder) -> None:
        self._vectors = vectors
        self._embedder = embedder

    def embed_query(self, text: str) -> list[float]:
        known = self._vectors.get(text)
        vector: list[float] = (self._embedder.embed_question(text) if known is None else known).tolist()
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class _Store:
    """A `PassageStore` that never changes."""

    def __init__(self, passages: Mapping[int, Passage], indexed: Sequence[IndexedPassage]) -> None:
        self._passages = passages
        self._indexed = indexed

    def change(self) -> int:
        return 1

    def changes_since(self, change: int) -> Iterator[PassageChanges]:
        if change < 1:
            yield PassageChanges(1, self._indexed, ())

    def live_keys(self) -> NDArray[np.int64]:
        return np.array(sorted(self._passages), np.int64)

    def hydrate(self, keys: Sequence[int]) -> dict[int, Passage]:
        return {key: self._passages[key] for key in keys if key in self._passages}

    def document_keys(self, filter: Mapping[str, object]) -> None:
        return None


def default_embedder(cache: Path) -> Embedder:
    return load_embedder("", "openvino", cache)
