"""Reads questions from files: golden JSONL, BEIR's queries and judgements, SQuAD.

Owns the formats. Whatever is wrong with a file raises `BadEvaluationFile` with the line, or in SQuAD's one large object
the place.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import BadEvaluationFile
from rag.evaluation.questions import Expected, GoldenQuestion, question_from, turns_from

Judgements = Mapping[str, Mapping[str, int]]
"""Query id -> external id -> grade; above 0 is relevant."""


@dataclass(frozen=True, slots=True)
class SquadSet:
    """`documents` are (external id, title, text), one a paragraph; `questions` expect the paragraph they are about."""

    documents: Sequence[tuple[str, str, str]]
    questions: Sequence[GoldenQuestion]


def read_golden(path: Path) -> list[GoldenQuestion]:
    """Golden questions, one JSON object a line (`rag.evaluation.questions.question_from`)."""
    return parse_golden(_text(path), str(path))


def parse_golden(text: str, name: str) -> list[GoldenQuestion]:
    """As `read_golden`, of a text that is called `name` in errors."""
    questions: dict[str, GoldenQuestion] = {}
    for number, record in _records(text, name):
        try:
            question = question_from(record)
        except ValueError as error:
            raise BadEvaluationFile(f"{name}, line {number}: {error}") from error
        if question.id in questions:
            raise BadEvaluationFile(
                f"{name}, line {number}: the same question, or its id {question.id!r}, is there already"
            )
        questions[question.id] = question
    if not questions:
        raise BadEvaluationFile(f"{name} holds no questions")
    return list(questions.values())


def read_beir(queries: Path, judgements: Path) -> tuple[list[GoldenQuestion], int]:
    """The judged queries, and how many others there are, of which nothing is known.

    Queries are JSONL of `{"_id", "text", "history"?, "answer"?, "filter"?}`; what else stands there is not looked at.
    """
    grades = read_judgements(judgements)
    found: list[GoldenQuestion] = []
    others = 0
    for number, record in _records(_text(queries), str(queries)):
        try:
            id_, text = str(record["_id"]), str(record["text"])
            history, answer = turns_from(record.get("history")), record.get("answer")
            filter_ = dict(record.get("filter") or {})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            shape = '{"_id": ..., "text": ..., "history": [...]}'
            raise BadEvaluationFile(f"{queries}, line {number}: expected {shape} ({error!r})") from error
        relevant = tuple(document for document, grade in grades.get(id_, {}).items() if grade > 0)
        if not relevant:
            others += 1
            continue
        answers = (answer,) if isinstance(answer, str) and answer.strip() else ()
        found.append(GoldenQuestion(id_, text, Expected(relevant, answers=answers), history, filter_))
    if not found:
        raise BadEvaluationFile("none of the queries has a relevant document: do both files belong together?")
    return found, others


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Tab- or blank-separated judgements, as BEIR (`query-id corpus-id score`, with that header) or TREC
    (`query 0 document grade`) has them.
    """
    judgements: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        # Ids may hold blanks where tabs separate.
        columns = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE), []) if "\t" in line else line.split()
        if not columns or (number == 1 and columns[0] == "query-id"):
            continue
        try:
            query, document, grade = columns if len(columns) == 3 else (columns[0], *columns[2:])
            judgements.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            raise BadEvaluationFile(
                f"{path}, line {number}: expected query, document and a whole number, or TREC's four columns"
            ) from error
    return judgements


def read_squad(path: Path) -> SquadSet:
    """A file in the format of SQuAD 1.1 or 2.0 (Rajpurkar et al., 2016 and 2018); `is_impossible`: not answerable.

    External ids of the paragraphs are made of their places, `article-paragraph` from 1, the same each time.
    """
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise BadEvaluationFile(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    documents: list[tuple[str, str, str]] = []
    questions: list[GoldenQuestion] = []
    place = "data"
    try:
        for article_number, article in enumerate(content["data"], start=1):
            place = f"article {article_number}"
            title = str(article.get("title", "")).replace("_", " ")
            for paragraph_number, paragraph in enumerate(article["paragraphs"], start=1):
                place = f"article {article_number}, paragraph {paragraph_number}"
                external_id = f"{article_number}-{paragraph_number}"
                documents.append((external_id, title, str(paragraph["context"])))
                for number, asked in enumerate(paragraph["qas"], start=1):
                    place = f"article {article_number}, paragraph {paragraph_number}, question {number}"
                    questions.append(_squad_question(asked, external_id, f"{external_id}-{number}"))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadEvaluationFile(f"{path}, {place}: not in SQuAD's format ({error!r})") from error
    if not questions:
        raise BadEvaluationFile(f"{path} holds no questions")
    return SquadSet(documents, questions)


def squad_documents(found: SquadSet) -> Iterator[str]:
    """The paragraphs as lines of JSONL that `answerdesk ingest` reads, one document a line."""
    for external_id, title, text in found.documents:
        yield json.dumps({"_id": external_id, "title": title, "text": text}, ensure_ascii=False) + "\n"


def _squad_question(asked: Mapping[str, Any], external_id: str, default_id: str) -> GoldenQuestion:
    answers = tuple(dict.fromkeys(str(answer["text"]) for answer in asked["answers"]))
    expected = None if asked.get("is_impossible") or not answers else Expected((external_id,), answers=answers)
    return GoldenQuestion(str(asked.get("id") or default_id), str(asked["question"]), expected)


def _records(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of the lines that are not empty, with their numbers. Only "\n" ends a line in JSONL."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadEvaluationFile(f"{name}, line {number}: not JSON ({error})") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadEvaluationFile(f"{path} is not a text in UTF-8") from error
    except OSError as error:
        raise BadEvaluationFile(f"{path} cannot be read: {error.strerror}") from error
