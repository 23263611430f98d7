"""Makes the two PDF files of the sample knowledge base from their text. Knows which block becomes which flowable."""

from pathlib import Path
from typing import Any

from reportlab.lib.colors import white
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import CondPageBreak
from reportlab.platypus import Table as Grid

from app.sample import source
from app.sample.drawing import MachineDrawing
from app.sample.look import (
    ACCENT,
    BAND,
    BOLD,
    COLUMN,
    COLUMN_HEIGHT,
    RULE,
    SIGNAL_COLOURS,
    ManualDocument,
    paragraph_styles,
    register_fonts,
    text,
)

LANGUAGES = ("en", "zh")
TABLE_WORD = {"en": "Table", "zh": "表"}

Styles = dict[str, ParagraphStyle]


def render_sample(folder: Path) -> list[Path]:
    """Write the English and the Chinese manual into `folder`, which is made if need be, and return their paths.

    The same text gives the same bytes. Raises ValueError if the text is malformed or the font lacks a character.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manuals = [source.read_manual(Path(__file__).with_name(f"manual.{language}.md")) for language in LANGUAGES]
    register_fonts(repr(manuals))
    return [_render(manual, folder) for manual in manuals]


def _render(manual: source.Manual, folder: Path) -> Path:
    path = folder / f"{manual.facts['name']}-{manual.facts['language']}.pdf"
    styles = paragraph_styles()
    document = ManualDocument(path, manual.facts, styles)
    document.multiBuild([*document.front(), *_body(manual, styles)])
    return path


def _body(manual: source.Manual, styles: Styles) -> list[Any]:
    """The flowables of all chapters. A heading is held together with what follows it."""
    flowables: list[Any] = []
    headings: list[Any] = []
    tables = 0
    for block in manual.blocks:
        if isinstance(block, source.Heading):
            headings.append(_heading(block, styles))
            continue
        room = 60.0
        match block:
            case source.Paragraph():
                made = [text(block.text, styles["body"], COLUMN)]
            case source.Items():
                made = _items(block, styles)
            case source.Signal():
                made = [_signal(block, manual.facts[block.kind], styles["signal"])]
            case source.Figure():
                drawing = MachineDrawing(COLUMN * 0.72, ACCENT, BOLD)
                made = [drawing, text(block.caption, styles["caption"], COLUMN)]
                room = drawing.height + 20
            case source.Table():
                tables += 1
                word = TABLE_WORD[manual.facts["language"]]
                caption = text(f"**{word} {tables}**  {block.caption}", styles["caption"], COLUMN)
                grid = _grid(block, styles)
                made, room = [caption, grid], 24 + _unbroken_height(grid)
        new_chapter = any(heading.entry[0] == 0 for heading in headings)
        room = max(room + 34 * len(headings), COLUMN_HEIGHT * 0.5 if new_chapter else 0)
        flowables += [CondPageBreak(room), *headings, *made]
        headings = []
    return flowables


def _heading(block: source.Heading, styles: Styles) -> Any:
    title = f"{block.number} {block.text}"
    heading = text(title, styles["section" if block.level else "chapter"], COLUMN)
    heading.entry = (block.level, title, f"section-{block.number}")
    return heading


def _items(block: source.Items, styles: Styles) -> list[Any]:
    last = len(block.texts)
    return [
        text(item, styles["last item" if n == last else "item"], COLUMN, bulletText=f"{n}." if block.ordered else "·")
        for n, item in enumerate(block.texts, start=1)
    ]


def _signal(block: source.Signal, label: str, style: ParagraphStyle) -> Any:
    colour, side, padding = SIGNAL_COLOURS[block.kind], 60, 5
    head = text(label, ParagraphStyle("label", style, fontName=BOLD, textColor=white, alignment=1), side)
    box = Grid([[head, text(block.text, style, COLUMN - side - 2 * padding)]], colWidths=[side, COLUMN - side])
    box.setStyle(
        [
            ("BACKGROUND", (0, 0), (0, 0), colour),
            ("BOX", (0, 0), (-1, -1), 0.9, colour),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LEFTPADDING", (0, 0), (-1, -1), padding),
            ("RIGHTPADDING", (0, 0), (-1, -1), padding),
        ]
    )
    box.spaceBefore, box.spaceAfter = 3, 8
    return box


def _grid(block: source.Table, styles: Styles) -> Any:
    widths = [COLUMN * share / sum(block.shares) for share in block.shares]
    padding = 4.5
    rows = [
        [
            text(cell, styles["cell" if n else "head"], width - 2 * padding)
            for cell, width in zip(row, widths, strict=True)
        ]
        for n, row in enumerate(block.rows)
    ]
    grid = Grid(rows, colWidths=widths, repeatRows=1)
    grid.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.5, RULE),
            ("BACKGROUND", (0, 0), (-1, 0), ACCENT),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, BAND]),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("TOPPADDING", (0, 0), (-1, -1), 2.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.4),
            ("LEFTPADDING", (0, 0), (-1, -1), padding),
            ("RIGHTPADDING", (0, 0), (-1, -1), padding),
        ]
    )
    grid.spaceAfter = 9
    return grid


def _unbroken_height(grid: Any) -> float:
    """The height that must be free to begin `grid`: all of a small table, the first rows of a large one."""
    height: float = grid.wrap(COLUMN, COLUMN_HEIGHT)[1]
    return height if height < COLUMN_HEIGHT * 0.45 else 110
