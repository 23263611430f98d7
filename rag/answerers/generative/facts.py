"""What a sentence claims that can be looked up, and whether a passage says it: numbers, dates, codes, names.

Owns which parts of a sentence have to stand on the cited pages as they are, and when two of them are the same. Sides
with doubt: what cannot be read as the same is not found. Knows no streams and no markers; quotations are elsewhere.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import methodcaller

from rag.answerers.extractive.terms import code_form, content_terms
from rag.answerers.generative.dates import Dated, dates_in
from rag.answerers.generative.invisible import without_invisible
from rag.answerers.generative.numbers import NO_UNIT, Quantity, quantities_in
from rag.citations import find_quotation
from rag.language import Language, language_of
from rag.types import NO_PAGE, Passage

LIST_MARK = re.compile(r"^\s*(?:\d{1,3}[.)、．](?!\d)|[-*•|])\s*")
"""What stands in front of a step, an item or a row."""

_WIDE_GROUPING = re.compile(r"(?<=[０-９])，(?=[０-９]{3}(?![０-９]))")
_BESIDE_A_NUMBER = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅟↉①-⒛⓪])|(?<=[⁰¹²³⁴-⁹¼-¾⅐-⅞↉①-⒛⓪])(?=\d)")
_POWER_OF_A_NUMBER = re.compile(r"(?<=\d)(?=[⁺⁻]?[⁰¹²³⁴-⁹])")
_LOWER_I = str.maketrans("İı", "Ii")
_PAGE_NUMBER = re.compile(
    r"\b(?:pages?|p\.|pp\.) ?(\d{1,5})(?: ?(?:-|–|to|and) ?(\d{1,5}))?|第 ?(\d{1,5}) ?[页頁]", re.IGNORECASE
)
_STEP = re.compile(
    r"\b(?:steps?|items?) \d{1,2}(?: ?(?:-|–|to|and) ?\d{1,2})?\b|第 ?\d{1,2} ?步|步骤 ?\d{1,2}", re.IGNORECASE
)
_IN_BACKTICKS = re.compile(r"`([^`\n]{1,80})`")
_TITLE_ZH = re.compile(r"[《〈【]([^《》〈〉【】\n]{1,60})[》〉】]")
_CODE = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?=[A-Za-z_./+-]{0,40}\d)(?=[\d_./+-]{0,40}[A-Za-z])[A-Za-z0-9]{1,40}(?:[-_./+:][A-Za-z0-9]{1,40}){0,8}"
    r"|\d{1,5}(?:\.\d{1,5}){2,5}|\d{1,5}/\d{1,5}"
    r"|[A-Za-z0-9]{1,40}(?:_[A-Za-z0-9]{1,40}){1,8}"
    r"|[a-z]{1,30}[A-Z][A-Za-z]{0,30}"
    r"|--[a-z][a-z-]{1,30}"
    r")(?![A-Za-z0-9_])"
)
_CODE_FROM_LETTER = re.compile(
    r"(?<![A-Za-z0-9_])(?=[A-Za-z_./+-]{0,40}\d)[A-Za-z][A-Za-z0-9]{0,40}(?:[-_./+:][A-Za-z0-9]{1,40}){0,8}(?![A-Za-z0-9_])"
)
_UNREAD_NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*(?:\^[-−+]?\d+)?")
_CAPITALISED = r"[A-ZÀ-ÖØ-Þ][\w'-]{0,40}"
_NAME = re.compile(rf"(?<![\w'-]){_CAPITALISED}(?:(?: (?:of|the|and|for|de|von)){{0,2}} {_CAPITALISED}){{0,8}}")
_LATIN = "A-Za-z\u00c0-\u024f"
_LATIN_IN_CHINESE = re.compile(
    rf"(?<![{_LATIN}\d])[{_LATIN}](?:[{_LATIN}-]{{0,40}}[{_LATIN}])"
    rf"(?: [{_LATIN}](?:[{_LATIN}-]{{0,40}}[{_LATIN}])){{0,6}}(?![{_LATIN}\d])"
)
_BOUNDARY = re.compile(r"(?:[.!?:;([{\"“‘*_|]|--|\n)\s*\Z")
_ORDINARY = frozenset(
    re.findall(
        r"\w+",
        "i a an the this that these those it its they their you your he she we our if when while after before once "
        "then and but or no not yes for from in on at to of as by with without each every all both either neither "
        "some any most however therefore note warning caution important tip only also otherwise please",
    )
)
_MONTH_NAMES = frozenset(
    re.findall(
        r"\w+",
        "january february march april may june july august september october november december monday tuesday "
        "wednesday thursday friday saturday sunday",
    )
)
LEAST_SHARED = 0.25
"""Share of a sentence's words of content below which the cited passages do not talk about the same thing."""

_ENOUGH_TERMS = 4


def plain(text: str) -> str:
    """`text` in the one form in which facts are looked for: narrow characters, no invisible ones, no Chinese commas.

    1½ is 1 1/2 and 10³ is 10^3 in it. The two letters of Turkish that other letters match when case is ignored are i.
    """
    seen = _WIDE_GROUPING.sub(",", without_invisible(text)).replace("，", ", ").replace("″", '"')
    apart = _POWER_OF_A_NUMBER.sub("^", _BESIDE_A_NUMBER.sub(" ", seen))
    return without_invisible(unicodedata.normalize("NFKC", apart)).replace("⁄", "/").translate(_LOWER_I)


@dataclass(slots=True)
class _Text:
    """A text in plain form, of which what has been taken for one fact is no longer read as another."""

    rest: str

    def take(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        """The places where `pattern` matches, which are blanked."""
        found = list(pattern.finditer(self.rest))
        for match in found:
            self.blank(match.start(), match.end())
        return found

    def blank(self, start: int, end: int) -> None:
        self.rest = self.rest[:start] + "\0" * (end - start) + self.rest[end:]


@dataclass(frozen=True)
class Facts:
    """What is said in numbers, dates and codes in a text."""

    quantities: tuple[Quantity, ...]
    dates: tuple[Dated, ...]
    codes: frozenset[str]
    spelled: dict[str, str] = field(default_factory=dict)
    """Each code as it was written."""


def _read(text: _Text) -> Facts:
    dates = dates_in(text.rest)
    for each in dates:
        text.blank(each.start, each.end)
    codes = [match[0] for match in text.take(_CODE_FROM_LETTER)]  # others may be numbers with their units
    quantities = quantities_in(text.rest)
    for quantity in quantities:
        text.blank(quantity.start, quantity.end)
    codes += [match[0] for match in text.take(_CODE)]
    codes += [match[0] for match in text.take(_UNREAD_NUMBER)]  # looked up as it stands: nothing goes unlooked
    spelled = {code_form(written): written for written in codes}
    return Facts(tuple(quantities), tuple(dates), frozenset(spelled), spelled)


class Evidence:
    """What a passage says, looked up by form. `left_out` takes out of its text what must not count."""

    def __init__(self, passage: Passage, left_out: Callable[[str], str] = lambda text: text) -> None:
        self._passage = passage
        self._text = left_out(passage.text)
        self._around = "\n".join(left_out(each) for each in (passage.title, *passage.heading_path))

    @cached_property
    def _facts(self) -> Facts:
        return _read(_Text(plain(f"{self._around}\n{self._text}")))

    @cached_property
    def terms(self) -> frozenset[str]:
        """The words of content of text, title and headings."""
        return frozenset(content_terms(f"{self._around}\n{self._text}"))

    @cached_property
    def language(self) -> Language:
        return language_of(self._text)

    @cached_property
    def _units(self) -> frozenset[str]:
        return frozenset(each.unit for each in self._facts.quantities) | _units_in(self._text)

    def quotes(self, *alternatives: str) -> bool:
        """Whether one of these stands there word for word, in the text or in title and headings."""
        places = (self._text, self._around)
        return any(find_quotation(place, words) is not None for words in alternatives for place in places)

    def has_sentence(self, sentence: str) -> bool:
        """Whether the text has the sentence word for word."""
        return find_quotation(self._text, sentence) is not None

    def has_quantity(self, claimed: Quantity) -> bool:
        """The same number with the same unit; without a unit at either when the other's unit is at least mentioned."""
        for said in self._facts.quantities:
            if said.agrees_with(claimed):
                return True
            if said.value == claimed.value and (
                claimed.unit == NO_UNIT or (said.unit == NO_UNIT and claimed.unit in self._units)
            ):
                return True
        return False

    def has_page(self, number: str) -> bool:
        """Whether one of its pages has this number, in the file or as printed."""
        numbers = (str(span.page) for span in self._passage.spans if span.page != NO_PAGE)
        return number in (*numbers, self._passage.page_label)

    def has_date(self, claimed: Dated) -> bool:
        return any(said.includes(claimed) for said in self._facts.dates)

    def has_code(self, code: str, written: str) -> bool:
        return code in self._facts.codes or self.quotes(written)


def _units_in(text: str) -> frozenset[str]:
    """Units that stand without a number, as in the head of a table: they are read with one put in front."""
    heads = re.findall(r"[(\[（]([^()\[\]（）\d\n]{1,20})[)\]）]|(?:\bin|,) ([A-Za-z°%]{1,12})\b", plain(text))
    return frozenset(
        each.unit for pair in heads for word in pair if word for each in quantities_in(f"1 {word.strip()}") if each.unit
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What has to stand in a passage: as it is written, and whether a passage has it."""

    written: str
    is_in: Callable[[Evidence], bool]
    is_name: bool = False


class Claims:
    """What one sentence says that has to stand on the pages it cites. `sentence` has no markers."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        told = LIST_MARK.sub("", plain(sentence))
        text = _Text(told)
        literal = [*text.take(_IN_BACKTICKS), *text.take(_TITLE_ZH)]
        pages = [number for match in text.take(_PAGE_NUMBER) for number in match.groups() if number]
        text.take(_STEP)
        before = text.rest
        facts = _read(text)
        parts = [_Part(before[each.start : each.end], methodcaller("has_date", each)) for each in facts.dates]
        parts += [_Part(before[each.start : each.end], methodcaller("has_quantity", each)) for each in facts.quantities]
        parts += [_Part(said, methodcaller("has_code", code, said)) for code, said in facts.spelled.items()]
        parts += [_Part(match[1], methodcaller("quotes", match[1])) for match in literal]
        parts += [_Part(number, methodcaller("has_page", number)) for number in pages]
        parts += [
            _Part(name, methodcaller("quotes", *alternatives), is_name=True)
            for name, alternatives in _names_in(text.rest, told)
        ]
        self._parts = [replace(part, written=part.written.strip()) for part in parts if part.written.strip()]

    @property
    def count(self) -> int:
        """How many parts there are to look up; what is written twice is one."""
        return len({part.written for part in self._parts})

    def missing(self, evidence: list[Evidence]) -> list[str]:
        """Those parts that are in none of the passages, as they are written, each once and in no special order."""
        is_same_language = any(each.language == language_of(self.sentence) for each in evidence)
        # English names for what a Chinese manual calls otherwise prove nothing; Latin words in Chinese are names.
        compares_names = is_same_language or language_of(self.sentence) == "zh"
        looked_up = [part for part in self._parts if compares_names or not part.is_name]
        missing = (part.written for part in looked_up if not any(part.is_in(each) for each in evidence))
        return list(dict.fromkeys(missing))

    def is_about(self, evidence: list[Evidence], cited: bool = False) -> bool:
        """Whether its words are, at least some of them, the passages'; of another language's words nothing is known.

        Passages in another language that are `cited` may be where the words come from.
        """
        terms = set(content_terms(self.sentence))
        language = language_of(self.sentence)
        comparable = [each for each in evidence if each.language == language]
        if len(terms) < _ENOUGH_TERMS or not comparable or (cited and len(comparable) < len(evidence)):
            return True
        known: set[str] = set().union(*(each.terms for each in comparable))
        return len(terms & known) >= LEAST_SHARED * len(terms)


def _names_in(rest: str, told: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names with what may be looked for instead of them: one that begins a sentence may begin with an ordinary word."""
    if language_of(told) == "zh":
        for match in _LATIN_IN_CHINESE.finditer(rest):
            yield match[0], (match[0],)
        return
    letters = [c for c in told if c.isalpha()]
    if sum(c.isupper() for c in letters) > len(letters) / 2:
        return  # shouting
    for match in _NAME.finditer(rest):
        words = match[0].split(" ")
        begins = match.start() == 0 or _BOUNDARY.search(rest[: match.start()]) is not None
        while words and words[0].casefold() in _ORDINARY:
            words, begins = words[1:], False
        if not words or (len(words) == 1 and (begins or words[0].casefold() in _MONTH_NAMES)):
            continue
        name = " ".join(words)
        yield name, (name, " ".join(words[1:])) if begins else (name,)
