"""Questions that need several places of a manual: taken for such, searched side by side, answered from each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app import sample
from ingestion.windows import window_spans
from rag.answerers.base import Found
from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.breadth import BreadthKind, BroadSearcher, breadth_of
from rag.chain import AnswerChain
from rag.products.search import whole_searcher
from rag.retriever import HybridRetriever
from rag.types import Answer, Finished, Hit, Passage, Question, Span, Turn
from tests.fakes.passage_store import MemoryPassageStore
from tests.rag.answering import FakeFound, hit
from tests.rag.corpus import EMBEDDER, add
from tests.rag.test_index import index_in

MANUAL = {
    "PLA": [
        "PLA prints at 205 °C on a bed of 60 °C. It becomes soft in a hot car.",
        "Keep PLA in a dry bag. Old PLA breaks in the feeder.",
        "Coloured PLA may need a nozzle that is 5 °C hotter.",
    ],
    "PETG": ["PETG prints at 240 °C on a bed of 80 °C. It bears rain and sun.", "Dry PETG for six hours before use."],
    "Touch screen": [
        "You can stop a print on the touch screen: press Stop and confirm. The head moves to the side.",
        "After a stop the touch screen asks whether you want to print the rest of the part.",
    ],
    "Web page": ["To stop a print on the web page, open the job and choose Cancel job."],
    "Power failure": ["Holding the power button for four seconds will stop a print at once; nothing is saved."],
    "Levelling": ["Level the bed with the card that is in the box before the first layer."],
    "Filter": ["Change the carbon filter after 600 hours."],
}
CHINESE_MANUAL = {
    "PLA 材料": ["PLA 的打印温度是 205 °C，热床温度是 60 °C。放在热的车里会变软。", "PLA 要放在干燥的袋子里保存。"],
    "PETG 材料": ["PETG 的打印温度是 240 °C，热床温度是 80 °C。可以在户外使用。", "PETG 使用之前要烘干六个小时。"],
    "触摸屏": ["停止打印的方法之一：在触摸屏上按停止并确认。", "触摸屏上停止打印之后可以继续。"],
    "网页": ["在网页上停止打印的方法：打开任务，选择取消任务。"],
    "电源": ["按住电源键四秒钟也是停止打印的方法，但是不保存进度。"],
    "滤芯": ["每使用六百小时更换一次滤芯。"],
}

COMPARISONS = {
    "Compare PLA and PETG": ("PLA", "PETG"),
    "Can you compare the print speed of PLA and PETG?": ("the print speed of PLA", "the print speed of PETG"),
    "What is the difference between the fast and quiet modes?": ("the fast modes", "quiet modes"),
    "What's the difference in noise between PLA, ABS and PETG?": ("in noise PLA", "in noise ABS", "in noise PETG"),
    "How does the Wi-Fi setup differ from the USB setup?": ("the Wi-Fi setup", "the USB setup"),
    "compare cleaning with vinegar to cleaning with acid": ("cleaning with vinegar", "cleaning with acid"),
    "Should I use PLA or PETG for outdoor parts?": ("PLA for outdoor parts", "PETG for outdoor parts"),
    "Which is stronger, PLA or PETG?": ("PLA stronger", "PETG stronger"),
    "PLA vs. PETG": ("PLA", "PETG"),
    "PLA和PETG有什么区别？": ("PLA", "PETG"),
    "比較一下PLA與PETG的打印溫度": ("PLA的打印温度", "PETG的打印温度"),
    "PLA還是PETG哪個更耐熱？": ("PLA耐热", "PETG耐热"),
}
ENUMERATIONS = [
    "List all error codes.",
    "Which error codes are there?",
    "What are all the ways to stop a print?",
    "I want every step from unboxing to first print",
    "打印机有哪些模式？",
    "請列出所有錯誤代碼",
    "从开箱到第一次打印的所有步骤",
]
SAMPLE = [
    json.loads(line)["text"]
    for line in (Path(sample.__file__).parent / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
PLAIN = [
    *SAMPLE,
    "How do I clean the nozzle?",
    "What is the print temperature of PLA and where do I set it?",
    "What was decided in Roe vs Wade?",
    "What happens to all the people who listed their houses?",
    "Is the difference normal?",
    "How did France differ from Britain in its colonies?",
    "How long does every print wait before it starts?",
    "Name one error code.",
    "比较好的材料是什么？",
    "打印机的所有者怎么登记？",
    "它和别的打印机相同吗？",
    "列举一个停止打印的原因。",
    "",
    "compare",
    "compare  and  ",
    "和和和有什么区别",
]


@pytest.mark.parametrize(("question", "sides"), COMPARISONS.items())
def test_a_comparison_is_searched_for_side_by_side(question: str, sides: tuple[str, ...]) -> None:
    breadth = breadth_of(question)
    assert breadth is not None
    assert (breadth.kind, breadth.sides) == (BreadthKind.COMPARISON, sides)


@pytest.mark.parametrize("question", ENUMERATIONS)
def test_all_of_something_is_asked_for(question: str) -> None:
    breadth = breadth_of(question)
    assert breadth is not None
    assert breadth.kind is BreadthKind.ENUMERATION


@pytest.mark.parametrize("question", PLAIN)
def test_other_questions_are_handed_on_as_they_are(question: str) -> None:
    below = _Recording([])
    found = BroadSearcher(below).search(question, top_k=8, filter={"a": 1}, history=(), timings={})
    assert below.asked == [(question, 8, ())]
    assert found is below.found


def test_a_follow_up_is_left_to_its_context() -> None:
    below = _Recording([])
    history = (Turn("customer", "Tell me about the fast mode of the printer."),)
    BroadSearcher(below).search("Compare it with that", top_k=8, filter={}, history=history, timings={})
    assert below.asked == [("Compare it with that", 8, history)]


def test_sides_take_turns_behind_what_is_said_of_both_and_no_passage_comes_twice() -> None:
    hits = {key: hit(f"Text {key}", key=key) for key in range(1, 8)}
    found = {"Compare PLA and PETG": [1, 2, 3], "PLA": [1, 4, 5], "PETG": [6, 1, 7]}
    below = _Recording([], {text: [hits[key] for key in keys] for text, keys in found.items()})
    searched = BroadSearcher(below).search("Compare PLA and PETG", top_k=6, filter={"a": 1}, history=(), timings={})
    assert [each.passage.key for each in searched.hits] == [1, 6, 2, 3, 4, 5]
    assert searched.searched_for == "Compare PLA and PETG"


def test_sections_take_turns_where_they_are_about_the_question() -> None:
    sections = {1: "Stopping", 2: "Stopping", 3: "Filter", 4: "Web page", 5: "Stopping", 6: "Web page"}
    covered = {3: 0.2}
    hits = [
        replace(hit("Text", key=key, heading_path=[name]), signals={"coverage": covered.get(key, 0.9)})
        for key, name in sections.items()
    ]
    found = BroadSearcher(_Recording(hits)).search("List all ways to stop", top_k=5, filter={}, history=(), timings={})
    assert [each.passage.key for each in found.hits] == [1, 4, 2, 3, 5]


@pytest.mark.parametrize(
    ("manual", "question"),
    [
        (MANUAL, "What is the difference between PLA and PETG?"),
        (CHINESE_MANUAL, "PLA和PETG有什么区别？"),
        (CHINESE_MANUAL, "PLA與PETG的打印溫度有什麼不同？"),
    ],
)
def test_a_comparison_cites_both_sections(tmp_path: Path, manual: Mapping[str, Sequence[str]], question: str) -> None:
    cited = _sections(_answer(tmp_path, manual, question))
    assert any(heading.startswith("PLA") for heading in cited)
    assert any(heading.startswith("PETG") for heading in cited)


@pytest.mark.parametrize(
    ("manual", "question", "sections"),
    [
        (MANUAL, "List all the ways to stop a print", {"Touch screen", "Web page", "Power failure"}),
        (CHINESE_MANUAL, "停止打印的方法有哪些？", {"触摸屏", "网页", "电源"}),
    ],
)
def test_an_enumeration_cites_every_section_under_a_line_of_its_own(
    tmp_path: Path, manual: Mapping[str, Sequence[str]], question: str, sections: set[str]
) -> None:
    answer = _answer(tmp_path, manual, question)
    assert set(_sections(answer)) == sections
    assert all(answer.text.count(f"*{heading}*") == 1 for heading in sections)


def test_what_another_section_repeats_is_not_told_twice(tmp_path: Path) -> None:
    manual = {**MANUAL, "Web page on a phone": MANUAL["Web page"]}
    answer = _answer(tmp_path, manual, "List all the ways to stop a print")
    assert answer.text.count("choose Cancel job") == 1
    assert len(_sections(answer)) == 3


@pytest.mark.parametrize(
    ("manual", "question", "section"),
    [(MANUAL, "When must I change the carbon filter?", "Filter"), (CHINESE_MANUAL, "多久更换一次滤芯？", "滤芯")],
)
def test_a_plain_question_is_answered_from_one_place(
    tmp_path: Path, manual: Mapping[str, Sequence[str]], question: str, section: str
) -> None:
    assert _sections(_answer(tmp_path, manual, question)) == [section]


class _Recording:
    """A searcher that finds the hits given and remembers what it was asked."""

    def __init__(self, hits: Sequence[Hit], by_text: Mapping[str, Sequence[Hit]] | None = None) -> None:
        self.found = FakeFound(hits, "searched for")
        self.by_text = by_text or {}
        self.asked: list[tuple[str, int, Sequence[Turn]]] = []

    def search(
        self,
        question: str,
        *,
        top_k: int,
        filter: Mapping[str, object],
        history: Sequence[Turn],
        timings: dict[str, float],
    ) -> Found:
        self.asked.append((question, top_k, history))
        return FakeFound(self.by_text[question], question) if question in self.by_text else self.found


def _retriever(folder: Path, manual: Mapping[str, Sequence[str]]) -> HybridRetriever:
    store = MemoryPassageStore()
    texts = [(heading, text) for heading, texts in manual.items() for text in texts]
    add(store, *(_passage(key, heading, text) for key, (heading, text) in enumerate(texts, 1)))
    return HybridRetriever(index=index_in(folder), store=store, embeddings=EMBEDDER)


def _passage(key: int, heading: str, text: str) -> Passage:
    return Passage(
        key=key,
        id=f"p{key}",
        document_key=1,
        document_id="d1",
        document_version=1,
        external_id="printer.pdf",
        title="Printer manual",
        heading_path=(heading,),
        spans=(Span(key, 0, len(text)),),
        page_label=None,
        text=text,
        windows=tuple(window_spans(text)),
    )


def _answer(folder: Path, manual: Mapping[str, Sequence[str]], question: str) -> Answer:
    settings = ExtractiveSettings(refuse_below=0.0, doubt_below=0.0)
    return AnswerChain(whole_searcher(_retriever(folder, manual)), ExtractiveAnswerer(settings)).answer(
        Question(question)
    )


def _sections(answer: Answer) -> list[str]:
    return list(dict.fromkeys(citation.heading_path[-1] for citation in answer.citations))


def test_how_sure_a_comparison_is_goes_by_the_side_that_is_known_least() -> None:
    question = "What is the difference between Picture Off and Ambient Mode?"
    picture = hit("Picture Off turns the screen off while the sound plays on.", key=1, heading_path=["Picture Off"])
    ambient = hit("Ambient Mode shows a quiet clock while nobody watches.", key=2, heading_path=["Ambient Mode"])
    other = hit("Rinse the filter under running water once a month.", key=3, heading_path=["Care"])

    def sure(*hits: Hit) -> float:
        *_, event = ExtractiveAnswerer(ExtractiveSettings(refuse_below=0)).answer(
            Question(question), FakeFound(hits, question)
        )
        assert isinstance(event, Finished)
        confidence = event.answer.details["confidence"]
        assert isinstance(confidence, float)
        return confidence

    both = sure(picture, ambient)
    assert both > 0.5
    assert sure(picture, other) < both / 2
    assert sure(other, ambient) < both / 2


@pytest.mark.parametrize(
    ("table", "known", "unknown"),
    [
        (
            "错误代码：E-14 表示滴水盘已满。E-15 表示除垢逾期，请除垢。",
            "E-14 和 E-15 有什么区别？",
            "E-97 和 E-98 有什么区别？",
        ),
        (
            "Error codes: error E-14 means that the drip tray is full. Error E-15 means that descaling is overdue.",
            "What is the difference between the error code E-14 and the error code E-15?",
            "What is the difference between the error code E-97 and the error code E-98?",
        ),
    ],
)
def test_a_comparison_of_codes_that_are_nowhere_is_not_sure(table: str, known: str, unknown: str) -> None:
    def sure(question: str) -> float:
        found = FakeFound((hit(table, heading_path=[table.split(":")[0].split("：")[0]]),), question)
        *_, event = ExtractiveAnswerer(ExtractiveSettings(refuse_below=0)).answer(Question(question), found)
        assert isinstance(event, Finished)
        confidence = event.answer.details["confidence"]
        assert isinstance(confidence, float)
        return confidence

    assert sure(unknown) < 0.1 < 0.5 < sure(known)
