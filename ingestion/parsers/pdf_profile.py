"""What a sample of a document's pages teaches: body size, leading, running lines, heading sizes, words.

Read once before the first page is parsed, so that every page is judged by the same measure and pages can be
parsed one by one. Pages are sampled in runs of neighbours, because a chapter's running header repeats only there.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingestion.parsers.pdf_lines import Line, PageLines
from ingestion.parsers.pdf_text import title_text

SAMPLED_RUNS = 12
PAGES_A_RUN = 4
EDGE_LINES = 3
"""As many lines at the top and at the bottom of a page may be running headers or footers."""

EDGE_SHARE = 0.2  # of the page's height, from either edge
BAND_SHARE = 0.3  # of the sampled pages that have a line there, for a place to be a running line's place
BAND_REPEATS = 0.7  # of the lines at that place that repeat or carry the page's number
RUNNING_RATIO = 1.3  # a line larger than this many body sizes is a heading, though it stands on every page
HEADING_RATIO = 1.1  # a heading's size over the body's
HEADING_CHARACTERS = 120
SMALLEST_READABLE = 1.0  # points; some files hide a text layer in less
HEADING_SIZES = 5
COLUMN_TOLERANCE = 3.0  # points by which cells of one column may be out of line
TALLEST_ROW = 40  # lines
LEVEL = 0.45  # of a size: baselines no farther apart are on one level
SHARED_ENDS = 12  # characters that running lines share where section titles make up the rest

DIGITS = re.compile(r"\d+")
ROMAN = re.compile(r"(?i)(?<![^\W_])[ivxlc]{1,7}(?![^\W_])")
AROUND_NUMBER = re.compile(r"[\s/|·–—-]+")
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")

Band = tuple[str, int, int]
"""The place of a running line: edge, rounded baseline in points, rounded size."""


@dataclass(frozen=True, slots=True)
class Profile:
    """`sizes` are the sizes of headings, largest first; `words` counts lower-case words that no line end broke.

    `number_offset` is what to add to the count of pages to get the printed number. `labels` counts the pages of
    texts that stand out on several ("NOTE"): such begin a remark and no section.
    """

    body_size: float
    leading: float
    sizes: tuple[float, ...]
    running_texts: frozenset[tuple[str, str]]
    running_bands: frozenset[Band]
    words: Counter[str]
    title: str | None
    number_offset: int | None
    labels: Counter[str]


def sampled_pages(page_count: int) -> list[int]:
    """Indices of the pages to sample, ascending: all of a short document, runs of neighbours of a long one."""
    if page_count <= SAMPLED_RUNS * PAGES_A_RUN:
        return list(range(page_count))
    step = (page_count - PAGES_A_RUN) / (SAMPLED_RUNS - 1)
    return sorted({round(run * step) + page for run in range(SAMPLED_RUNS) for page in range(PAGES_A_RUN)})


def learn(pages: Iterable[tuple[int, PageLines]]) -> Profile:
    """The profile of a document from its sampled pages, each with its index."""
    sampled = [(index, page.frame.height, page.lines) for index, page in pages if page.lines]
    body_size = _body_size(sampled)
    texts, bands = _running(sampled, RUNNING_RATIO * body_size)
    body = [
        (index, [line for line in lines if not _at_running_place(line, height, texts, bands)])
        for index, height, lines in sampled
    ]
    words: Counter[str] = Counter()
    for _, lines in body:
        words.update(unbroken_words(lines))
    return Profile(
        body_size,
        _leading(body, body_size),
        _heading_sizes(body, body_size),
        texts,
        bands,
        words,
        _title(body, body_size),
        _number_offset(sampled),
        _labels(body, body_size),
    )


def without_running(page: PageLines, profile: Profile, label: str | None, index: int) -> list[Line]:
    """The page's lines in pdfium's order, running headers, footers and page numbers left out."""
    numbers = {str(index + 1 + (profile.number_offset or 0)), *([label] if label else ())}
    running: set[int] = set()
    for edge, lines, before_table in _edges(page.lines, page.frame.height):
        found: list[Line] = []
        for position, line in enumerate(lines[:before_table]):
            known = any((edge, key) in profile.running_texts for key in _keys(line.text))
            place = _near(_band(edge, line), profile.running_bands)
            numbered = bool(numbers.intersection(AROUND_NUMBER.split(line.text)))
            only_number = line.text.strip("-–—[]()|· ") in numbers
            if not (place and (known or numbered or _apart(line, page.lines))) and not (only_number and position == 0):
                break
            found.append(line)
        running |= {id(line) for line in found}
    left = [line for line in page.lines if id(line) not in running]
    # Forms repeat their text too: a page of nothing but repeated lines is content, unless it is a header's worth.
    return left if left or len(page.lines) <= 2 else list(page.lines)


def _apart(line: Line, lines: Sequence[Line]) -> bool:
    """Whether white space sets a line apart from all others."""
    return all(other is line or abs(other.y - line.y) > 1.6 * line.size for other in lines)


def unbroken_words(lines: Sequence[Line]) -> list[str]:
    """Lower-case words of lines, hyphenated compounds whole, those next to a broken line end left out."""
    found = []
    after_break = False
    for line in lines:
        words = [word.lower() for word in WORD.findall(line.text)]
        found += words[1 if after_break else 0 : -1 if line.hyphenated else None]
        after_break = line.hyphenated
    return found


def _edges(lines: Sequence[Line], height: float) -> list[tuple[str, list[Line], int]]:
    """The outermost lines of a page, from the edge inwards, and how many there are before a table begins or ends."""
    upright = sorted(lines, key=lambda line: line.y)
    top = [line for line in upright[:EDGE_LINES] if line.y < EDGE_SHARE * height]
    bottom = [line for line in upright[: -EDGE_LINES - 1 : -1] if line.y > (1 - EDGE_SHARE) * height]
    inwards = [("top", top, upright), ("bottom", bottom, upright[::-1])]
    return [(edge, outermost, _before_table(outermost, ordered)) for edge, outermost, ordered in inwards]


def _before_table(outermost: Sequence[Line], ordered: Sequence[Line]) -> int:
    """How many of the outermost lines are no rows of a table: rows are alike from page to page, as running lines are.

    `ordered` are all of the page, from the same edge inwards.
    """
    begins = (number for number in range(len(outermost)) if _begins_table(ordered[number : number + TALLEST_ROW]))
    return next(begins, len(outermost))


def _begins_table(lines: Sequence[Line]) -> bool:
    """Whether more levels are in columns with the first, or go on in one of its cells, than a running header has."""
    if len(_levels(lines[:EDGE_LINES])[0].starts) < 2:
        return False
    first, *inner = _levels(lines)
    rows = [_in_columns(first, level) for level in inner]
    wrapped = [len(level.starts) == 1 and _common(first.starts[1:], level.starts) == 1 for level in inner]
    near = slice(2 * EDGE_LINES - 1)
    return any(rows) and sum(rows[near]) + sum(wrapped[near]) >= EDGE_LINES


@dataclass(slots=True)
class _Level:
    """What stands on one baseline: where its cells begin, and where the last one ends."""

    y: float
    starts: list[float]
    end: float


def _levels(lines: Sequence[Line]) -> list[_Level]:
    """The levels of lines that are in order from one edge of the page."""
    levels: list[_Level] = []
    for line in lines:
        starts = [line.x0, *(x for _, x in line.cells)]
        if levels and abs(line.y - levels[-1].y) < LEVEL * line.size:
            levels[-1].starts = sorted([*levels[-1].starts, *starts])
            levels[-1].end = max(levels[-1].end, line.x1)
        else:
            levels.append(_Level(line.y, starts, line.x1))
    return levels


def _in_columns(level: _Level, other: _Level) -> bool:
    """Whether two levels have cells in the same columns: two beginnings in common, or as many cells and both ends."""
    if abs(level.end - other.end) <= COLUMN_TOLERANCE and len(level.starts) == len(other.starts) >= 3:
        return _common(level.starts, other.starts) >= 1
    return _common(level.starts, other.starts) >= 2


def _common(starts: Sequence[float], others: Sequence[float]) -> int:
    return sum(any(abs(x - y) <= COLUMN_TOLERANCE for y in others) for x in starts)


def _keys(text: str) -> set[str]:
    """What a running line repeats: itself or its beginning or end; digits and Roman page numbers as #."""
    words = DIGITS.sub("#", " ".join(text.split()))
    whole = ROMAN.sub("#", words) if len(words) < 8 else words
    return {whole, whole[:SHARED_ENDS], whole[-SHARED_ENDS:]}


def _band(edge: str, line: Line) -> Band:
    return edge, round(line.y), round(line.size)


def _near(band: Band, bands: Iterable[Band]) -> bool:
    edge, y, size = band
    return any(
        edge == other and abs(y - other_y) <= 1 and abs(size - other_size) <= 1 for other, other_y, other_size in bands
    )


def _body_size(sampled: Sequence[tuple[int, float, Sequence[Line]]]) -> float:
    """The size that most characters are set in, those that nobody could read left out."""
    sizes: Counter[float] = Counter()
    for _, _, lines in sampled:
        for line in lines:
            if line.size >= SMALLEST_READABLE:
                sizes[round(line.size, 1)] += 0 if line.monospaced else len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 10.0


def _running(
    sampled: Sequence[tuple[int, float, Sequence[Line]]], largest: float
) -> tuple[frozenset[tuple[str, str]], frozenset[Band]]:
    """(edge, normalised text) of lines that repeat, and the places where nearly every line does.

    Learnt from pages that hold more than their edges: the only line of a page runs above nothing.
    """
    sampled = [page for page in sampled if sum(len(edge) for _, edge, _ in _edges(page[2], page[1])) < len(page[2])]
    counts: Counter[tuple[str, str, int]] = Counter()
    seen: list[tuple[str, set[str], Band]] = []
    for _, height, lines in sampled:
        for edge, edge_lines, before_table in _edges(lines, height):
            for number, line in enumerate(edge_lines):
                if line.size > largest:
                    continue
                keys = _keys(line.text) if number < before_table else set()
                counts.update((edge, key, round(line.y / 3)) for key in keys)
                seen.append((edge, keys, _band(edge, line)))
    texts = {(edge, key) for (edge, key, _), count in counts.items() if count >= 2}
    places: Counter[Band] = Counter()
    repeating: Counter[Band] = Counter()
    for edge, keys, band in seen:
        places[band] += 1
        repeating[band] += any((edge, key) in texts for key in keys)
    needed = min(len(sampled), max(2 if len(sampled) <= 3 else 3, BAND_SHARE * len(sampled)))
    bands = frozenset(
        band
        for band, count in places.items()
        if repeating[band] >= BAND_REPEATS * count
        and sum(places[near] for near in places if _near(near, [band])) >= needed
    )
    return frozenset(texts), bands


def _at_running_place(line: Line, height: float, texts: frozenset[tuple[str, str]], bands: frozenset[Band]) -> bool:
    edge = "top" if line.y < height / 2 else "bottom"
    return any((edge, key) in texts for key in _keys(line.text)) and _near(_band(edge, line), bands)


def _leading(pages: Sequence[tuple[int, list[Line]]], body_size: float) -> float:
    """The usual distance of two baselines in a paragraph, in points."""
    distances: Counter[float] = Counter()
    for _, lines in pages:
        for above, below in pairwise(lines):
            distance = below.y - above.y
            if abs(below.size - body_size) < 0.6 and 0.9 * body_size < distance < 2.2 * body_size:
                distances[round(2 * distance) / 2] += 1
    return distances.most_common(1)[0][0] if distances else 1.2 * body_size


def _heading_sizes(pages: Sequence[tuple[int, list[Line]]], body_size: float) -> tuple[float, ...]:
    """Sizes that headings are set in. One used on the first page only is the title's, not a level."""
    used: dict[float, set[int]] = {}
    for index, lines in pages:
        for line in lines:
            if line.size >= HEADING_RATIO * body_size and len(line.text) <= HEADING_CHARACTERS:
                used.setdefault(round(line.size, 1), set()).add(index)
    levels = [size for size, indices in used.items() if indices != {0} or len(pages) == 1]
    return tuple(sorted(levels, reverse=True)[:HEADING_SIZES])


def _labels(pages: Sequence[tuple[int, list[Line]]], body_size: float) -> Counter[str]:
    seen: dict[str, set[int]] = {}
    for index, lines in pages:
        for line in lines:
            if line.bold or line.size >= HEADING_RATIO * body_size:
                seen.setdefault(line.text, set()).add(index)
    return Counter({text: len(indices) for text, indices in seen.items() if len(indices) > 1})


def _number_offset(sampled: Sequence[tuple[int, float, Sequence[Line]]]) -> int | None:
    """By how much printed page numbers differ from the count of pages, where lone numbers at the edge agree."""
    offsets: Counter[int] = Counter()
    for index, height, lines in sampled:
        for _, edge_lines, _ in _edges(lines, height):
            number = edge_lines[0].text.strip("-–—[]()|· ") if edge_lines else ""
            if number.isdecimal() and len(number) < 7:
                offsets[int(number) - index - 1] += 1
    offset, votes = offsets.most_common(1)[0] if offsets else (0, 0)
    return offset if votes >= 2 else None


def _title(pages: Sequence[tuple[int, list[Line]]], body_size: float) -> str | None:
    """The largest line of the first sampled page, where it stands out."""
    if not pages:
        return None
    largest = max(pages[0][1], key=lambda line: line.size, default=None)
    if largest is None or largest.size < HEADING_RATIO * body_size or len(largest.text) > HEADING_CHARACTERS:
        return None
    return title_text([largest.text])
