"""What a question wants, read from its words: bounds, flags, values, an order, and what it does not want.

Owns the order of reading; each part takes its words away, so that none is read twice. Numbers are `bounds`'s, names of
values `names`'s. Knows no products but through their columns, and no search.
"""

import re
from dataclasses import dataclass

from app.service.catalogue.bounds import BoundsReader
from app.service.catalogue.constraints import Constraint
from app.service.catalogue.facts import Column, ColumnKind, Facts
from app.service.catalogue.names import Names
from app.service.catalogue.products import Comparison, Sorting, Understood
from app.service.catalogue.quantities import folded

_IN_STOCK = re.compile(r"\b(?:in stock|available (?:now|today|immediately)|ready to ship)\b|有现货|现货|有货")
_DOWN = r"lowest|least|shortest|smallest|fewest|最低|最少|最短|最小"
_UP = r"highest|most|longest|largest|biggest|greatest|maximum|最高|最多|最长|最大"
_NEGATION = re.compile(
    r"(?:\b(?:no|not|non|without|except|excluding|never|isn't|aren't|nothing|other than|anything but|"
    r"(?:do not|don't) (?:want|need|like)|(?:does not|doesn't) have)\b[\s-]*"
    r"(?:(?:any|a|an|the|in|with|made|of|from|for|is|are|be)\s+)*"
    r"|(?:不要|不想要|不需要|不是|不含|不带|不能|没有|除了|除开|不|非|无|别)(?:有|带|用|要)?\s*)$"
)
_A_NOT_A = re.compile(r"([㐀-鿿])[不没]\1")
"""有没有, 是不是, 防不防水: asks whether, and negates nothing."""

_NEGATED_AFTER = re.compile(r"^(?:-|\s)free\b|^的?(?:都|全)?(?:不要|除外|以外|不行)")
_GOES_ON = re.compile(r"^\s*(?:,?\s*(?:or|nor|and)\b|或者|或|和|与|、|,)\s*(?:(?:any|a|an|the)\s)?\s*$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`cannot` are constraints that the catalogue has no figures for; `rest` is the question without bounds and order.

    Words of what is not wanted are not in `rest`: who asks for shoes without leather is not looking for leather.
    """

    constraints: tuple[Constraint, ...]
    cannot: tuple[Understood, ...]
    sorting: Sorting | None
    rest: str


class QuestionReader:
    """Reads questions to one state of a catalogue. Safe for threads."""

    def __init__(self, facts: Facts, names: Names) -> None:
        self._facts = facts
        self._names = names
        self._bounds = BoundsReader(facts)

    def read(self, text: str) -> Wanted:
        """What `text` wants of the products."""
        question = _A_NOT_A.sub(r"  \1", folded(text))
        sorting, question = self._sorting(question)
        stock, question = self._stock(question)
        bounds, cannot, question = self._bounds.read(question)
        named, question = self._named(question)
        return Wanted((*bounds, *stock, *named), cannot, sorting, " ".join(question.split()))

    def _stock(self, question: str) -> tuple[list[Constraint], str]:
        match = _IN_STOCK.search(question)
        column = self._facts.columns["stock"]
        if match is None or bool((column.low != column.low).all()):
            return [], question
        constraint = Constraint(column, Comparison.AT_LEAST, match[0], low=1.0)
        return [constraint], blanked(question, *match.span())

    def _sorting(self, question: str) -> tuple[Sorting | None, str]:
        """The first wish for an order by a column whose figures are known."""
        found: list[tuple[int, int, Column, bool]] = []
        for column in self._facts.columns.values():
            if column.kind is not ColumnKind.QUANTITY:
                continue
            concept = column.concept
            for phrases, descending in ((concept.less, False), (concept.more, True)) if concept else ():
                found += [(*span, column, descending) for phrase in phrases for span in spans(question, phrase)]
            for name in column.names:
                for direction, descending in ((_DOWN, False), (_UP, True)):
                    pattern = rf"(?:{direction})\s?{_bounded(name)}|{_bounded(name)}(?:是)?(?:{direction})"
                    found += [(*match.span(), column, descending) for match in re.finditer(pattern, question)]
        if not found:
            return self._by_size(question)
        start, end, column, descending = min(found, key=lambda each: (each[0], -each[1]))
        return Sorting(column.name, descending, question[start:end]), blanked(question, start, end)

    def _by_size(self, question: str) -> tuple[Sorting | None, str]:
        """ "Largest" where nothing is called a size: by the first of what can be large."""
        match = re.search(r"\b(?:largest|biggest|smallest)\b|最大|最小", question)
        for concept in ("size", "capacity", "screen", "length") if match else ():
            for column in self._facts.columns.values():
                if column.kind is ColumnKind.QUANTITY and column.concept and column.concept.name == concept and match:
                    descending = match[0] not in ("smallest", "最小")
                    return Sorting(column.name, descending, match[0]), blanked(question, *match.span())
        return None, question

    def _named(self, question: str) -> tuple[list[Constraint], str]:
        """Flags and values that the question names; of several values of one column any will do."""
        constraints: list[Constraint] = []
        wanted: dict[str, tuple[list[str], list[str]]] = {}
        kept = question
        negated_until, negated = -1, ""  # where the last name was that is not wanted, and the column it is of
        for name in self._names.found_in(question):
            before, after = question[: name.start], question[name.end :]
            # "No leather or wool" goes on; "no leather, black" does not, for black is no material.
            goes_on = negated == name.means[0][0] and bool(_GOES_ON.match(question[negated_until : name.start]))
            negation = _NEGATION.search(before)
            is_negated = bool(negation) or goes_on or bool(_NEGATED_AFTER.match(after))
            negated_until, negated = (name.end, name.means[0][0]) if is_negated else (-1, "")
            said = question[negation.start() if negation else name.start : name.end].strip()
            if is_negated:
                kept = blanked(kept, negation.start() if negation else name.start, name.end)
            for column_name, value in name.means:
                column = self._facts.columns[column_name]
                if column.kind is ColumnKind.FLAG:
                    comparison = Comparison.IS if not is_negated else Comparison.IS_NOT
                    constraints.append(Constraint(column, comparison, said, wants=not is_negated))
                elif is_negated:
                    constraints.append(Constraint(column, Comparison.IS_NOT, said, values=(value,)))
                else:
                    values, words = wanted.setdefault(column_name, ([], []))
                    values.append(value)
                    words.append(said)
        for column_name, (values, words) in wanted.items():
            column = self._facts.columns[column_name]
            said = " ".join(dict.fromkeys(words))
            constraints.append(Constraint(column, Comparison.IS, said, values=tuple(dict.fromkeys(values))))
        return constraints, kept


def blanked(text: str, start: int, end: int) -> str:
    """The text with blanks in place of what has been read; all places stay where they are."""
    return text[:start] + " " * (end - start) + text[end:]


def spans(text: str, phrase: str) -> list[tuple[int, int]]:
    """Where a phrase stands in a text as words of its own."""
    return [match.span() for match in re.finditer(_bounded(phrase), text)]


def _bounded(phrase: str) -> str:
    start = r"(?<![a-z0-9])" if phrase[:1].isascii() else ""
    end = r"(?![a-z0-9])" if phrase[-1:].isascii() else ""
    return f"{start}{re.escape(phrase)}{end}"
