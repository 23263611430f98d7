"""The words of question answering as values: passages in, hits, citations and answers out.

Owns the frozen values that the packages hand to each other, and `PassageStore`, the only way in which
`rag` sees storage. Knows nothing of SQL, HTTP, files or models. The JSON shapes are made in `app`.

Offsets are Python string offsets (Unicode code points), end exclusive.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""One normalised vector, shape [dimension]."""

Vectors = NDArray[np.float16]
"""The vectors of one passage, shape [1 + windows, dimension]: row 0 is the whole passage."""

NO_PAGE = 0
"""The page number in spans of documents that have no pages (HTML, DOCX, text); `null` in the API."""


class AnswerKind(StrEnum):
    ANSWER = "answer"
    UNCERTAIN = "uncertain"
    NOT_IN_MANUALS = "not_in_manuals"
    CHAT = "chat"
    QUESTION_BACK = "question_back"
    FLOW = "flow"
    HAND_OFF = "hand_off"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Span:
    """A slice of one page's text. `page` counts from 1; `NO_PAGE` where the document has none (see `anchor`)."""

    page: int
    start: int
    end: int
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """One chunk as it stands in storage. `text` is the concatenation of its spans' slices, in order.

    `windows` are (start, end) offsets into `text`; vector row i + 1 belongs to window i.
    `key` and `document_key` are the integers by which indexes know them; `id` and `document_id` are public.
    """

    key: int
    id: str
    document_key: int
    document_id: str
    document_version: int
    external_id: str
    title: str
    heading_path: tuple[str, ...]
    spans: tuple[Span, ...]
    page_label: str | None
    text: str
    windows: tuple[tuple[int, int], ...]
    ordinal: int = 0
    facets: Mapping[str, object] = field(default_factory=dict)
    language: str = ""


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """What an index needs of a passage: its words and its vectors. `words` is title, headings and text.

    window_starts[i] is where in `words` the window of vector row i + 1 begins; empty where it is not known.
    """

    key: int
    document_key: int
    words: str
    vectors: Vectors
    window_starts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PassageChanges:
    """All changes of a knowledge base after one change number, up to and including `change`."""

    change: int
    added: Sequence[IndexedPassage]
    removed: Sequence[int]


@dataclass(frozen=True, slots=True)
class Place:
    """Another place where (nearly) the same passage stands."""

    document_id: str
    external_id: str
    title: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. `score` is the fused score, higher is better; `signals` are its parts by name.

    `window_scores[i]` is the cosine of the question with window i of the passage. `translations` are words of the
    passage, as `rag.analyzer` has them, that are words of a question in another language.
    """

    passage: Passage
    score: float
    signals: Mapping[str, float]
    window_scores: tuple[float, ...] = ()
    also_at: tuple[Place, ...] = ()
    translations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class QuestionVector:
    """The vector of `text` as a question, by the embedder of that identity."""

    text: str
    embedder: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message of the conversation. `cited` are ids of the passages that the answer cited."""

    role: str
    text: str
    cited: tuple[str, ...] = ()

    @property
    def is_customers(self) -> bool:
        """Whether the one who is answered said it, and not the assistant or a person who helps."""
        return self.role == "customer"


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, with the turns before it, oldest first, and the filter that narrows documents.

    `context` tells where the customer is, loosely: the product of the page, or the one talked about so far. `images`
    are data URLs of pictures that belong to the question; only a multimodal model reads them.
    """

    text: str
    history: tuple[Turn, ...] = ()
    filter: Mapping[str, object] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Citation:
    """What a sentence of an answer rests on: `quote` stands verbatim at `spans`. `marker` counts from 1."""

    marker: int
    passage_id: str
    document_id: str
    document_version: int
    external_id: str
    title: str
    heading_path: tuple[str, ...]
    spans: tuple[Span, ...]
    page_label: str | None
    quote: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer. `text` carries its markers as `[1]`. `details` are counts and scores worth keeping."""

    kind: AnswerKind
    text: str
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    searched_for: str
    answerer: str
    model: str | None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """First event of an answer: the hits it will be made from."""

    hits: tuple[Hit, ...]
    searched_for: str


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer's text, to be appended."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation whose marker has just appeared in the text."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing yet: a model is being waited for. Whoever no longer wants the answer can close the stream here."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event: the whole answer. Its text replaces what the tokens built, should the two differ."""

    answer: Answer


AnswerEvent = Retrieved | Token | Cited | Waiting | Finished


class PassageStore(Protocol):
    """Storage as `rag` sees it. Every call reads the committed truth of one knowledge base."""

    def change(self) -> int:
        """The knowledge base's change number now."""
        ...

    def changes_since(self, change: int) -> Iterable[PassageChanges]:
        """All that changed after `change`, in batches, in commit order; from 0 the whole live content."""
        ...

    def live_keys(self) -> NDArray[np.int64]:
        """The keys of all live passages, ascending."""
        ...

    def hydrate(self, keys: Sequence[int]) -> dict[int, Passage]:
        """The live passages among `keys`; deleted ones are missing from the result."""
        ...

    def document_keys(self, filter: Mapping[str, object]) -> NDArray[np.int64] | None:
        """The keys of the documents that a filter admits, or None when it admits all.

        Raises `rag.errors.UnknownFilter` for a field that no document can have.
        """
        ...
