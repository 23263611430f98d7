"""The line drawing of the machine, seen from the front. Knows shapes, not where on a page they go."""

from reportlab.lib.colors import Color, HexColor, white
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

WIDTH, HEIGHT = 300.0, 250.0
"""The size of the drawing in its own units; it is scaled to the size asked for."""

BODY, PANEL, METAL, GLASS = HexColor("#E9ECEA"), HexColor("#2B3A3A"), HexColor("#B9C2BF"), HexColor("#D8E6EA")

# The number of each part, where its label stands, and the point that its line leads to.
LABELS = (
    ("1", (20, 236), (105, 222)),
    ("2", (275, 236), (182, 214)),
    ("3", (20, 186), (104, 180)),
    ("4", (20, 132), (134, 138)),
    ("5", (275, 156), (190, 134)),
    ("6", (20, 22), (92, 27)),
    ("7", (20, 58), (100, 58)),
    ("8", (275, 196), (205, 192)),
    ("9", (275, 90), (238, 78)),
    ("10", (20, 96), (80, 100)),
)


def draw_machine(canvas: Canvas, accent: Color, font: str | None = None) -> None:
    """Draw the machine with its lower left corner at the origin; with `font`, also the numbers of its parts."""
    canvas.saveState()
    canvas.setStrokeColor(PANEL)
    canvas.setLineWidth(1.1)
    canvas.setLineJoin(1)
    _body(canvas, accent)
    _brewing_place(canvas, accent)
    _milk_container(canvas)
    if font:
        _labels(canvas, accent, font)
    canvas.restoreState()


def _polygon(canvas: Canvas, points: list[tuple[float, float]], fill: Color) -> None:
    path = canvas.beginPath()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    canvas.setFillColor(fill)
    canvas.drawPath(path, fill=1)


def _body(canvas: Canvas, accent: Color) -> None:
    _polygon(canvas, [(88, 206), (80, 230), (152, 230), (146, 206)], GLASS)  # bean hopper
    canvas.setFillColor(PANEL)
    canvas.roundRect(76, 229, 80, 6, 2, fill=1)
    canvas.setFillColor(METAL)
    canvas.roundRect(166, 206, 32, 8, 2, fill=1)  # ground-coffee funnel
    canvas.setFillColor(BODY)
    canvas.roundRect(70, 14, 148, 194, 9, fill=1)
    canvas.setFillColor(GLASS)
    canvas.roundRect(196, 172, 22, 30, 4, fill=1)  # water tank
    canvas.setFillColor(PANEL)
    canvas.roundRect(94, 164, 92, 34, 4, fill=1)  # display
    canvas.setFillColor(accent)
    for column in range(4):
        canvas.roundRect(101 + column * 20, 174, 16, 16, 3, stroke=0, fill=1)
    canvas.setFillColor(white)
    for column in range(4):
        canvas.circle(109 + column * 20, 182, 3.4, stroke=0, fill=1)
    canvas.setDash(3, 2)
    canvas.line(82, 60, 82, 150)  # service door
    canvas.setDash()


def _brewing_place(canvas: Canvas, accent: Color) -> None:
    canvas.setFillColor(HexColor("#CDD5D2"))
    canvas.roundRect(94, 44, 100, 112, 4, fill=1)
    canvas.setFillColor(METAL)
    canvas.rect(94, 44, 100, 22, fill=1)  # grounds container
    canvas.setFillColor(PANEL)
    canvas.roundRect(126, 128, 36, 28, 3, fill=1)  # coffee spout
    canvas.rect(131, 120, 7, 9, fill=1)
    canvas.rect(150, 120, 7, 9, fill=1)
    canvas.setFillColor(METAL)
    canvas.rect(178, 128, 14, 12, fill=1)  # milk connection
    _polygon(canvas, [(126, 66), (122, 98), (166, 98), (162, 66)], white)  # cup
    canvas.arc(158, 74, 176, 92, -80, 160)
    canvas.setFillColor(accent)
    canvas.ellipse(123, 95, 165, 101, fill=1)
    canvas.setFillColor(PANEL)
    canvas.roundRect(82, 18, 124, 18, 3, fill=1)  # drip tray
    canvas.setStrokeColor(METAL)
    for column in range(9):
        canvas.line(90 + column * 13.5, 33, 96 + column * 13.5, 33)
    canvas.setStrokeColor(PANEL)


def _milk_container(canvas: Canvas) -> None:
    path = canvas.beginPath()
    path.moveTo(192, 134)
    path.curveTo(226, 138, 240, 134, 240, 112)
    canvas.drawPath(path)
    canvas.setFillColor(white)
    canvas.roundRect(224, 16, 32, 84, 4, fill=1)
    canvas.setFillColor(GLASS)
    canvas.roundRect(224, 16, 32, 52, 4, fill=1)
    canvas.setFillColor(PANEL)
    canvas.roundRect(222, 98, 36, 14, 3, fill=1)


def _labels(canvas: Canvas, accent: Color, font: str) -> None:
    for number, (x, y), point in LABELS:
        canvas.setLineWidth(0.6)
        canvas.setStrokeColor(accent)
        canvas.line(x, y, *point)
        canvas.setFillColor(accent)
        canvas.circle(*point, 1.6, stroke=0, fill=1)
        canvas.setFillColor(white)
        canvas.setLineWidth(1)
        canvas.circle(x, y, 9.5, fill=1)
        canvas.setFillColor(accent)
        canvas.setFont(font, 10)
        canvas.drawCentredString(x, y - 3.6, number)


class MachineDrawing(Flowable):  # type: ignore[misc]  # reportlab has no types
    """The numbered drawing as a part of the text flow, centred in the column and `width` points wide."""

    def __init__(self, width: float, accent: Color, font: str) -> None:
        super().__init__()
        self.width, self.height = width, width * HEIGHT / WIDTH
        self.accent, self.font = accent, font
        self.hAlign = "CENTER"

    def draw(self) -> None:
        self.canv.scale(self.width / WIDTH, self.height / HEIGHT)
        draw_machine(self.canv, self.accent, self.font)
