"""Which units make the answer: a whole procedure, the rows asked for, or the few best sentences.

Owns the choice and its limits. Does not write text: it hands back ranges of passages in reading order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rag.answerers.extractive.clauses import best_clauses
from rag.answerers.extractive.fuller import fuller
from rag.answerers.extractive.layout import ItemList, Table
from rag.answerers.extractive.neighbours import Place, header_of, neighbour, steps_of_section, whole_list
from rag.answerers.extractive.parts import Asked, is_title_asked_for, parts_asked_for, rows_named, shares_words
from rag.answerers.extractive.ranking import RankedUnit, ReadHit
from rag.answerers.extractive.sentences import is_fragment, leads_on, led_to, needed_before
from rag.answerers.extractive.terms import asks_for_explanation, asks_for_help, asks_for_steps, content_terms
from rag.answerers.extractive.units import UnitKind, plain
from rag.language import language_of, word_count


@dataclass(frozen=True, slots=True)
class ChoiceLimits:
    """Lengths in words, two Chinese characters counting as one.

    words: of an answer made of single sentences or rows, at most `sentences` of them; connected text goes on into
    the next paragraph while it is shorter than `short`. help_words: the same with what else is near to the question
    of somebody who asks for help. list_words, table_rows: of a list or a table that is given whole; numbered steps are
    given whole up to step_words. rows: of a table of which some rows are asked for. code_lines: of an example that a
    line leads to. enough: sentences are added until they hold this share of the probability. worth: how probable a
    further sentence must be, by the best one's; worth_more: the same where connected text is asked for.
    second_passage: how probable a sentence of a second passage, or a lone item of a list, must be to stand behind
    others. sections, broad_words: of an answer from several places of a manual, and section_words of each of its
    further ones.
    """

    words: int = 60
    help_words: int = 110
    short: int = 25
    sentences: int = 4
    list_words: int = 120
    step_words: int = 350
    table_rows: int = 12
    rows: int = 4
    code_lines: int = 6
    enough: float = 0.95
    worth: float = 0.03
    worth_more: float = 0.35
    second_passage: float = 0.3
    sections: int = 3
    broad_words: int = 120
    section_words: int = 40

    def of_section(self) -> "ChoiceLimits":
        """Those of a further place, beside others."""
        words = self.section_words
        return replace(self, words=words, help_words=words, list_words=words, step_words=2 * words, sentences=2)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A contiguous quote: `text[start:end]` of the passage of `hits[hit]`.

    A `context` is what other quotes are read with: a header row, the line that leads to a list. `cut_before` and
    `cut_after` say that its sentence is longer than any answer may be, and goes on there. `further` ones are not the
    answer, but what else is near to the question.
    """

    hit: int
    start: int
    end: int
    context: bool = False
    cut_before: bool = False
    cut_after: bool = False
    further: bool = False


Pieces = dict[Place, bool]
"""The units chosen, and whether each is only context."""


def choose(asked: Asked, hits: Sequence[ReadHit], ranked: Sequence[RankedUnit], limits: ChoiceLimits) -> list[Chosen]:
    """The ranges to quote: passage by passage, in the order of the page, contiguous units joined."""
    if not ranked:
        return []
    choice = _Choice(asked, hits, ranked, limits)
    pieces = choice.named_rows() or choice.procedure()
    if pieces:
        return _joined(hits, pieces, pieces, {})
    answer = choice.best()
    return _joined(hits, choice.with_help(answer), answer, choice.cuts)


class _Choice:
    """The three ways to choose, tried in turn; each gives nothing when it does not apply."""

    def __init__(
        self, asked: Asked, hits: Sequence[ReadHit], ranked: Sequence[RankedUnit], limits: ChoiceLimits
    ) -> None:
        self._asked = asked
        self._hits = hits
        self._ranked = ranked
        self._limits = limits
        self.cuts: dict[Place, tuple[int, int]] = {}
        self._steps = asks_for_steps(asked.asking)
        self._connected = self._steps or asks_for_explanation(asked.asking)

    def named_rows(self) -> Pieces:
        """The rows whose code the question names, with their headers: an exact code decides over similarity."""
        pieces: Pieces = {}
        told: set[str] = set()
        ranked = dict.fromkeys(unit.hit for unit in self._ranked)
        for index in sorted(ranked, key=self._is_foreign):
            read = self._hits[index]
            for row in rows_named(self._asked, read):
                if len(told) < self._limits.rows and plain(read.text(row)) not in told:
                    told.add(plain(read.text(row)))
                    pieces.update(self._with_header(index, read.layout.table_at(row), [row]))
            if pieces:
                break
        return pieces

    def procedure(self) -> Pieces:
        """The whole list of steps, when a way to do something is asked for."""
        if not self._steps:
            return {}
        best = self._ranked[0]
        items = self._hits[best.hit].layout.list_at(best.unit)
        if items is not None and items.numbers:
            return self._whole_list(best.hit, items)
        # The passage found first may be the procedure though what stands elsewhere has more of the words.
        found_first = [] if self._is_foreign(0) else [0]
        for index in dict.fromkeys([best.hit, *found_first]):
            found = steps_of_section(self._hits, index, partial(self._is_asked_for, index, best))
            if found is not None:
                return self._whole_list(*found)
        return {} if items is None else self._whole_list(best.hit, items)

    def best(self) -> Pieces:
        """The best sentences or rows within the limits, each with what it cannot be read without."""
        limits = self._limits
        pieces: Pieces = {}
        told: set[str] = set()
        words = probability = 0.0
        sentences = 0
        main = self._ranked[0].hit
        titled = self._titled_table(main)
        worth = (limits.worth_more if self._connected else limits.worth) * self._ranked[0].probability
        for candidate in self._ranked:
            if pieces and (probability >= limits.enough or candidate.probability < worth):
                break
            second = candidate.hit != main
            if second and (candidate.probability < limits.second_passage or self._is_foreign(candidate.hit)):
                continue
            text = plain(self._hits[candidate.hit].text(candidate.unit))
            if not text or text in told or (candidate.hit, candidate.unit) in pieces:
                continue
            group = self._group(candidate, pieces)
            length = self._words(group)
            if length > limits.words and (candidate.hit, candidate.unit) in group and self._is_sentence(candidate):
                group, length = self._shortened(candidate) if not pieces else ({}, 0.0)
            if pieces and (words + length > limits.words or sentences == limits.sentences):
                continue
            if group:
                pieces = {**group, **pieces, **{place: False for place in group if not group[place]}}
                told.add(text)
                words += length
                sentences += 1
                probability += candidate.probability
        return pieces | {place: context for place, context in titled.items() if pieces.get(place) is not False}

    def with_help(self, pieces: Pieces) -> Pieces:
        """The best sentences or rows, for somebody who asks for help with what else is near."""
        if not pieces or self._is_foreign(self._ranked[0].hit) or not asks_for_help(self._asked.asking):
            return pieces
        readable = [index for index in dict.fromkeys(unit.hit for unit in self._ranked) if not self._is_foreign(index)]
        return fuller(self._hits, pieces, readable, self._limits.help_words, self._limits.code_lines)

    def _titled_table(self, index: int) -> Pieces:
        """A small table of the best passage whose title says what is asked for."""
        read = self._hits[index]
        for table in read.layout.tables:
            named = table.title is not None and is_title_asked_for(self._asked, read.text(table.title))
            if named and self._is_small(index, table) and len(self._rows_asked_for(index, table)) != 1:
                return self._whole_table(index, table)
        return {}

    def _is_foreign(self, index: int) -> bool:
        """Whether a passage is in the other language than the question: the same text may be there in both."""
        return language_of(self._hits[index].hit.passage.text) != language_of(self._asked.text)

    def _group(self, candidate: RankedUnit, others: Pieces) -> Pieces:
        """A candidate with what belongs to it; nothing when it cannot stand, as a further quote or at all."""
        read = self._hits[candidate.hit]
        layout = read.layout
        if table := layout.table_at(candidate.unit):
            return self._rows(candidate, table, further=bool(others))
        if layout.units[candidate.unit].kind in (UnitKind.CRUMB, UnitKind.HEADING):
            return {}
        if items := layout.list_at(candidate.unit):
            return self._items(candidate, items, others)
        units = self._sentence(read, candidate.unit, further=bool(others))
        return {(candidate.hit, unit): False for unit in units}

    def _rows(self, candidate: RankedUnit, table: Table, *, further: bool) -> Pieces:
        read = self._hits[candidate.hit]
        small = self._is_small(candidate.hit, table)
        asked_for = self._rows_asked_for(candidate.hit, table)
        if asked_for and (len(asked_for) <= self._limits.rows or not small):
            return self._with_header(candidate.hit, table, asked_for[: self._limits.rows])
        over = self._over(candidate.hit, table)
        if not further:
            over += "\n".join(read.hit.passage.heading_path[-1:])
        strong = not further or candidate.probability >= self._limits.second_passage
        if small and strong and shares_words(self._asked, over):
            return self._whole_table(candidate.hit, table)
        return self._with_header(candidate.hit, table, [candidate.unit]) if candidate.unit in table.rows else {}

    def _rows_asked_for(self, index: int, table: Table) -> list[int]:
        read = self._hits[index]
        over = "\n".join([self._over(index, table), *read.hit.passage.heading_path[-1:]])
        return [table.rows[n] for n in parts_asked_for(self._asked, over, [read.text(row) for row in table.rows])]

    def _over(self, index: int, table: Table) -> str:
        """What stands over the rows of a table: its title and its header."""
        read = self._hits[index]
        header = header_of(self._hits, index, table)
        title = [] if table.title is None else [read.text(table.title)]
        return "\n".join([*title, *([] if header is None else [self._hits[header[0]].text(header[1])])])

    def _with_header(self, index: int, table: Table | None, rows: Sequence[int]) -> Pieces:
        header = None if table is None else header_of(self._hits, index, table)
        context: Pieces = {} if header is None else {header: True}
        return context | {(index, row): False for row in rows}

    def _whole_table(self, index: int, table: Table) -> Pieces:
        header = header_of(self._hits, index, table)
        context: Pieces = {header: True} if header is not None and header != (index, table.header) else {}
        first = table.first if table.title is None else table.title
        return context | {(index, unit): False for unit in range(first, table.last + 1)}

    def _is_small(self, index: int, table: Table) -> bool:
        text = _slice(self._hits[index], table.first, table.last)
        return 0 < len(table.rows) <= self._limits.table_rows and word_count(text) <= self._limits.list_words

    def _items(self, candidate: RankedUnit, items: ItemList, others: Pieces) -> Pieces:
        lone = others and not any((candidate.hit, unit) in others for unit in range(items.first, items.last + 1))
        if lone and candidate.probability < self._limits.second_passage:
            return {}  # behind other sentences it would hang in the air
        read = self._hits[candidate.hit]
        lead = [] if items.lead is None else [read.text(items.lead)]
        parts = [items.item_at(item) for item in items.items]
        texts = [_slice(read, part[0], part[-1]) for part in parts]
        common = "\n".join([*lead, *read.hit.passage.heading_path[-1:]])
        picked = [parts[n] for n in parts_asked_for(self._asked, common, texts)]
        if not picked or len(picked) > self._limits.sentences:
            whole = {} if others else self._whole_list(candidate.hit, items)
            if whole or candidate.unit < items.first:
                return whole
            picked = [items.item_at(candidate.unit)]
        # A heading is no sentence: the whole list is quoted under it, a single item is not.
        heading = items.lead is None or read.layout.units[items.lead].kind is UnitKind.LABEL
        context: Pieces = {} if items.lead is None or heading else {(candidate.hit, items.lead): True}
        return context | {(candidate.hit, unit): False for part in picked for unit in part}

    def _whole_list(self, index: int, items: ItemList) -> Pieces:
        """The list with its lead-in; nothing when it is too long."""
        pieces: Pieces = dict.fromkeys(whole_list(self._hits, index, items), False)
        steps = items.numbers is not None or self._steps
        longest = self._limits.step_words if steps else self._limits.list_words
        return pieces if self._words(pieces) <= longest else {}

    def _is_asked_for(self, index: int, best: RankedUnit, heading: str) -> bool:
        """Whether a heading has enough of the question's words that its passage has; models are in few headings.

        One is enough if the best unit stands under it too.
        """
        read = self._hits[index]
        terms, passage = set(content_terms(heading)), read.all_terms
        found = {term: weight for term, weight in self._asked.frequencies.items() if term in passage and term.isalpha()}
        named = sum(weight for term, weight in found.items() if term in terms)
        has_best = best.hit == index and read.heading_at(read.layout.units[best.unit].start) == heading
        return named > 0 if has_best else named >= sum(found.values()) / 3 > 0

    def _sentence(self, read: ReadHit, unit: int, *, further: bool) -> list[int]:
        """A sentence with what it depends on; where connected text is asked for, with the rest of its paragraph."""
        label = read.layout.units[unit].kind is UnitKind.LABEL
        if label or leads_on(read, unit):
            following = [] if further else led_to(read, unit, self._limits.code_lines)
            return [unit, *following] if following else []
        if is_fragment(read, unit) and (further or self._has_alternative()):
            return []
        units = [*needed_before(read, unit), unit]
        if self._connected and not further:
            units += self._rest_of_paragraph(read, units)
        return units

    def _is_sentence(self, candidate: RankedUnit) -> bool:
        layout = self._hits[candidate.hit].layout
        sentence = layout.units[candidate.unit].kind is UnitKind.SENTENCE
        return sentence and layout.list_at(candidate.unit) is None

    def _shortened(self, candidate: RankedUnit) -> tuple[Pieces, float]:
        """The sentence alone, and of one that is too long by itself the clauses that the question is about."""
        read, place = self._hits[candidate.hit], (candidate.hit, candidate.unit)
        unit = read.layout.units[candidate.unit]
        start, end = best_clauses(read.text(candidate.unit), self._asked.frequencies, self._limits.words)
        if (start, end) != (0, unit.end - unit.start):
            self.cuts[place] = (unit.start + start, unit.start + end)
        return {place: False}, word_count(read.text(candidate.unit)[start:end])

    def _has_alternative(self) -> bool:
        return len(self._ranked) > 1 and self._ranked[1].probability > 0.3 * self._ranked[0].probability

    def _rest_of_paragraph(self, read: ReadHit, units: Sequence[int]) -> list[int]:
        """What follows in the paragraph, with an example that it leads to; from a short one on into the next."""
        rest: list[int] = []
        words = sum(word_count(read.text(unit)) for unit in units)
        unit = units[-1] + 1
        while unit < len(read.layout.units) and len(units) + len(rest) < self._limits.sentences:
            goes_on = read.layout.units[unit].line == read.layout.units[unit - 1].line
            listed = any(items.first <= unit <= items.last for items in read.layout.lists)
            if (
                listed
                or read.layout.units[unit].kind is not UnitKind.SENTENCE
                or not (goes_on or words < self._limits.short)
            ):
                break
            example = led_to(read, unit, self._limits.code_lines) if leads_on(read, unit) else []
            added = [unit, *example]
            words += sum(word_count(read.text(each)) for each in added)
            if words > self._limits.words or (leads_on(read, unit) and not example):
                break
            rest += added
            unit = added[-1] + 1
        return rest

    def _words(self, pieces: Mapping[Place, bool]) -> float:
        return sum(word_count(self._hits[hit].text(unit)) for (hit, unit), context in pieces.items() if not context)


def _slice(read: ReadHit, first: int, last: int) -> str:
    return read.hit.passage.text[read.layout.units[first].start : read.layout.units[last].end]


def _joined(
    hits: Sequence[ReadHit], pieces: Pieces, answer: Pieces, cuts: Mapping[Place, tuple[int, int]]
) -> list[Chosen]:
    """Ranges of units in reading order, joined where only white space lies between them; sentences cut as told.

    Passages of the answer come before those that only add to it.
    """
    answering = {hit for hit, _ in answer}
    ranges: list[Chosen] = []
    for hit, unit in sorted(
        pieces, key=lambda place: (place[0] not in answering, _reading_order(hits, pieces, place[0]), place)
    ):
        place, context, further = hits[hit].layout.units[unit], pieces[hit, unit], (hit, unit) not in answer
        if (hit, unit) in cuts:
            start, end = cuts[hit, unit]
            ranges.append(Chosen(hit, start, end, context, start > place.start, end < place.end))
            continue
        if ranges and ranges[-1].hit == hit and ranges[-1].context is context:
            last = ranges[-1]
            gap = hits[hit].hit.passage.text[last.end : place.start]
            if not gap.strip():
                ranges[-1] = Chosen(hit, last.start, place.end, context, further=last.further and further)
                continue
        ranges.append(Chosen(hit, place.start, place.end, context, further=further))
    return ranges


def _reading_order(hits: Sequence[ReadHit], pieces: Pieces, index: int) -> float:
    """The rank of a passage; one that another goes on from stands just before it."""
    after = neighbour(hits, index, 1)
    chosen = {hit for hit, _ in pieces}
    return after - 0.5 if after in chosen and after is not None and after < index else float(index)
