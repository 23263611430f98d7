"""What a manual covers: told by its own headings, each cited where its chapter begins, instead of searched for.

Owns which questions ask for that, which headings are told, and the form of the answer. Knows no storage: what
documents there are and how they are divided is handed in (`Contents`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from rag.analyzer import words
from rag.chinese import simplified
from rag.citations import CitationList, find_quotation, guarded
from rag.language import Language, language_of
from rag.types import Passage

MOST_CHAPTERS = 24
"""Told of one document; how many more there are is said."""

FEWEST_CHAPTERS = 2
"""A heading over everything says no more than the title does."""

MOST_DOCUMENTS = 12
"""Told of a knowledge base, by title; how many more there are is said."""

FEW_DOCUMENTS = 3
"""Of so many the chapters are told too."""


@dataclass(frozen=True, slots=True)
class Headed:
    """A passage's key and the headings over it, the outermost first."""

    key: int
    heading_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A document that can be found, and its first passage."""

    key: int
    title: str
    first_passage: int


class Contents(Protocol):
    """What there is in a knowledge base, as it is committed now."""

    def documents(self, filter: Mapping[str, object]) -> Sequence[Listed]:
        """All that the filter admits and that have passages, by title. Raises `rag.errors.UnknownFilter`."""
        ...

    def headings(self, document_key: int) -> Sequence[Headed]:
        """The document's passages in the order of the text."""
        ...

    def passages(self, keys: Sequence[int]) -> Mapping[int, Passage]:
        """Those that still live."""
        ...


@dataclass(frozen=True, slots=True)
class Overview:
    """The answer's text with its markers, and the citations."""

    text: str
    citations: CitationList


_MANUAL = r"(?:manual|handbook|guide|guidebook|booklet|brochure|leaflet|instruction\s+manual|faq|knowledge\s+base)s?"
_ANY_TEXT = r"(?:document|documentation|docs|book|file|pdf|instructions|help)s?"
"""Only directly behind "the": a log file, a warranty document are things that a manual tells of."""
_DOCUMENT = (
    rf"(?:(?:(?:this|that|the|these|those|your|our|my|it's|its|a)\s+)?(?:[\w./+-]+\s+){{0,5}}?{_MANUAL}"
    rf"|(?:(?:this|that|the|these|those|your|our|my|all|all\s+the)\s+)?{_ANY_TEXT})"
)
_ASKS_IN_ENGLISH = re.compile(
    rf"""(?:(?:hi|hello|please|so|and|ok|okay|well)[\s,]+)*
    (?:(?:can|could|would|will)\s+you\s+)?(?:please\s+)?(?:tell\s+me\s+)?
    (?:
      what(?:\s+all)?\s+(?:does|do|is|are|will)\s+{_DOCUMENT}
        \s+(?:all\s+)?(?:cover|contain|include|about|deal\s+with|describe|talk\s+about)
    | what(?:\s+all)?\s+(?:is|are|can\s+i\s+find)\s+in(?:side)?\s+{_DOCUMENT}
    | what\s+{_DOCUMENT}\s+(?:covers|contains|includes|is\s+about|describes|deals\s+with)
    | (?:what|which)\s+(?:topics|subjects|chapters|sections|contents?)\s+(?:does|do|are|is)
        (?:\s+there|\s+covered)?(?:\s+in|\s+by)?\s*{_DOCUMENT}
        (?:\s+(?:cover|contain|have|include|about|deal\s+with))?
    | (?:what\s+(?:is|are)\s+)?(?:(?:show|give|list|print)\s+(?:me\s+)?)?(?:a\s+|an\s+|the\s+|all\s+|brief\s+|short\s+)*
        (?:table\s+of\s+contents?|toc|contents|outline|overview|summary|chapters)
        (?:\s+(?:of|for|in)\s+{_DOCUMENT})?
    | (?:summari[sz]e|outline)\s+{_DOCUMENT}
    )(?:\s+(?:for\s+me|please|overall|in\s+general))*""",
    re.VERBOSE | re.IGNORECASE,
)
_CHINESE_DOCUMENT = (
    r"(?:[\w./+\- ]{0,30}?(?:手册|说明书|指南|教程|知识库)"
    "|(?:(?:这|那|该|本|此|全部|所有)(?:一)?(?:份|个|本|些|篇)?(?:的)?)?(?:使用|用户|操作|产品|参考)?(?:文档|文件|资料|书|帮助))"
)
_ASKS_IN_CHINESE = re.compile(
    rf"""(?:请问|请|麻烦|你好)?(?:帮我|给我|能否|可以)?
    (?:
      {_CHINESE_DOCUMENT}(?:里面|里|中)?(?:都|主要|大概|一共)?
        (?:讲|介绍|包含|包括|涵盖|涉及|说|写|有|是关于|关于|是讲|覆盖)(?:了|的|述了)?(?:些)?
        (?:什么|哪些|啥|哪几)(?:的)?(?:内容|章节|主题|方面|部分|章|东西|话题)?
    | {_CHINESE_DOCUMENT}的?(?:目录|主要内容|内容概要|概要|大纲|提纲)(?:是什么|有哪些|是|呢)?
    | (?:列出|显示|看看|看一下|看)?目录
    | (?:概述|总结|概括|归纳|介绍)(?:一下|下)?{_CHINESE_DOCUMENT}(?:的)?(?:主要)?(?:内容)?
    )(?:吗|呢|呀|啊|吧)?""",
    re.VERBOSE,
)
_LONGEST_QUESTION = 120
_ENDS = re.compile(r"^[\s\"'“”‘’]+|[\s?？!！.。…\"'“”‘’]+$")
_NO_CHAPTER = re.compile(
    r"(?:table of )?contents|index|indices|list of (?:tables|figures)|copyright.*|目\s*录|索\s*引|图目录|表目录|版权.*",
    re.IGNORECASE,
)


_NUMBERED = re.compile(
    r"\s*(?:(?:chapter|part|section)\s+)?(?:\d{1,3}|[IVX]{1,5})(?:[.:、)\s]|\Z)|\s*第\s*[\d一二三四五六七八九十百]{1,4}\s*[章节部篇]",
    re.IGNORECASE,
)
_OF_THE_ASKING = frozenset(
    words(
        "cover covers covered contain contains include includes describe describes deal talk about find tell show list"
        " topics subjects chapters sections contents table outline overview summary summarize print"
        " 讲 介绍 包含 包括 涵盖 涉及 说 写 内容 章节 主题 方面 部分 目录 概要 大纲 提纲"
        " 概述 总结 概括 归纳 列出 主要 哪些"
    )
)
"""Words of the question that name no document, though one may be called "Cover replacement"."""


def asks_what_is_covered(question: str) -> bool:
    """Whether a question asks for the contents of a manual as a whole, and for nothing that stands in it."""
    asked = _ENDS.sub("", simplified(question))
    if len(asked) > _LONGEST_QUESTION:
        return False
    return bool(_ASKS_IN_ENGLISH.fullmatch(asked) or _ASKS_IN_CHINESE.fullmatch(asked))


def overview(question: str, filter: Mapping[str, object], contents: Contents) -> Overview | None:
    """What the documents cover that the filter admits and the question names; None where no heading tells it."""
    listed = _named(question, contents.documents(filter))
    if not listed:
        return None
    language = language_of(question)
    writer = _Writer(language)
    if len(listed) > FEW_DOCUMENTS:
        writer.titles(listed, contents)
    else:
        for document in listed:
            writer.chapters(document, contents)
    return writer.overview()


def chapters_of(headings: Sequence[Headed]) -> list[tuple[str, int]]:
    """The headings of the outermost level that divides a document, with the passage that each begins with.

    A heading over everything divides nothing. Contents lists and indexes are no chapters, nor are the lines of a cover,
    which stand in front of the first chapter where most are numbered.
    """
    depth = 0
    while True:
        reaching = [each for each in headings if len(each.heading_path) > depth]
        if not reaching:
            return []
        starts: dict[tuple[str, ...], Headed] = {}
        for each in reaching:
            starts.setdefault(each.heading_path[: depth + 1], each)
        found = [(path[-1], each.key) for path, each in starts.items() if not _NO_CHAPTER.fullmatch(path[-1].strip())]
        if len(found) > 1 or not any(len(each.heading_path) > depth + 1 for each in reaching):
            return _without_front_matter(found)
        depth += 1


def _without_front_matter(chapters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    numbered = [number for number, (heading, _) in enumerate(chapters) if _NUMBERED.match(heading)]
    return chapters[numbered[0] :] if 2 * len(numbered) > len(chapters) else chapters


def _named(question: str, documents: Sequence[Listed]) -> Sequence[Listed]:
    """Those whose title has words of the question that other titles do not have; all where there are none."""
    asked = set(words(question)) - _OF_THE_ASKING
    shared = [asked & set(words(each.title)) for each in documents]
    in_all = set(asked).intersection(*shared)
    telling = [names - in_all for names in shared]
    most = max(map(len, telling), default=0)
    return [each for each, names in zip(documents, telling, strict=True) if len(names) == most] if most else documents


class _Writer:
    """Lines of an answer, each with its marker."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._lines: list[str] = []
        self._citations = CitationList()

    def chapters(self, document: Listed, contents: Contents) -> None:
        """The document's title and its chapters, a line each."""
        chapters = chapters_of(contents.headings(document.key))
        passages = contents.passages([key for _, key in chapters])
        told = [(heading, passages[key]) for heading, key in chapters if key in passages]
        lines = list(islice(self._cited(told), MOST_CHAPTERS))
        if len(lines) < FEWEST_CHAPTERS:
            return
        covers = "*{}* covers:" if self._language == "en" else "《{}》包括："
        self._lines += [covers.format(guarded(document.title)), *lines]
        self._more(len(told) - len(lines), "chapters", "章")

    def titles(self, documents: Sequence[Listed], contents: Contents) -> None:
        """The documents by title, cited at their beginning."""
        some = documents[:MOST_DOCUMENTS]
        passages = contents.passages([each.first_passage for each in some])
        told = [(each.title, passages[each.first_passage]) for each in some if each.first_passage in passages]
        lines = list(self._cited(told))
        if lines:
            count = len(documents)
            says = f"The knowledge base has {count} documents:" if self._language == "en" else f"共有 {count} 份文档："
            self._lines += [says, *lines]
            self._more(count - len(lines), "documents", "份文档")

    def overview(self) -> Overview | None:
        return Overview("\n".join(self._lines), self._citations) if self._lines else None

    def _cited(self, told: Sequence[tuple[str, Passage]]) -> Iterator[str]:
        for name, passage in told:
            place = find_quotation(passage.text, name) or _first_line(passage.text)
            if place is not None:
                citation, _ = self._citations.add(passage, *place)
                yield f"- {guarded(name)} [{citation.marker}]"

    def _more(self, count: int, english: str, chinese: str) -> None:
        if count > 0:
            self._lines.append(
                f"- and {count} more {english}" if self._language == "en" else f"- 另有 {count} {chinese}"
            )


def _first_line(text: str) -> tuple[int, int] | None:
    """Where the first line with words stands, None in a passage without any."""
    start = 0
    for line in text.splitlines(keepends=True):
        if line.strip():
            return start, start + len(line.rstrip())
        start += len(line)
    return None
