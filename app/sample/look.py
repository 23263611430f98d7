"""How a page of the sample manuals looks: fonts, colours, styles, cover, running header and footer.

Knows pages, not the text of the manuals.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import B5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    FrameBreak,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
)
from reportlab.platypus.tableofcontents import TableOfContents

from app.sample import drawing
from app.sample.fonts import cut_fonts
from app.sample.lines import marked_lines

REGULAR, BOLD = "ManualSans", "ManualSans-Bold"
WEIGHTS = {REGULAR: 400, BOLD: 700}

PAGE_WIDTH, PAGE_HEIGHT = B5
MARGIN, TOP, BOTTOM, GAP = 16 * mm, 21 * mm, 18 * mm, 9 * mm
COLUMN, COLUMN_HEIGHT = PAGE_WIDTH - 2 * MARGIN, PAGE_HEIGHT - TOP - BOTTOM

ACCENT, INK, QUIET, RULE, BAND = (HexColor(c) for c in ("#14605A", "#1D2422", "#6A7572", "#9AA5A2", "#F2F6F5"))
SIGNAL_COLOURS = {
    "danger": HexColor("#B3261E"),
    "warning": HexColor("#C25E00"),
    "caution": HexColor("#8A6D00"),
    "note": HexColor("#2F5D8A"),
}


def register_fonts(characters: str) -> None:
    """Make REGULAR and BOLD known to reportlab. Raises ValueError where one of `characters` is missing."""
    for name, content in zip(WEIGHTS, cut_fonts(characters, tuple(WEIGHTS.values())), strict=True):
        pdfmetrics.registerFont(TTFont(name, BytesIO(content)))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


def text(content: str, style: ParagraphStyle, width: float, **more: Any) -> Paragraph:
    """A paragraph in a column of `width` points, with its line breaks set; `**bold**` is bold."""
    room = width - style.leftIndent - 0.2  # reportlab adds the widths up in another order: leave it a hair
    bold = BOLD if style.fontName == REGULAR else style.fontName
    return Paragraph(marked_lines(content, room, style.fontSize, style.fontName, bold), style, **more)


def paragraph_styles() -> dict[str, ParagraphStyle]:
    """The paragraph styles by name."""

    def style(name: str, size: float, leading: float, **more: Any) -> ParagraphStyle:
        more = {"fontName": REGULAR, "textColor": INK} | more
        return ParagraphStyle(name, fontSize=size, leading=leading, **more)

    heading = {"fontName": BOLD, "textColor": ACCENT}
    item = {"bulletFontName": BOLD, "bulletFontSize": 9, "bulletColor": ACCENT, "spaceAfter": 2.5, "leftIndent": 15}
    return {
        "chapter": style("chapter", 19, 24, spaceBefore=16, spaceAfter=9, **heading),
        "section": style("section", 12, 16, spaceBefore=10, spaceAfter=4, **heading),
        "contents": style("contents", 19, 24, spaceAfter=9, fontName=BOLD, textColor=ACCENT),
        "body": style("body", 9, 13.2, spaceAfter=6),
        "item": style("item", 9, 13, **item),
        "last item": style("last item", 9, 13, **item | {"spaceAfter": 7}),
        "caption": style("caption", 8, 11, spaceBefore=5, spaceAfter=3, textColor=QUIET),
        "cell": style("cell", 8, 10.6),
        "head": style("head", 8, 10.6, fontName=BOLD, textColor=white),
        "signal": style("signal", 8.6, 12.2),
        "toc0": style("toc0", 9, 14, fontName=BOLD, spaceBefore=7),
        "toc1": style("toc1", 8.2, 13, leftIndent=10),
        "strapline": style("strapline", 9.6, 15, textColor=QUIET),
    }


class ManualDocument(BaseDocTemplate):  # type: ignore[misc]  # reportlab has no types
    """A manual on B5 paper: a cover, then pages with a running header and footer, an outline and a contents list."""

    def __init__(self, path: Path, facts: dict[str, str], styles: dict[str, ParagraphStyle]) -> None:
        super().__init__(
            str(path),
            pagesize=B5,
            invariant=1,
            title=f"{facts['maker']} {facts['models']}: {facts['title']}",
            author=facts["maker"],
            subject=facts["product"],
            lang={"en": "en", "zh": "zh-CN"}[facts["language"]],
            displayDocTitle=True,
        )
        self.facts, self.styles = facts, styles
        self.chapter = ""
        height, half, title = COLUMN_HEIGHT, (COLUMN - GAP) / 2, 36
        frame = Frame(MARGIN, BOTTOM, COLUMN, height, 0, 0, 0, 0)
        contents = [
            Frame(MARGIN, BOTTOM + height - title, COLUMN, title, 0, 0, 0, 0),
            Frame(MARGIN, BOTTOM, half, height - title, 0, 0, 0, 0),
            Frame(MARGIN + half + GAP, BOTTOM, half, height - title, 0, 0, 0, 0),
        ]
        self.addPageTemplates(
            [
                PageTemplate("cover", [frame], onPage=self._cover),
                PageTemplate("contents", contents, onPageEnd=self._header_and_footer),
                PageTemplate("inside", [frame], onPageEnd=self._header_and_footer),
            ]
        )

    def front(self) -> list[Any]:
        """The cover and the page with the contents in two columns."""
        contents = TableOfContents(levelStyles=[self.styles["toc0"], self.styles["toc1"]], dotsMinLevel=0)
        contents.tableStyle = [(f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]
        title = text(self.facts["contents"], self.styles["contents"], COLUMN)
        return [
            NextPageTemplate("contents"),
            PageBreak(),
            title,
            FrameBreak(),
            contents,
            NextPageTemplate("inside"),
            PageBreak(),
        ]

    def beforeDocument(self) -> None:
        self.chapter = ""

    def afterFlowable(self, flowable: Any) -> None:
        """Enter a heading in the outline and in the contents; `flowable.entry` is (level, heading, key)."""
        if (entry := getattr(flowable, "entry", None)) is None:
            return
        level, heading, key = entry
        if level == 0:
            self.chapter = heading
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(heading, key, level, closed=level == 0)
        self.notify("TOCEntry", (level, heading, self.page, key))

    def _cover(self, canvas: Canvas, _document: BaseDocTemplate) -> None:
        facts = self.facts
        canvas.showOutline()
        canvas.setFillColor(ACCENT)
        canvas.rect(0, PAGE_HEIGHT - 54 * mm, PAGE_WIDTH, 54 * mm, stroke=0, fill=1)
        canvas.setFillColor(white)
        canvas.setFont(BOLD, 25)
        canvas.drawString(MARGIN, PAGE_HEIGHT - 30 * mm, facts["maker"])
        canvas.setFont(REGULAR, 12)
        canvas.drawString(MARGIN, PAGE_HEIGHT - 40 * mm, facts["product"])
        canvas.saveState()
        scale = 112 * mm / drawing.WIDTH
        canvas.translate((PAGE_WIDTH - 112 * mm) / 2, 86 * mm)
        canvas.scale(scale, scale)
        drawing.draw_machine(canvas, ACCENT)
        canvas.restoreState()
        canvas.setFillColor(INK)
        canvas.setFont(BOLD, 23)
        canvas.drawString(MARGIN, 66 * mm, facts["models"])
        canvas.setFillColor(ACCENT)
        canvas.setFont(BOLD, 15)
        canvas.drawString(MARGIN, 55 * mm, facts["title"])
        strapline = text(facts["strapline"], self.styles["strapline"], COLUMN)
        _, height = strapline.wrap(COLUMN, 30 * mm)
        strapline.drawOn(canvas, MARGIN, 49 * mm - height)
        canvas.setFillColor(QUIET)
        canvas.setFont(REGULAR, 8)
        canvas.drawString(MARGIN, 12 * mm, facts["edition"])

    def _header_and_footer(self, canvas: Canvas, _document: BaseDocTemplate) -> None:
        canvas.saveState()
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.5)
        canvas.line(MARGIN, PAGE_HEIGHT - 14 * mm, PAGE_WIDTH - MARGIN, PAGE_HEIGHT - 14 * mm)
        canvas.line(MARGIN, 12 * mm, PAGE_WIDTH - MARGIN, 12 * mm)
        canvas.setFillColor(QUIET)
        canvas.setFont(REGULAR, 7.4)
        canvas.drawString(MARGIN, PAGE_HEIGHT - 12 * mm, self.facts["running"])
        canvas.drawRightString(PAGE_WIDTH - MARGIN, PAGE_HEIGHT - 12 * mm, self.chapter)
        canvas.drawString(MARGIN, 8 * mm, self.facts["edition"])
        canvas.setFont(BOLD, 9)
        canvas.drawRightString(PAGE_WIDTH - MARGIN, 7.6 * mm, str(self.page))
        canvas.restoreState()
