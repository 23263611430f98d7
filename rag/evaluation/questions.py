"""Golden questions: what is asked, after which turns, and what a right answer is.

Owns the values and their JSON form, one object a question. Does not know where they are kept nor how they are asked.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rag.types import Turn

NOT_ANSWERABLE: Final = "not answerable"
"""What stands in place of an expectation where the manuals are silent."""

LONGEST_ID: Final = 200

LONGEST_TEXT: Final = 10_000
"""Characters of a question, of an expected answer, and of a filter as JSON."""

LONGEST_TURN: Final = 100_000
LONGEST_DOCUMENT: Final = 1_000
MOST_TURNS: Final = 100
MOST_EXPECTED: Final = 100
HIGHEST_PAGE: Final = 100_000

_QUESTION_FIELDS: Final = frozenset(("id", "question", "history", "filter", "expected"))
_EXPECTED_FIELDS: Final = frozenset(("document", "page", "answer"))
_ROLES: Final = frozenset(("customer", "assistant", "agent"))


@dataclass(frozen=True, slots=True)
class Expected:
    """A right answer: where it stands, and what it says. What is empty is not looked at.

    `documents` are external ids, all of them relevant. `pages` count from 1 in the file; one of them is enough.
    Of several `answers` one is enough.
    """

    documents: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """`expected` None: the manuals do not say it, and a refusal is the right answer."""

    id: str
    text: str
    expected: Expected | None
    history: tuple[Turn, ...] = ()
    filter: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_later_turn(self) -> bool:
        return bool(self.history)


def question_from(record: object) -> GoldenQuestion:
    """The question in a JSON object:

        {"id"?, "question", "history"?: [turn, ...], "filter"?, "expected": "not answerable" | {"document"?, "page"?,
         "answer"?}}

    A turn is a text (the customer's) or `{"role", "text", "cited"?: [passage id, ...]}`; document, page and answer are
    one value or a list. A question without id gets one that is made of what is asked, so that it is the same in the
    file's next version.
    Raises `ValueError` with what is wrong.
    """
    if not isinstance(record, dict):
        raise ValueError(f"a question is an object, not {_kind(record)}")
    _no_others(record, _QUESTION_FIELDS, "a question")
    text = record.get("question")
    if not isinstance(text, str) or not text.strip():
        raise ValueError('"question" must be a text')
    if "expected" not in record:
        raise ValueError(f'"expected" is missing: {{"document": ..., "answer": ...}}, or "{NOT_ANSWERABLE}"')
    filter_ = record.get("filter") or {}
    if not isinstance(filter_, dict):
        raise ValueError('"filter" must be an object')
    expected = _expected(record["expected"])
    history = turns_from(record.get("history"))
    id_ = record.get("id", _id_of(text, history, filter_))
    if not isinstance(id_, str | int) or isinstance(id_, bool) or not 0 < len(str(id_)) <= LONGEST_ID:
        raise ValueError(f'"id" must be a text of at most {LONGEST_ID} characters')
    return GoldenQuestion(str(id_), text.strip(), expected, history, filter_)


def require_bounds(question: GoldenQuestion) -> None:
    """Raises `ValueError` for what is too large to be kept and asked again and again.

    Not part of `question_from`: public sets are read too, and what was kept under other bounds.
    """
    _require_at_most(LONGEST_TEXT, "characters", "the question", len(question.text))
    _require_at_most(MOST_TURNS, "turns", "its history", len(question.history))
    for turn in question.history:
        _require_at_most(LONGEST_TURN, "characters", "a turn", len(turn.text))
    _require_at_most(LONGEST_TEXT, "characters", "the filter", len(json.dumps(question.filter)))
    if question.expected is None:
        return
    expected = question.expected
    for values in (expected.documents, expected.pages, expected.answers):
        _require_at_most(MOST_EXPECTED, "values", "an expectation", len(values))
    for document in expected.documents:
        _require_at_most(LONGEST_DOCUMENT, "characters", "a document's external id", len(document))
    for answer in expected.answers:
        _require_at_most(LONGEST_TEXT, "characters", "an expected answer", len(answer))
    if expected.pages and max(expected.pages) > HIGHEST_PAGE:
        raise ValueError(f"a page can be {HIGHEST_PAGE:,} at most, not {max(expected.pages):,}")


def record_of(question: GoldenQuestion) -> dict[str, Any]:
    """The JSON object of which `question_from` makes the question again."""
    return {
        "id": question.id,
        "question": question.text,
        **({"history": [_record_of_turn(turn) for turn in question.history]} if question.history else {}),
        **({"filter": dict(question.filter)} if question.filter else {}),
        "expected": NOT_ANSWERABLE if question.expected is None else _record_of_expected(question.expected),
    }


def turns_from(history: object) -> tuple[Turn, ...]:
    """Raises `ValueError`."""
    if history is None:
        return ()
    if not isinstance(history, list):
        raise ValueError(f'"history" must be a list of turns, not {_kind(history)}')
    return tuple(_turn(turn) for turn in history)


def _id_of(text: str, history: Sequence[Turn], filter_: Mapping[str, object]) -> str:
    asked = [text.strip(), [[turn.role, turn.text] for turn in history], filter_]
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=6).hexdigest()


def _turn(turn: object) -> Turn:
    if isinstance(turn, str):
        return Turn("customer", turn)
    if not isinstance(turn, dict) or not isinstance(turn.get("text"), str):
        raise ValueError('a turn of "history" is a text or {"role": ..., "text": ...}')
    role = turn.get("role", "customer")
    if role not in _ROLES:
        raise ValueError(f'a turn\'s "role" is customer, assistant or agent, not {role!r}')
    cited = turn.get("cited") or ()
    if not isinstance(cited, list | tuple):
        raise ValueError('a turn\'s "cited" is a list of passage ids')
    return Turn(role, turn["text"], tuple(map(str, cited)))


def _record_of_turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "text": turn.text, **({"cited": list(turn.cited)} if turn.cited else {})}


def _require_at_most(most: int, unit: str, what: str, there: int) -> None:
    if there > most:
        raise ValueError(f"{what} can have {most:,} {unit}, not {there:,}")


def _expected(value: object) -> Expected | None:
    if value == NOT_ANSWERABLE:
        return None
    if not isinstance(value, dict):
        raise ValueError(f'"expected" is an object or "{NOT_ANSWERABLE}", not {_kind(value)}')
    _no_others(value, _EXPECTED_FIELDS, '"expected"')
    documents = _texts(value.get("document"), "document")
    answers = _texts(value.get("answer"), "answer")
    pages = value.get("page")
    numbers: list[Any] = [] if pages is None else pages if isinstance(pages, list) else [pages]
    if any(not isinstance(page, int) or isinstance(page, bool) or page < 1 for page in numbers):
        raise ValueError('"page" must be a whole number from 1, or a list of them')
    if numbers and not documents:
        raise ValueError('"page" needs the "document" that it is a page of')
    if not documents and not answers:
        raise ValueError(f'"expected" needs a "document" or an "answer"; or write "{NOT_ANSWERABLE}"')
    return Expected(documents, tuple(numbers), answers)


def _texts(value: object, name: str) -> tuple[str, ...]:
    texts = []
    for each in [] if value is None else value if isinstance(value, list) else [value]:
        if not isinstance(each, str) or not each.strip():
            raise ValueError(f'"{name}" must be a text or a list of texts')
        texts.append(each.strip())
    return tuple(texts)


def _record_of_expected(expected: Expected) -> dict[str, Any]:
    parts: dict[str, Sequence[object]] = {
        "document": expected.documents,
        "page": expected.pages,
        "answer": expected.answers,
    }
    return {name: values[0] if len(values) == 1 else list(values) for name, values in parts.items() if values}


def _no_others(record: Mapping[str, object], known: frozenset[str], what: str) -> None:
    if others := sorted(record.keys() - known):
        raise ValueError(f"{what} has no {others[0]!r}; it has {', '.join(sorted(known))}")


def _kind(value: object) -> Literal["a list", "a text", "a number", "null", "an object"]:
    if isinstance(value, dict):
        return "an object"
    return (
        "a list"
        if isinstance(value, list)
        else "a text"
        if isinstance(value, str)
        else "null"
        if value is None
        else "a number"
    )
