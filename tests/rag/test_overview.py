"""What a manual covers: which questions ask for it, and what is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.overview import MOST_CHAPTERS, Headed, Listed, asks_what_is_covered, chapters_of, overview
from rag.types import Passage, Span


@dataclass
class Shelf:
    """`Contents` of documents given as lists of (heading path, text)."""

    titles: Sequence[str]
    texts: Sequence[Sequence[tuple[tuple[str, ...], str]]]

    def documents(self, filter: Mapping[str, object]) -> Sequence[Listed]:
        wanted = filter.get("title")
        return [Listed(n, title, 1000 * n) for n, title in enumerate(self.titles) if wanted in (None, title)]

    def headings(self, document_key: int) -> Sequence[Headed]:
        return [Headed(1000 * document_key + n, path) for n, (path, _) in enumerate(self.texts[document_key])]

    def passages(self, keys: Sequence[int]) -> Mapping[int, Passage]:
        return {key: self._passage(key) for key in keys}

    def _passage(self, key: int) -> Passage:
        document, number = divmod(key, 1000)
        path, text = self.texts[document][number]
        spans = (Span(number + 1, 0, len(text)),)
        return Passage(
            key, f"p{key}", document, f"d{document}", 1, "", self.titles[document], path, spans, None, text, ()
        )


KETTLE = [
    (("Kettle K1",), "Kettle K1\nThe manual of the kettle."),
    (("Kettle K1", "Contents"), "Contents\n1 Safety . . . 2"),
    (("Kettle K1", "1 Safety"), "1 Safety\nRead this first."),
    (("Kettle K1", "2 Care", "2.1 Limescale"), "2 Care\n2.1 Limescale\nUse vinegar."),
    (("Kettle K1", "2 Care", "2.2 Lid"), "2.2 Lid\nWipe it."),
]


@pytest.mark.parametrize(
    "question",
    [
        "What does this manual cover?",
        "what is this document about",
        "What topics does the Octave manual cover?",
        "Which chapters are in this handbook?",
        "what is in this manual",
        "What do your documents contain?",
        "What does the PDF cover?",
        "What is in the knowledge base?",
        "你们的知识库有哪些内容",
        "该文件包括哪些内容？",
        "Could you please give me an overview of the LT-300S user manual?",
        "Show me the table of contents",
        "Summarize this guide for me please.",
        "这本手册讲了什么？",
        "这份文档包含哪些内容？",
        "這份說明書涵蓋哪些內容？",
        "LT-300S 使用说明书的目录",
        "请总结一下这本手册的主要内容",
    ],
)
def test_questions_for_the_whole(question: str) -> None:
    assert asks_what_is_covered(question)


@pytest.mark.parametrize(
    "question",
    [
        "What does the manual say about descaling?",
        "What does the warranty cover?",
        "How do I create a table of contents in a report?",
        "What is the overview screen for?",
        "Where is the manual?",
        "What does the guide recommend for hard water?",
        "How do I open the instructions file?",
        "What is included in the box?",
        "What is a PDF file?",
        "What does the log file contain?",
        "What is in the configuration file?",
        "What does the warranty document include?",
        "List the contents of the help file",
        "可以打印的文件有哪些？",
        "安装需要准备的资料有哪些？",
        "支持播放的文件包括哪些",
        "What are the safety instructions?",
        "What is in chapter 3?",
        "手册里怎么说除垢？",
        "保修包含哪些内容？",
        "如何生成目录？",
        "文件有什么格式要求？",
        "",
    ],
)
def test_questions_for_something_in_it(question: str) -> None:
    assert not asks_what_is_covered(question)


def test_chapters_are_told_and_cited_where_they_begin() -> None:
    told = overview("What does this manual cover?", {}, Shelf(["Kettle K1"], [KETTLE]))
    assert told is not None
    assert told.text == "*Kettle K1* covers:\n- 1 Safety [1]\n- 2 Care [2]"
    assert [(each.quote, each.spans[0].page) for each in told.citations.citations] == [("1 Safety", 3), ("2 Care", 4)]


def test_the_document_that_is_named_is_told_alone() -> None:
    iron = [(("Iron",), "Iron"), (("Ironing",), "Ironing linen"), (("Steam",), "Steam")]
    shelf = Shelf(["Kettle manual", "Iron manual"], [KETTLE, iron])
    told = overview("What does the iron manual cover?", {}, shelf)
    assert told is not None
    assert told.text.splitlines()[1:] == ["- Iron [1]", "- Ironing [2]", "- Steam [3]"]
    both = overview("What do these manuals cover?", {}, shelf)
    assert both is not None
    assert both.text.count(" covers:") == 2
    narrowed = overview("What do these manuals cover?", {"title": "Kettle manual"}, shelf)
    assert narrowed is not None
    assert "Steam" not in narrowed.text


def test_words_of_the_asking_name_no_document() -> None:
    shelf = Shelf(["Quick start", "Cover replacement"], [KETTLE, KETTLE])
    told = overview("What do these manuals cover?", {}, shelf)
    assert told is not None
    assert told.text.count(" covers:") == 2


def test_lines_of_a_cover_are_no_chapters() -> None:
    cover = [(("Kettles & Co.",), "Kettles & Co."), (("K1 · K1S",), "K1 · K1S"), (("Contents",), "Contents")]
    numbered = [((f"{n} Part",), f"{n} Part") for n in range(1, 4)]
    told = overview("What does this manual cover?", {}, Shelf(["Kettle K1"], [[*cover, *numbered]]))
    assert told is not None
    assert told.text.splitlines()[1:] == ["- 1 Part [1]", "- 2 Part [2]", "- 3 Part [3]"]
    chinese = [(("水壶",), "水壶"), (("第一章 安全",), "第一章 安全"), (("第二章 保养",), "第二章 保养")]
    told = overview("这本手册讲了什么？", {}, Shelf(["水壶"], [chinese]))
    assert told is not None
    assert "- 水壶" not in told.text
    # Where few are numbered, an unnumbered one is as much a chapter.
    mixed = [(("Care",), "Care"), (("Use",), "Use"), (("3D view",), "3D view")]
    told = overview("What does this manual cover?", {}, Shelf(["Viewer"], [mixed]))
    assert told is not None
    assert told.text.count("\n- ") == 3


def test_of_many_documents_the_titles_are_told() -> None:
    shelf = Shelf([f"Part {n}" for n in range(20)], [[((), f"\n  First line of {n}\nmore")] for n in range(20)])
    told = overview("这个知识库包含哪些内容？", {}, shelf)
    assert told is not None
    lines = told.text.splitlines()
    assert lines[0] == "共有 20 份文档："
    assert lines[-1] == "- 另有 8 份文档"
    assert told.citations.citations[0].quote == "First line of 0"


def test_without_headings_there_is_nothing_to_tell() -> None:
    assert overview("What does this manual cover?", {}, Shelf(["Note"], [[((), "Text.")]])) is None
    assert overview("What does this manual cover?", {}, Shelf([], [])) is None


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3).map(tuple), max_size=40))
def test_every_chapter_begins_where_its_heading_first_stands(paths: list[tuple[str, ...]]) -> None:
    headings = [Headed(number, path) for number, path in enumerate(paths)]
    chapters = chapters_of(headings)
    assert len({key for _, key in chapters}) == len(chapters)
    for heading, key in chapters:
        assert heading in paths[key]
    assert bool(chapters) == any(paths)


def test_a_long_list_ends_with_how_many_more() -> None:
    many = [((f"{n} Chapter",), f"{n} Chapter") for n in range(MOST_CHAPTERS + 5)]
    told = overview("What does this manual cover?", {}, Shelf(["Long"], [many]))
    assert told is not None
    assert told.text.endswith("\n- and 5 more chapters")
