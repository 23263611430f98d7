"""Questions that need several places of a manual: comparisons and enumerations, and how those places are found.

Owns which questions are of these kinds, the sides of a comparison, and the order of what is found for them. Does not
search: the searcher is handed in, and every other question passes through to it as it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rag.analyzer import words
from rag.answerers.base import Found, Searcher
from rag.chinese import simplified
from rag.follow_up import stands_alone
from rag.types import Hit, Passage, QuestionVector, Turn

MOST_SIDES = 4

LOOKED_AT = 15
"""Passages from which those of different sections are taken; for so many a search judges no more than for five."""

SECTION_DEPTH = 2
"""Headings, the outermost first, that make a section: below them stand the parts of one subject."""

ABOUT = 0.6
"""How much of what the best passage has of a question another section's must have, to be about the question too."""

LONGEST_QUESTION = 200
"""Characters; a longer text tells a story, and what is asked for is only a part of it."""


class BreadthKind(StrEnum):
    COMPARISON = "comparison"
    ENUMERATION = "enumeration"


@dataclass(frozen=True, slots=True)
class Breadth:
    """Why a question needs several places; `sides` are what is compared, each as a question to search for."""

    kind: BreadthKind
    sides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BroadFound:
    """What was found, best first."""

    hits: Sequence[Hit]
    searched_for: str
    question_vector: QuestionVector | None


class BroadSearcher:
    """A `rag.answerers.base.Searcher` around another one; safe for threads if that one is."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    def search(
        self,
        question: str,
        *,
        top_k: int,
        filter: Mapping[str, object],
        history: Sequence[Turn],
        timings: dict[str, float],
    ) -> Found:
        """As the searcher's; of a comparison each side is searched for, of an enumeration sections take turns."""

        def searched(text: str, top_k: int) -> Found:
            return self._searcher.search(text, top_k=top_k, filter=filter, history=history, timings=timings)

        broad = breadth_of(question)
        # What a follow-up leans on may be all that it is about: its parts say too little to be searched for.
        if broad is None or (history and not stands_alone(question)):
            return searched(question, top_k)
        if broad.kind is BreadthKind.ENUMERATION:
            found = searched(question, max(top_k, LOOKED_AT))
            return BroadFound(_sections_in_turn(found.hits)[:top_k], found.searched_for, found.question_vector)
        history = ()  # the question stands alone, and so do its sides, short as they are
        found = searched(question, top_k)
        sides = [searched(side, top_k).hits for side in broad.sides]
        # What is found for the whole question has two places in each turn: it may say what the difference is.
        hits = in_turn([found.hits[::2], *sides, found.hits[1::2]])
        return BroadFound(hits[:top_k], found.searched_for, found.question_vector)


def section_of(passage: Passage) -> tuple[str, ...]:
    """The document and the outermost headings; a passage without headings is a section of its own."""
    return (passage.document_id, *(passage.heading_path[:SECTION_DEPTH] or (f"#{passage.key}",)))


def breadth_of(question: str) -> Breadth | None:
    """Whether a question compares or asks for all of something, said in so many words; None when in doubt."""
    text = _ENDS.sub("", question)
    if not text or len(text) > LONGEST_QUESTION:
        return None
    text = simplified(text)
    if sides := _compared(text):
        return Breadth(BreadthKind.COMPARISON, sides)
    if any(pattern.search(text) for pattern in _ENUMERATIONS):
        return Breadth(BreadthKind.ENUMERATION)
    return None


def in_turn(found: Sequence[Sequence[Hit]]) -> list[Hit]:
    """The best of each list in turn, so that no side is crowded out; each passage once, where it comes first."""
    ranks = range(max(len(hits) for hits in found))
    first: dict[int, Hit] = {}
    for hit in (hits[rank] for rank in ranks for hits in found if rank < len(hits)):
        first.setdefault(hit.passage.key, hit)
    return list(first.values())


def _sections_in_turn(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each section that is about the question, then the others; order otherwise kept."""
    enough = ABOUT * _coverage(hits[0]) if hits else 0.0
    first: dict[tuple[str, ...], Hit] = {}
    for hit in hits:
        if _coverage(hit) >= enough:
            first.setdefault(section_of(hit.passage), hit)
    leading = list(first.values())
    keys = {hit.passage.key for hit in leading}
    return leading + [hit for hit in hits if hit.passage.key not in keys]


def _coverage(hit: Hit) -> float:
    return hit.signals.get("coverage", 0.0)


_ENDS = re.compile(r"^[\s\"'“”‘’]+|[\s?？!！.。…\"'“”‘’]+$")
_POLITE = (
    r"(?:(?:please|hi|hello|so|and|(?:can|could|would|will)\s+you|i\s+(?:want|need|would\s+like)\s+to(?:\s+know)?"
    r"|tell\s+me|show\s+me|give\s+me|explain|describe|help\s+me|to)[\s,]+)*"
)
_COMPARATIVE = r"(?:better|worse|best|safer|faster|more\s+\w+|less\s+\w+|[a-z]{2,}er)"
# In the present tense: what differed once is a question to history, which one passage answers.
_COMPARISONS = (
    rf"{_POLITE}(?:compare(?:\s+and\s+contrast)?|contrast|a\s+comparison\s+(?:of|between))\s+(?P<sides>.+)",
    rf"""{_POLITE}(?:(?:what|which|how|is|are|was|were|there|any|'s|what's|big|great|much|of\s+a|a|the|main|key|exact
        |biggest|important|basic)\s+)*differences?(?P<head>\s+(?:in|of)\s+[^,]+?)?\s+between\s+(?P<sides>.+)""",
    rf"{_POLITE}how\s+(?:do|does|is|are)\s+(?P<sides>.+?)\s+(?:differ|different)(?P<tail>\s+(?:in|when|for)\s.+)?",
    rf"{_POLITE}(?:how|in\s+what\s+way)\s+(?:do|does|is|are)\s+(?P<one>.+?)\s+(?:differ|different)\s+from\s+(?P<other>.+)",
    rf"""(?:(?:which|what)(?:\s+one)?\s+is\s+{_COMPARATIVE}[^,:]*[,:]\s*)?
        (?!(?:what|who|whom|whose|when|where|why|how|which|in|did|does|do|is|was|were)\b)
        (?P<sides>[^,:]+?\s(?:vs\.?|versus)\s.+)""",
    rf"{_POLITE}(?:which|what)(?:\s+\w+){{1,3}}?(?P<tail>\s+{_COMPARATIVE}(?:\s[^,:]*)?)[,:]\s*(?P<sides>.+\sor\s.+)",
    r"(?:should|shall)\s+(?:i|we)\s+(?:better\s+)?(?:use|choose|pick|take|buy|prefer|select)\s+(?P<sides>.+\sor\s.+)",
    rf"is\s+it\s+{_COMPARATIVE}\s+to\s+(?P<sides>.+\sor\s.+)",
)
_AND = r"(?:和|与|跟|同|及|以及|还是|、|对比)"
_CHINESE_POLITE = "(?:请问|请|麻烦|你好|您好|帮我|给我|能否|可以|我想知道|说明|解释|一下|[，,])*"
_DIFFERENCE = "(?:区别|不同|差别|差异|异同)(?:点|之处)?"
_CHINESE_COMPARISONS = (
    rf"{_CHINESE_POLITE}(?:比较|对比)(?:一下|下)?(?P<sides>.+?{_AND}.+?)(?:的?(?:优缺点|{_DIFFERENCE}))?",
    rf"""{_CHINESE_POLITE}(?P<sides>.+?{_AND}.+?)(?:之间|相比)?[，,]?(?:在(?P<about>.+?)(?:上|方面|时))?
        (?:的|都|有|何|什么|哪些|主要|最大|着|怎样的|怎么){{0,4}}{_DIFFERENCE}(?:是什么|在哪里?|在于什么|有哪些|是|吗|呢|何在|呀)*""",
    rf"{_CHINESE_POLITE}(?P<sides>.+?{_AND}.+?)[，,]?哪一?[个种款](?:更|比较|最)(?P<about>.{{1,8}}?)(?:一些|些|呢|呀)?",
)
_PATTERNS = tuple(re.compile(pattern, re.VERBOSE | re.IGNORECASE) for pattern in _COMPARISONS)
_CHINESE_PATTERNS = tuple(re.compile(pattern, re.VERBOSE) for pattern in _CHINESE_COMPARISONS)

_THINGS = (
    r"(?:ways?|steps?|methods?|options?|modes?|settings?|features?|types?|kinds?|sorts?|places?"
    r"|buttons?|keys?|codes?|errors?|messages?|warnings?|causes?|reasons?|tools?|materials?|accessories|limits?)"
)
_ENUMERATIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^{_POLITE}(?:list|enumerate)\s+(?!one\b|an?\b)\w",
        rf"^{_POLITE}(?:a\s+)?(?:complete\s+|full\s+)?list\s+of\s+(?:all|every)\b",
        rf"^{_POLITE}(?:name|show|give|tell)\s+(?:me\s+)?(?:all|every|each)\b",
        r"^(?:what|which)\s+(?:are|were)\s+all\b",
        r"^(?:what|which)\s+(?:\w+\s+){1,4}are\s+there\b",
        rf"\bevery\s+(?:single\s+)?{_THINGS}\b.*",
        rf"\ball\s+(?:of\s+)?(?:the\s+)?(?:different\s+|possible\s+|available\s+|various\s+)*{_THINGS}\b",
        r"^(?:请问|请|麻烦|帮我|给我|能否|可以|能)*(?:完整地?)?(?:列出|列举|罗列)(?!.{0,30}一[个种项])",
        r"有哪些\w{0,6}$",
        r"(?:所有|全部|每一?个|各种|各个)的?\w{0,8}?(?:步骤|方法|方式|功能|模式|设置|选项|按键|按钮|代码|错误|故障|警告|原因|配件|部件|材料|途径)",
        r"^有哪些|哪些\w{1,8}(?:可以|可供|可)(?:使用|选择|用)$",
    )
)

_BETWEEN = (
    re.compile(r"\s*,\s*(?:and\s+|or\s+)?|\s+(?:and|or|vs\.?|versus)\s+", re.IGNORECASE),
    re.compile(r"\s+(?:to|against)\s+", re.IGNORECASE),
    re.compile(r"\s+with\s+", re.IGNORECASE),
)
_CHINESE_BETWEEN = re.compile(_AND)
_PREPOSITION = re.compile(
    r"\s(?:in\s+terms\s+of|when|while|if|for|during|regarding|of|in|on|at|with|about)\s", re.IGNORECASE
)
_LAST_PREPOSITION = re.compile(r"(.*\s(?:of|for|in|on|at|with|about)\s)(.+)", re.IGNORECASE)


def _compared(text: str) -> tuple[str, ...]:
    """The sides of a comparison in simplified characters; none where it is no comparison."""
    for pattern in _PATTERNS:
        if found := pattern.fullmatch(text):
            part = found.groupdict(default="")
            listed = [part["one"], part["other"]] if part.get("one") else _listed(part["sides"])
            if sides := _sides(listed, part.get("head", ""), part.get("tail", "")):
                return sides
    for pattern in _CHINESE_PATTERNS:
        if found := pattern.fullmatch(text):
            part = found.groupdict(default="")
            if sides := _chinese_sides(_CHINESE_BETWEEN.split(part["sides"]), part.get("about", "")):
                return sides
    return ()


def _listed(sides: str) -> list[str]:
    """Split at the first of the joints that there is: "with" joins two sides only where nothing else does."""
    ways = (joint.split(sides) for joint in _BETWEEN)
    return next((listed for listed in ways if len(listed) > 1), [sides])


def _sides(listed: list[str], head: str, tail: str) -> tuple[str, ...]:
    """Each side with the words that all of them share: "the speed of PLA and PETG", "PLA and PETG for toys"."""
    first, *others, last = [side.strip() for side in listed] if len(listed) > 1 else ["", ""]
    further = _PREPOSITION.search(last)
    if further and not _PREPOSITION.search(first):
        last, tail = last[: further.start()], last[further.start() :] + tail
    elif not further and (shared := _LAST_PREPOSITION.fullmatch(first)):
        head, first = head + " " + shared[1], shared[2]
    noun = last.split()[-1:]
    if len(last.split()) > 1 and len(words(first)) == 1 and noun[0].endswith("s"):
        tail = f" {noun[0]}{tail}"  # "the fast and quiet modes"
        last = last.removesuffix(noun[0])
    return _whole([first, *others, last], head + " ", tail)


def _chinese_sides(listed: list[str], about: str) -> tuple[str, ...]:
    """As `_sides`: "PLA和PETG的打印温度"."""
    first, *others, last = listed if len(listed) > 1 else ["", ""]
    last, of, rest = last.partition("的")
    if of and "的" in first:
        last, of, rest = last + of + rest, "", ""
    return _whole([first, *others, last], "", of + rest + about)


def _whole(sides: Sequence[str], head: str, tail: str) -> tuple[str, ...]:
    """None where a side says nothing, or there are more than can be told side by side."""
    if len(sides) > MOST_SIDES or not all(words(side) for side in sides):
        return ()
    return tuple(" ".join(f"{head}{side}{tail}".split()) for side in sides)
