"""What is found out about a generation's documents: their languages, which are alike, what recurs, what is unreadable.

Owns what of it is told, and which passages each filter would exclude. A duplicate's passage is excluded only when all
of its text stands in the document that is kept, and boilerplate in all places but the first: so the last place of a
text is never lost, except for text that nobody can read. Documents that differ in product, version, audience or
language are never taken for each other. Reads everything, some hundred pages a second; writes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.document_shapes import (
    BoilerplateShape,
    DuplicatesShape,
    EffectShape,
    ExampleShape,
    Findings,
    LanguageCountShape,
    LikeDocumentShape,
    PlaceInDocument,
    UnreadableShape,
)
from app.filters import scope_of
from app.knowledge_base_settings import DocumentFilter
from app.models import Document, Page, Passage
from ingestion.quality.legible import is_unreadable, is_unreadable_page
from ingestion.quality.likeness import Likeness, Sketch, alike, shingles
from ingestion.quality.recurring import Recurring, Run, said_before

LISTED = 100
"""Groups, texts and documents of each kind that are listed; how many there are is told besides."""

EXAMPLES = 3
_PLACES = 20
_LONGEST_TEXT = 400
_FEWEST_TIMES = 3
"""Sentences recur oftener, but not always in this company."""

_ROWS = 500
_TITLED_BY_PEOPLE = "application/jsonl"
"""Of this type's records the title is a question or heading of its own, which the same text may stand under twice."""


@dataclass(frozen=True, slots=True)
class Found:
    """The findings, and the keys of the passages that each filter excludes."""

    findings: Findings
    excluded: Mapping[DocumentFilter, frozenset[int]]


def find(session: Session, knowledge_base_id: str, generation_id: str) -> Found:
    """All that there is to tell, from what the session sees."""
    return _Finder(session, knowledge_base_id, generation_id).find()


@dataclass(slots=True)
class _Known:
    """A document, and what has been found out about it."""

    key: int
    id: str
    external_id: str
    title: str
    language: str
    pages: int
    scope: tuple[object, ...]
    has_own_title: bool
    warned: frozenset[int]
    sketch: Sketch = field(default_factory=Sketch)
    unreadable_pages: list[int] = field(default_factory=list)
    unreadable_passages: int = 0
    like: Likeness | None = None

    @property
    def is_duplicate(self) -> bool:
        return self.like is not None and not self.like.is_sibling

    @property
    def front(self) -> str:
        """What tells it from other documents with the same text."""
        return f"{self.title}\n" if self.has_own_title else ""


@dataclass(slots=True)
class _Recurring:
    """A text that recurs, as it stands in its first place."""

    text: str
    count: int = 0
    documents: set[int] = field(default_factory=set)
    places: list[PlaceInDocument] = field(default_factory=list)


class _Finder:
    def __init__(self, session: Session, knowledge_base_id: str, generation_id: str) -> None:
        self._session = session
        self._generation_id = generation_id
        self._documents = {each.key: each for each in _documents(session, knowledge_base_id)}
        self._excluded: dict[DocumentFilter, dict[int, int]] = {each: {} for each in DocumentFilter}
        self._passages = 0

    def find(self) -> Found:
        self._read_pages()
        self._find_alike()
        recurring = self._read_passages()
        texts = self._find_recurring(recurring)
        self._find_said_by_others()
        return Found(self._told(texts), {name: frozenset(documents) for name, documents in self._excluded.items()})

    def _read_pages(self) -> None:
        query = select(Page.document_key, Page.number, Page.text).where(Page.generation_id == self._generation_id)
        for key, number, text in self._rows(query.order_by(Page.document_key, Page.number)):
            document = self._documents[key]
            document.sketch.add(text)
            if number and (is_unreadable_page(text) if text.strip() else number in document.warned):
                document.unreadable_pages.append(number)

    def _find_alike(self) -> None:
        """Of documents that are alike the newest is kept."""
        newest_first = sorted(self._documents.values(), key=lambda each: -each.key)
        for each in newest_first:
            each.sketch.add(each.title)
        for likeness in alike((each.key, each.scope, each.sketch) for each in newest_first):
            self._documents[likeness.key].like = likeness

    def _read_passages(self) -> Recurring:
        """Finds what is unreadable, and counts sentences."""
        recurring = Recurring()
        for row in self._passage_rows(Passage.key, Passage.document_key, Passage.text):
            self._passages += 1
            document = self._documents[row.document_key]
            if is_unreadable(row.text):
                document.unreadable_passages += 1
                self._excluded[DocumentFilter.UNREADABLE][row.key] = row.document_key
            if not document.is_duplicate:
                recurring.add(row.text, document.scope)
        recurring.count()
        return recurring

    def _find_recurring(self, recurring: Recurring) -> list[_Recurring]:
        """The texts that recur, and which passages say nothing else that is not said before."""
        texts: dict[bytes, _Recurring] = {}
        documents: dict[int, int] = {}

        def candidates() -> Iterator[tuple[int, tuple[object, ...], str]]:
            columns = (Passage.key, Passage.id, Passage.document_key, Passage.first_page, Passage.text)
            for row in self._passage_rows(*columns):
                document = self._documents[row.document_key]
                if document.is_duplicate:
                    continue
                runs, is_covered = recurring.runs(row.text, document.scope)
                for run in runs:
                    _note(texts, run, row, document)
                if is_covered:
                    documents[row.key] = row.document_key
                    yield row.key, document.scope, document.front + row.text

        for key in said_before(candidates()):
            self._excluded[DocumentFilter.BOILERPLATE][key] = documents[key]
        told = [each for each in texts.values() if each.count >= _FEWEST_TIMES]
        return sorted(told, key=lambda each: (-each.count, -len(each.text)))

    def _find_said_by_others(self) -> None:
        """Of duplicates, the passages that stand in the document that is kept, from their first word to their last."""
        duplicates_of: dict[int, list[int]] = {}
        for each in self._documents.values():
            if each.like is not None and each.is_duplicate:
                duplicates_of.setdefault(each.like.like, []).append(each.key)
        columns = (Passage.key, Passage.document_key, Passage.text)
        for kept, duplicates in duplicates_of.items():
            texts = (row.text for row in self._passage_rows(*columns, documents=[kept]))
            known = shingles(self._documents[kept].front + "\n".join(texts))
            for row in chain.from_iterable(self._passage_rows(*columns, documents=[each]) for each in duplicates):
                text = self._documents[row.document_key].front + row.text
                if np.isin(shingles(text), known, assume_unique=True).all():
                    self._excluded[DocumentFilter.DUPLICATE][row.key] = row.document_key

    def _passage_rows(self, *columns: Any, documents: list[int] | None = None) -> Iterator[Any]:
        query = select(*columns).where(Passage.generation_id == self._generation_id)
        if documents is not None:
            query = query.where(Passage.document_key.in_(documents))
        return self._rows(query.order_by(Passage.document_key, Passage.ordinal))

    def _rows(self, query: Any) -> Iterator[Any]:
        return iter(self._session.execute(query.execution_options(yield_per=_ROWS)))

    def _told(self, texts: list[_Recurring]) -> Findings:
        groups = _groups(self._documents)
        unreadable = [each for each in self._documents.values() if each.unreadable_pages or each.unreadable_passages]
        languages = Counter(each.language for each in self._documents.values())
        return Findings(
            documents=len(self._documents),
            passages=self._passages,
            languages=[LanguageCountShape(language=name, documents=n) for name, n in languages.most_common()],
            duplicates=groups[:LISTED],
            duplicate_groups=len(groups),
            boilerplate=[
                BoilerplateShape(text=each.text, count=each.count, documents=len(each.documents), places=each.places)
                for each in texts[:LISTED]
            ],
            boilerplate_texts=len(texts),
            unreadable=[
                UnreadableShape(
                    document_id=each.id,
                    external_id=each.external_id,
                    title=each.title,
                    pages=each.unreadable_pages,
                    passages=each.unreadable_passages,
                )
                for each in unreadable[:LISTED]
            ],
            unreadable_documents=len(unreadable),
            effects={name: self._effect(documents) for name, documents in self._excluded.items()},
        )

    def _effect(self, documents: Mapping[int, int]) -> EffectShape:
        """`documents` are keys of passages, each with its document's. The examples are of different documents."""
        of_document = {document: passage for passage, document in reversed([*documents.items()])}
        first = list(of_document.values())
        known = set(first)
        chosen = list(islice(chain(first, (key for key in documents if key not in known)), EXAMPLES))
        columns = (Passage.key, Passage.id, Passage.document_key, Passage.first_page, Passage.text)
        rows = self._session.execute(select(*columns).where(Passage.key.in_(chosen)).order_by(Passage.key))
        examples = [
            ExampleShape(text=_shortened(row.text), **_place(row, self._documents[row.document_key]).model_dump())
            for row in rows
        ]
        return EffectShape(passages=len(documents), documents=len({*documents.values()}), examples=examples)


def _documents(session: Session, knowledge_base_id: str) -> Iterator[_Known]:
    query = select(Document).where(Document.knowledge_base_id == knowledge_base_id, Document.version > 0)
    for row in session.scalars(query.order_by(Document.key)):
        yield _Known(
            key=row.key,
            id=row.id,
            external_id=row.external_id,
            title=row.title,
            language=row.language,
            pages=row.page_count,
            scope=(*scope_of(row.facets, row.language), row.is_public),  # no public text gives way to an internal one
            has_own_title=row.media_type == _TITLED_BY_PEOPLE,
            warned=frozenset(page for page, _ in row.warnings),
        )


def _note(texts: dict[bytes, _Recurring], run: Run, row: Any, document: _Known) -> None:
    text = texts.setdefault(run.name, _Recurring(_shortened(row.text[run.start : run.end])))
    text.count += 1
    text.documents.add(document.key)
    if len(text.places) < _PLACES:
        text.places.append(_place(row, document))


def _groups(documents: Mapping[int, _Known]) -> list[DuplicatesShape]:
    """Each document that others are like, with those, the largest groups first and duplicates before siblings."""
    members: dict[tuple[int, bool], list[_Known]] = {}
    for each in documents.values():
        if each.like is not None:
            members.setdefault((each.like.like, each.like.is_sibling), []).append(each)
    groups = []
    for (first, is_sibling), others in members.items():
        others.sort(key=lambda each: -each.like.share if each.like else 0.0)
        shares = [each.like.share for each in others if each.like]
        groups.append(
            DuplicatesShape(
                kind="siblings" if is_sibling else "duplicate",
                count=len(others) + 1,
                share=round(min(shares), 3),
                documents=[_like(documents[first], None), *(_like(each, each.like) for each in others[: _PLACES - 1])],
            )
        )
    return sorted(groups, key=lambda group: (group.kind, -group.count, -group.share))


def _like(document: _Known, like: Likeness | None) -> LikeDocumentShape:
    return LikeDocumentShape(
        document_id=document.id,
        external_id=document.external_id,
        title=document.title,
        pages=document.pages,
        share=None if like is None else round(like.share, 3),
    )


def _place(row: Any, document: _Known) -> PlaceInDocument:
    return PlaceInDocument(
        passage_id=row.id,
        document_id=document.id,
        external_id=document.external_id,
        title=document.title,
        page=row.first_page or None,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
