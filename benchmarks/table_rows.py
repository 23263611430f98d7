"""Whether a row of a long table is found by the name of its column: `python -m benchmarks.table_rows --cache FOLDER`.

Made are PDF manuals in English and Chinese. Each has two tables over three pages, whose rows are the same models and
whose columns differ; in half of the manuals the header is printed on every page, in the others on the first one only,
and in a third of each the tables have no rules. Then every row is asked for: "What is the weight of the KP-317?".

Printed is how often the best passage, and the best five, hold the row, and the same of the windows by their vectors;
first with rows embedded without the names of their columns, then as the product embeds them. Needs the default install
only.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

from benchmarks.question_sets import Asked, EmbeddedSet, QuestionSet, default_embedder
from ingestion.parsers.base import Limits, Source
from ingestion.parsers.pdf import PdfParser
from ingestion.types import BlockKind, ParsedPage

ROWS = 90
FONT = "STSong-Light"
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=9, leading=12, wordWrap="CJK")
GRID = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
ENGLISH = (
    "What is the {column} of the {model}?",
    [
        ("Technical data of the pumps", ["Model", "Weight", "Rated power", "Flow rate", "Noise level"]),
        ("Maintenance plan of the pumps", ["Model", "Filter change", "Oil change", "Seal inspection", "Service life"]),
    ],
    ["{} kg", "{} W", "{} l/min", "{} dB"],
    ["{} hours", "{} days", "{} weeks", "{} years"],
)
CHINESE = (
    "{model}的{column}是多少？",
    [
        ("水泵技术数据", ["型号", "重量", "额定功率", "流量", "噪声级"]),
        ("水泵保养计划", ["型号", "滤芯更换周期", "换油周期", "密封检查周期", "使用寿命"]),
    ],
    ["{} 千克", "{} 瓦", "{} 升/分", "{} 分贝"],
    ["{} 小时", "{} 天", "{} 周", "{} 年"],
)
KINDS = [(repeated, ruled) for repeated in (True, False) for ruled in (True, True, False)]
CUTS = (1, 5)


def main() -> None:
    arguments = _arguments()
    embedder = default_embedder(arguments.cache)
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    with TemporaryDirectory() as folder:
        for language, words in (("en", ENGLISH), ("zh", CHINESE)):
            questions = _manuals(language, words, Path(folder), Random(arguments.seed))
            for name, pages in (("without", _without_names), ("with", _pages)):
                asked = EmbeddedSet(questions, embedder, arguments.cache / "vectors", pages)
                print(f"{language} {name:8}", *_shares(asked))


def _manuals(
    language: str, words: tuple[str, list[tuple[str, list[str]]], list[str], list[str]], folder: Path, random: Random
) -> QuestionSet:
    question, tables, *units = words
    documents: list[tuple[str, str]] = []
    questions: list[Asked] = []
    numbers = random.sample(range(100, 10_000), ROWS * len(KINDS))
    for kind, (repeated, ruled) in enumerate(KINDS):
        models = [f"KP-{number}" for number in numbers[kind * ROWS : (kind + 1) * ROWS]]
        made = []
        for (title, columns), each in zip(tables, units, strict=True):
            rows = [[model, *(unit.format(random.randrange(2, 999)) for unit in each)] for model in models]
            made.append((title, [columns, *rows]))
            for row in random.sample(rows, 8):
                column = random.randrange(1, len(columns))
                name = columns[column].lower() if language == "en" else columns[column]
                questions.append(Asked(question.format(column=name, model=row[0]), kind, (" | ".join(row),)))
        path = folder / f"{language}-{kind}.pdf"
        _write(path, made, repeated=repeated, ruled=ruled)
        documents.append((f"KP {kind + 1}", str(path)))
    return QuestionSet(f"table rows {language}", documents, questions)


def _write(path: Path, tables: Sequence[tuple[str, list[list[str]]]], *, repeated: bool, ruled: bool) -> None:
    flowables = []
    for title, rows in tables:
        cells = [[Paragraph(cell, TEXT) for cell in row] for row in rows]
        table = Table(cells, colWidths=[60, 85, 85, 85, 85], repeatRows=int(repeated), style=GRID if ruled else [])
        flowables += [Paragraph(title, ParagraphStyle("title", TEXT, fontSize=15, spaceAfter=12)), table, PageBreak()]
    SimpleDocTemplate(str(path), pagesize=(500, 700), topMargin=40, bottomMargin=40).build(flowables)


def _pages(path: str) -> Iterator[ParsedPage]:
    for item in PdfParser().parse(Source(Path(path), path), Limits()):
        if isinstance(item, ParsedPage):
            yield item


def _without_names(path: str) -> Iterator[ParsedPage]:
    for page in _pages(path):
        yield replace(
            page,
            blocks=tuple(
                replace(block, columns="", kind=BlockKind.TABLE_ROW if block.kind is BlockKind.REPEATED else block.kind)
                for block in page.blocks
            ),
        )


def _shares(asked: EmbeddedSet) -> Iterator[str]:
    """Recall of passages and of windows at each cut."""
    retriever = asked.retriever(range(len(asked.set.documents)))
    found: dict[str, int] = {}
    windows = sum(len(passage.windows) for passage in asked.passages)
    for question in asked.set.questions:
        hits = retriever.search(question.text, top_k=20).hits
        row = _squeezed(question.answers[0])
        texts = [_squeezed(hit.passage.text) for hit in hits]
        scored = [
            (score, _squeezed(hit.passage.text[start:end]))
            for hit in hits
            for score, (start, end) in zip(hit.window_scores, hit.passage.windows, strict=True)
        ]
        best = [text for _, text in sorted(scored, reverse=True)]
        for cut in CUTS:
            for name, ranked in (("passage", texts), ("window", best)):
                found[f"{name}@{cut}"] = found.get(f"{name}@{cut}", 0) + any(row in text for text in ranked[:cut])
    yield f"{len(asked.set.questions)} questions, {len(asked.passages)} passages, {windows} windows:"
    for name, count in sorted(found.items()):
        yield f"{name} {count / len(asked.set.questions):.3f}"


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder for the exported embedder and vectors")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
