"""Breaks a text into lines, English and Chinese alike, and writes it as reportlab markup.

reportlab's own Chinese wrapping lets a line begin with a comma and parts a number from its unit, which no printed
manual does. Here a line breaks at a space or between two Chinese characters, but never before a closing mark, after
an opening mark, or between a number and its unit.
"""

import re
from html import escape
from itertools import groupby

from reportlab.pdfbase.pdfmetrics import stringWidth

_OPENING, _CLOSING = "（“《", "，。、；：？！）”》／"
_UNITS = (
    "℃|°C|°dH|%|mL|L|kg|g|mm|cm|m|min|s|h|W|V|A|bar|GHz|Hz|dBm|mg|days?|hours?|minutes|seconds|months|"
    "分钟|秒|小时|个月|天|年|杯|档|次|节|片|位|级|章|份|条|颗|岁|人|个|步"
)
_CLUSTER_PATTERN = re.compile(
    rf" +|[{_OPENING}]*(?:[-–\d.,]*\d (?:{_UNITS})(?![A-Za-z])[!-~]*|[!-~\u00a1-\u024f–℃]+|[^ {_OPENING}])[{_CLOSING}]*"
)

_Character = tuple[str, bool]
"""A character, and whether it is bold."""

_Cluster = tuple[list[_Character], float]
"""Characters that stay on one line, and their width in points."""


def marked_lines(text: str, width: float, size: float, regular: str, bold: str) -> str:
    """`text` as markup, its lines parted by <br/> and none wider than `width` points at font size `size`.

    `**bold**` becomes <b>; everything else is taken literally. `regular` and `bold` are registered font names.
    """
    parts = text.split("**")
    characters = [(c, number % 2 == 1) for number, part in enumerate(parts) for c in part]
    clusters = []
    for match in _CLUSTER_PATTERN.finditer("".join(parts)):
        cluster = characters[match.start() : match.end()]
        clusters.append((cluster, sum(stringWidth(c, bold if is_bold else regular, size) for c, is_bold in cluster)))
    lines = _fill(clusters, width)
    if len(lines) > 1 and sum(wide for _, wide in lines[-1]) < 3 * size:  # a last line of a word or two: share it out
        shared = _fill(clusters, width - 4 * size)
        lines = shared if len(shared) == len(lines) else lines
    return "<br/>".join(_markup([pair for cluster, _ in line for pair in cluster]) for line in lines)


def _fill(clusters: list[_Cluster], width: float) -> list[list[_Cluster]]:
    """The clusters in lines, each as full as it can be."""
    lines: list[list[_Cluster]] = [[]]
    used = 0.0
    for characters, wide in clusters:
        blank = characters[0][0] == " "
        if lines[-1] and used + wide > width and not blank:
            lines.append([])
            used = 0.0
        lines[-1].append((characters, wide))
        used += wide
    return lines


def _markup(line: list[_Character]) -> str:
    runs = [(is_bold, "".join(c for c, _ in run)) for is_bold, run in groupby(line, key=lambda pair: pair[1])]
    return "".join(f"<b>{escape(text)}</b>" if is_bold else escape(text) for is_bold, text in runs).rstrip()
