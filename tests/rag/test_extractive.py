"""Extractive answers: the manual's own words, whole procedures, rows with their header, and nothing else."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.extractive.choice import ChoiceLimits
from rag.answerers.extractive.layout import layout_of
from rag.answerers.extractive.measures import measured_in
from rag.answerers.extractive.ranking import SAID_BEFORE, SAYS_NOTHING, inverse_frequencies
from rag.answerers.extractive.terms import content_terms
from rag.language import word_count
from rag.types import Answer, AnswerKind, Cited, Finished, Hit, Question, Token
from tests.effort import costs_at_most
from tests.rag.answering import FakeFound, hit, page_texts

ALWAYS = ExtractiveSettings(refuse_below=0, doubt_below=0)

DESCALING = """Descaling
Hard water leaves scale on the heater.
To descale the kettle:
1. Fill it with water up to MAX.
2. Add 50 ml of vinegar. Do not use other acids.
Note: the smell is harmless.
3. Bring it to the boil.
• Keep the lid closed.
4. Rinse it twice.
The lamp goes out after 5 seconds. Call the service if it does not."""
CODES = """The display shows a code when something is wrong.
Code | Meaning | What to do
E-41 | Lid open | Close the lid
E-42 | No water | Fill the kettle
E-43 | Too hot | Wait 10 minutes
Codes disappear by themselves."""
CHINESE = """除垢
硬水会在加热盘上留下水垢。
除垢步骤如下：
1、加水至最高水位。
2、加入五十毫升白醋。
3、煮沸后静置三十分钟。
指示灯五秒后熄灭。"""
STEPS_OF_DESCALING = DESCALING[DESCALING.index("To descale") : DESCALING.index("\nThe lamp")]
STEPS_OF_CHINESE = CHINESE[CHINESE.index("除垢步骤") : CHINESE.index("\n指示灯")]


def answer(question: str, *hits: Hit, settings: ExtractiveSettings = ALWAYS) -> Answer:
    """The answer; checks that the events build the same text, and that markers and citations agree."""
    *events, last = ExtractiveAnswerer(settings).answer(Question(question), FakeFound(hits, question))
    assert isinstance(last, Finished)
    assert "".join(event.text for event in events if isinstance(event, Token)) == last.answer.text
    assert tuple(event.citation for event in events if isinstance(event, Cited)) == last.answer.citations
    markers = [int(number) for number in re.findall(r"\[(\d+)\]", last.answer.text)]
    assert list(dict.fromkeys(markers)) == [c.marker for c in last.answer.citations]
    for citation in last.answer.citations:
        of = next(h.passage for h in hits if h.passage.id == citation.passage_id)
        pages = page_texts(of)
        assert "".join(pages[span.page][span.start : span.end] for span in citation.spans) == citation.quote
    return last.answer


def quotes(of: Answer) -> list[str]:
    return [citation.quote for citation in of.citations]


def in_section(of: Hit, ordinal: int, page: int) -> Hit:
    """The hit as passage number `ordinal` of its document, on one page."""
    (span,) = of.passage.spans
    return replace(of, passage=replace(of.passage, ordinal=ordinal, spans=(replace(span, page=page),)))


def test_a_procedure_comes_whole_with_the_line_that_leads_to_it() -> None:
    found = answer("How do I descale the kettle?", hit(DESCALING, near="vinegar"))
    assert quotes(found) == [DESCALING[DESCALING.index("To descale") : DESCALING.index("\nThe lamp")]]
    assert found.text.startswith("From *Care and cleaning*, page 41:\n\nTo descale the kettle:\n1. Fill it")
    assert found.text.endswith("4. Rinse it twice. [1]")


def test_of_a_list_only_the_item_asked_for_is_quoted_with_its_number_and_its_lead_in() -> None:
    found = answer("How much vinegar is added?", hit(DESCALING, near="vinegar"))
    assert quotes(found) == [
        "To descale the kettle:",
        "2. Add 50 ml of vinegar. Do not use other acids.\nNote: the smell is harmless.",
    ]


def test_a_procedure_that_runs_over_into_the_next_passage_is_joined_under_one_lead_line() -> None:
    behind = "3. Bring it to the boil.\n4. Rinse it twice.\nThe lamp goes out after 5 seconds."
    before = DESCALING[: DESCALING.index("\n3. Bring")]
    first, other = hit(before, near="vinegar"), hit("The kettle is grey.", key=2, score=1.5)
    found = answer(
        "How do I descale the kettle?", in_section(first, 7, 41), other, in_section(hit(behind, key=3), 8, 42)
    )
    assert quotes(found) == [before[before.index("To descale") :], behind[: behind.index("\nThe lamp")]]
    assert found.text.startswith("From *Care and cleaning*, pages 41–42:\n\nTo descale")
    assert found.text.count("From *") == 1


ERRORS = """Code | Cause | What to do
W-17 | No connection of the K-3 to the Wi-Fi | Check the password.
W-18 | Too cold | Wait."""
NETWORK = """7.2 Connecting the kettle
1. Switch the kettle on.
2. Choose your Wi-Fi and enter the password."""


def test_steps_under_the_heading_asked_for_come_before_a_row_elsewhere_that_has_more_of_the_words() -> None:
    steps = hit(NETWORK, heading_path=["7 Network", "7.2 Connecting the kettle"], near="Switch")
    row = hit(ERRORS, key=2, score=1.5, heading_path=["10 Errors"], near="W-17")
    found = answer("How do I connect the K-3 to the Wi-Fi?", steps, row)
    assert quotes(found) == [NETWORK[NETWORK.index("1. Switch") :]]


@pytest.mark.parametrize(
    ("printed", "path"),
    [
        ("7.2 Connecting the kettle\n", ["7.2 Connecting the kettle"]),
        ("7.2 Connecting\nthe kettle\n", ["7 Network", "7.2 Connecting the kettle"]),
        ("7.2 Connecting the kettle\n", ["Network", "Connecting the kettle"]),
        ("Connecting the kettle\n", ["7 Network", "7.2 Connecting the kettle"]),
        ("CONNECTING THE KETTLE\n", ["Chapter 7", "Connecting the kettle"]),
        ("7 Network\nHere is how.\n7.2 Connecting the kettle\n", ["7 Network"]),
    ],
)
def test_a_heading_stands_in_the_lead_line_and_nowhere_else(printed: str, path: list[str]) -> None:
    found = answer("How do I connect the kettle?", hit(printed + NETWORK.partition("\n")[2], heading_path=path))
    lead, _, rest = found.text.partition("\n\n")
    assert "connecting the kettle*, page 41:" in lead.lower()
    assert rest.startswith("1. Switch the kettle on.")


def test_quotes_of_two_sections_in_one_passage_stand_under_a_lead_line_each() -> None:
    text = "7.3 Updates\nThe kettle looks for updates at night.\n7.4 Accounts\nAn update keeps the account."
    everything = ExtractiveSettings(0, 0, limits=ChoiceLimits(enough=1.0, worth=0))
    found = answer("What about an update at night?", hit(text, heading_path=["7 Network"]), settings=everything)
    assert re.findall(r"From \*(.*?)\*", found.text) == ["7.3 Updates", "7.4 Accounts"]


def test_a_line_that_goes_on_with_a_number_is_no_new_item() -> None:
    text = (
        "Turn the ring to the left, towards the larger dot, if a whole cup takes less than\n12 seconds. Then test it."
    )
    found = answer("How many seconds does a cup take?", hit(text, near="12"))
    assert quotes(found)[0].startswith("Turn the ring")


LONG = (
    "When the kettle was first sold in the spring of 1998 in a small town by the sea, where nobody had heard of it, the"
    " makers, who had worked for many years on boilers of ships and on little else, chose a heater of 2200 watts, since"
    " the fuses of most of the old houses along the coast could not bear more than that, and they kept to it for the"
    " following ten years, although many other makers had long gone over to stronger ones by then."
)


def test_of_a_sentence_longer_than_an_answer_the_clauses_asked_about_are_quoted_with_marks_of_omission() -> None:
    found = answer("How many watts does the heater have?", hit("Tea is old. " + LONG, near=""))
    (quote,) = quotes(found)
    assert "a heater of 2200 watts" in quote
    assert word_count(quote) <= ChoiceLimits().words
    assert quote in LONG
    assert f"\n\n… {quote} … [1]" in found.text


def test_a_chinese_procedure_comes_whole() -> None:
    found = answer("怎样给水壶除垢？", hit(CHINESE, near="白醋", heading_path=["保养"]))
    assert quotes(found) == [STEPS_OF_CHINESE]
    assert found.text.startswith("摘自*保养*，第 41 页：\n\n除垢步骤如下：")


def test_a_place_is_not_called_by_the_columns_of_its_table() -> None:
    under = ["10 Error codes", "Code | Meaning | What to do"]
    found = answer("What does E-42 mean?", hit(CODES, near="E-43", heading_path=under))
    assert found.text.startswith("From *10 Error codes*, page 41:")


@pytest.mark.parametrize("question", ["What does E-42 mean?", "The display shows e42. What do I do?"])
def test_the_row_of_the_code_asked_for_decides_over_similarity(question: str) -> None:
    found = answer(question, hit(CODES, near="E-43"))
    assert quotes(found) == ["Code | Meaning | What to do", "E-42 | No water | Fill the kettle"]


def test_a_table_that_goes_on_in_the_next_passage_keeps_its_header_and_a_code_is_found_further_down() -> None:
    start, rest = CODES[: CODES.index("\nE-43")], CODES[CODES.index("E-43") :]
    hits = [hit("The kettle shows codes.", key=3), hit("The lamp is red.", key=4, score=1)]
    found = answer("What is E-43?", *hits, in_section(hit(rest), 5, 20), in_section(hit(start, key=2), 4, 19))
    assert quotes(found) == ["Code | Meaning | What to do", "E-43 | Too hot | Wait 10 minutes"]
    assert found.text.startswith("From *Care and cleaning*, page 20:\n\nCode |")


NEEDS = """Descaling takes 25 minutes.
Table 12 How often to descale
Hardness | K-2 | K-3
Soft | 70 L | 90 L
Hard | 25 L | 30 L
Table 13 What descaling needs
Item | K-2 | K-3
Descaler | 100 mL | 150 mL
Vessel | 1.5 L | 2.0 L"""


def test_a_small_table_comes_whole_when_its_title_is_what_is_asked_for() -> None:
    found = answer("What do I need for descaling the K-3?", hit(NEEDS, near="Vessel"))
    assert quotes(found)[-1] == NEEDS[NEEDS.index("Table 13") :]
    assert "Hardness" not in found.text


def test_only_the_rows_asked_for_come_and_never_a_header_alone() -> None:
    found = answer("Which vessel does the K-3 take?", hit(NEEDS, near="Item"))
    assert quotes(found)[-2:] == ["Item | K-2 | K-3", "Vessel | 1.5 L | 2.0 L"]
    assert "100 mL" not in found.text
    header = answer(
        "What is in the K-3 table?", hit("The K-3 is a kettle.\nTable 9 K-3\nItem | K-2 | K-3", near="Item")
    )
    assert quotes(header) == ["The K-3 is a kettle."]


def test_a_heading_a_signature_or_a_cross_reference_is_never_an_answer_by_itself() -> None:
    text = "Care and cleaning\nboil (water)\nBring the water to the boil.\nSee also: [cool], page 9.\nsimmer (water)"
    assert quotes(answer("How do I boil water?", hit(text, near="boil"))) == [
        "boil (water)\nBring the water to the boil."
    ]
    assert answer("What is simmer water?", hit("Care and cleaning\nsimmer (water)")).kind is AnswerKind.NOT_IN_MANUALS


def test_a_line_that_leads_to_an_example_comes_with_it_and_an_example_without_its_last_line() -> None:
    text = "Cups are filled in a loop. For example:\nfor cup = cups\n  fill (cup)\nendfor\nThe loop ends there."
    found = answer("Can you explain how cups are filled?", hit(text, near="Cups"))
    assert quotes(found) == [text[: text.index("\nThe loop")]]
    assert not answer("Why does the loop end?", hit(text)).text.startswith("endfor")


TROUBLE = """8.2 When nothing comes out
The pump needs water to begin with, and a dry one only hums for some seconds before the kettle gives up on it.
Air that was caught in the pipe behind the filter is let out by the small wheel at the back, half a turn to the left.
It turns easily, and water that drops from it is no fault: let the kettle stand for a minute, and switch it on again.
A note for those who look after many kettles: the wheel is sold as a spare part, and lasts for years as a rule.
Table 4: Spare parts
The warranty covers the pump, the pipe and the wheel, but not the filter, which is worn out sooner by hard water.
"""


@pytest.mark.parametrize(
    ("question", "is_help"),
    [
        ("My kettle only hums for some seconds.", True),
        ("The kettle hums", True),
        ("How do I stop the humming?", True),
        ("What hums for some seconds?", False),
        ("How long does it hum?", False),
    ],
)
def test_who_asks_for_help_is_also_told_what_is_near_in_other_words(question: str, is_help: bool) -> None:
    trouble = hit(TROUBLE)
    texts = [trouble.passage.text[start:end] for start, end in trouble.passage.windows]
    nearness = tuple(
        0.9 if "hums" in text else 0.88 if "small wheel" in text or "Table 4" in text else 0.8 for text in texts
    )
    assert 0.88 in nearness, "the wheel has a window of its own"
    found = answer(
        question, replace(trouble, window_scores=nearness), hit("Kettles are grey.", key=2, score=1, best=0.8)
    )
    assert ("half a turn to the left" in found.text) is is_help
    assert "gives up on it" in found.text
    assert "Table 4" not in found.text, "a caption tells nothing without its table"
    assert "grey" not in found.text, "what is far is not told"
    assert word_count(" ".join(quotes(found))) <= ChoiceLimits().help_words


def test_what_is_told_besides_makes_no_answer_surer() -> None:
    far = hit("The wheel at the back lets the air out.", key=2, score=1.9, near="wheel", best=0.95)
    near = hit("A kettle that hums has a dry pump.\nIt needs water.", near="hums")
    asked = "My kettle hums, what is wrong?"
    helped = answer(asked, near, far)
    short = answer(asked, near, far, settings=replace(ALWAYS, limits=ChoiceLimits(help_words=0)))
    assert len(helped.text) > len(short.text)
    assert helped.details["confidence"] == short.details["confidence"]


@given(nearness=st.lists(st.sampled_from([0.85, 0.88, 0.9, 0.95]), min_size=6, max_size=6))
def test_the_answer_comes_before_what_is_told_besides(nearness: list[float]) -> None:
    texts = ["A kettle that hums has a dry pump. It needs water.", "Wheels at the back let air out. Turn them."]
    found = [hit(text, key=key) for key, text in enumerate(texts, start=1)]
    found = [
        replace(each, window_scores=tuple(nearness[3 * number : 3 * number + len(each.passage.windows)]))
        for number, each in enumerate(found)
    ]
    short, helped = (
        answer(
            "My kettle hums, what is wrong?", *found, settings=replace(ALWAYS, limits=ChoiceLimits(help_words=words))
        )
        for words in (0, 110)
    )
    assert helped.citations[0].passage_id == short.citations[0].passage_id
    assert helped.details == short.details


def test_printed_page_numbers_are_told_with_those_of_the_file() -> None:
    text = "The vinegar is clear. " * 3 + "Add 50 ml of vinegar to it."
    found = answer("How much vinegar is added?", hit(text, near="50", pages=[60], page_label="25"))
    assert "page 26 (42 in the file):" in found.text or "pages 25–26 (41–42 in the file):" in found.text
    assert "第 25 页（文件第 41 页）" in answer("醋是什么？", hit("醋是酸的。", page_label="25")).text
    assert ", page 41:" in answer("What is it?", hit("It is vinegar.", page_label="41")).text


def test_a_sentence_that_depends_on_the_one_before_comes_with_it() -> None:
    text = "The Kelvin 3 holds 1.7 litres. " + "It is made of steel and stays cool outside. " * 1 + "Dry it well."
    found = answer("What is it made of, steel?", hit(text, near="steel"), settings=ExtractiveSettings(0, 0))
    assert quotes(found)[0].startswith("The Kelvin 3 holds 1.7 litres. It is made of steel")


def test_quotes_of_a_passage_stand_in_the_order_of_the_page_and_across_pages() -> None:
    text = "The vinegar must be clear. Rain falls in Spain. Add 50 ml of vinegar to the kettle."
    everything = ExtractiveSettings(0, 0, limits=ChoiceLimits(enough=1.0, worth=0))
    found = answer("How much vinegar do I add to the kettle?", hit(text, near="", pages=[60]), settings=everything)
    assert found.text.index("must be clear") < found.text.index("Add 50 ml")
    spans = [[(span.page, span.start) for span in citation.spans] for citation in found.citations]
    assert spans[-1][-1][0] == 42


def test_the_same_sentence_is_not_told_twice_and_turning_pages_not_at_all() -> None:
    text = "Next | Previous\nHome\nAdd 50 ml of vinegar.\nAdd 50 ml of vinegar.\n. . . . . . . 12"
    found = answer("How much vinegar?", hit(text, near="vinegar"))
    assert quotes(found) == ["Add 50 ml of vinegar."]


def test_a_second_passage_is_quoted_only_for_strong_evidence() -> None:
    first = hit("The kettle holds 1.7 litres. It is grey.", near="litres", best=0.9)
    weak = hit("The lamp is red. Its cable is black.", best=0.75, score=0.5, key=2)
    assert {c.passage_id for c in answer("How many litres does the kettle hold?", first, weak).citations} == {"p1"}


def test_code_that_looks_like_a_marker_is_not_one() -> None:
    found = answer("What does x[1] give?", hit("The expression x[1] gives the first element.", near="x[1]"))
    assert found.text.endswith("The expression x[\u20601] gives the first element. [1]")
    assert quotes(found) == ["The expression x[1] gives the first element."]


def test_when_nothing_is_good_enough_the_nearest_pages_are_offered_in_the_questions_language() -> None:
    strict = ExtractiveSettings(refuse_below=1.0)
    found = answer("Can it play music?", hit(DESCALING), hit(CODES, key=2, page_label="ix"), settings=strict)
    assert found.kind is AnswerKind.NOT_IN_MANUALS
    assert found.text.startswith(
        "I could not find an answer to this in the manuals.\n\nThe nearest pages are:\n\n- *Care"
    )
    assert "page ix (41 in the file) [2]" in found.text
    assert not any(sentence in found.text for sentence in ("vinegar", "E-42"))
    assert answer("能放音乐吗？", hit(DESCALING), settings=strict).text.startswith("手册中没有找到")
    assert answer("Can it play music?").citations == ()


@pytest.mark.parametrize(
    ("question", "reason", "told"),
    [
        ("How much vinegar does the K-9 of Braun take?", "missing", "It does not mention “K-9” or “Braun”."),
        ("水壶“童锁”怎么用？", "missing", "其中没有提到“童锁”。"),
        ("Is there a warranty on scratches?", "far", "It has little of what was asked."),
        ("Fill it with water up to MAX", "rivals", "Other places are about as near to the question."),
        ("除垢要用什么酸？", "language", "其语言与问题的语言不同。"),
    ],
)
def test_a_doubtful_answer_says_so_and_why(question: str, reason: str, told: str) -> None:
    doubtful = ExtractiveSettings(refuse_below=0, doubt_below=1.1)
    text = CHINESE if "壶" in question else DESCALING
    rival = hit("Fill the tank with water." if text is DESCALING else "水壶是灰色的。", key=2, heading_path=["More"])
    found = answer(question, hit(text), rival, settings=doubtful)
    assert found.kind is AnswerKind.UNCERTAIN
    assert found.details["doubt"] == reason
    first = found.text.partition("\n\n")[0]
    assert first.startswith(("I am not sure that this answers the question", "不确定以下内容是否回答了您的问题"))
    assert first.endswith(told)


@pytest.mark.parametrize(
    ("earlier", "own", "quoted"),
    [
        ("How do I descale the kettle?", "How long does the lamp stay on?", "The lamp goes out after 5 seconds."),
        ("How do I descale the kettle?", "And without vinegar?", STEPS_OF_DESCALING),
        ("How do I descale the kettle?", "Can it be done without vinegar?", STEPS_OF_DESCALING),
        ("水壶怎么除垢？", "指示灯多久熄灭？", "指示灯五秒后熄灭。"),
        ("水壶怎么除垢？", "可以不用白醋吗？", STEPS_OF_CHINESE),
    ],
)
def test_a_follow_up_is_answered_by_what_it_asks_itself(earlier: str, own: str, quoted: str) -> None:
    text = CHINESE if "壶" in earlier else DESCALING
    words = f"{earlier} {own}"
    *_, last = ExtractiveAnswerer(ALWAYS).answer(Question(own), FakeFound([hit(text)], words))
    assert isinstance(last, Finished)
    told = "".join(quotes(last.answer))
    assert quoted in told
    assert any(step in told for step in ("vinegar", "白醋")) is any(step in quoted for step in ("vinegar", "白醋"))


@pytest.mark.parametrize(
    ("earlier", "own", "shares"),
    [
        ("How do I change the filter?", "What about its lid?", {"filter": SAID_BEFORE, "lid": 1.0}),
        ("怎么除垢？", "需要多久？", {"除垢": SAID_BEFORE, "需": SAYS_NOTHING}),  # 需要 is about nothing
    ],
)
def test_words_of_earlier_questions_and_words_that_say_nothing_count_less(
    earlier: str, own: str, shares: dict[str, float]
) -> None:
    texts = ("Change the filter.", "A lid.", "除垢前请取下滤芯。", "清洁程序需要 6 分钟。")
    hits = [frozenset(content_terms(text)) for text in texts]
    alone = inverse_frequencies(f"{earlier} {own}", hits)
    counted = inverse_frequencies(f"{earlier} {own}", hits, own=own)
    assert {term: pytest.approx(counted[term] / alone[term]) for term in shares} == shares
    assert inverse_frequencies(own, hits, own=own) == inverse_frequencies(own, hits)


@pytest.mark.parametrize(
    ("question", "heading", "may_help"),
    [
        ("How do I start descaling?", "Descaling", True),
        ("How do I start descaling?", "Vinegar", False),
        ("How do I start descaling?", "Descaling of other kettles", False),  # not all of it is asked for
        ("How do I start descaling if my landlord forbids it in the flat?", "Descaling", False),  # a small part of it
        ("Who started descaling?", "Descaling", False),
    ],
)
def test_steps_under_a_heading_that_is_asked_for_may_help_though_words_are_missing(
    question: str, heading: str, may_help: bool
) -> None:
    steps = "1. Fill it with water up to MAX.\n2. Add 50 ml of vinegar.\n3. Bring it to the boil."
    rival = hit("Never start the kettle without a lid, even when you are descaling it.", key=2, heading_path=["Safety"])

    def sure(doubt_below: float) -> float:
        settings = ExtractiveSettings(refuse_below=0, doubt_below=doubt_below)
        found = answer(question, hit(steps, heading_path=["Care", heading], near="Fill"), rival, settings=settings)
        confidence = found.details["confidence"]
        assert isinstance(confidence, float)
        return confidence

    before, after = sure(doubt_below=0.0), sure(doubt_below=1.0)
    assert (after > before) is may_help
    between = (before + after) / 2
    assert sure(doubt_below=between) == pytest.approx(between)  # never so sure that there is no doubt
    assert sure(doubt_below=before / 2) == before


LINES = st.sampled_from(
    ["1. Do this.", "2. Do that. Then wait.", "• An item", "A | B", "See [1] there.", "To do so:", "A label", "goes on"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(LINES | st.text(max_size=12) | st.text("水。！ \n1、|", max_size=9), min_size=1, max_size=14),
    st.text(max_size=20),
    st.data(),
)
def test_whatever_the_page_looks_like_every_word_is_from_it(
    lines: list[str], question: str, data: st.DataObject
) -> None:
    text = "\n".join(lines)
    if not text.strip():
        text += "."
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=3).map(sorted))
    found = answer(question, hit(text, pages=cuts), settings=ExtractiveSettings(0, 0, lead_line=False))
    told = re.sub(r" \[\d+\]", "", found.text).replace("\u2060", "")
    if found.kind is AnswerKind.ANSWER:
        assert "".join(told.split()) == "".join("".join(quotes(found)).split())
    starts = [units.start for units in layout_of(text).units]
    assert starts == sorted(starts)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 80))
def test_answers_of_sentences_keep_the_limit(words: int) -> None:
    text = " ".join(f"The kettle number {n} holds {n} litres of water." for n in range(12))
    limits = ExtractiveSettings(0, 0, limits=ChoiceLimits(words=words, enough=1.0))
    found = answer("How many litres of water does the kettle hold?", hit(text), settings=limits)
    assert sum(word_count(quote) for quote in quotes(found)) <= max(words, 9)


TECHNICAL = """Property | K-1 | K-1S
Cord | 75 cm | 90 cm
Water tank | 1.8 L | 2.4 L
Empty water tank | 310 g | 350 g
Voltage of the heater | 230 V | 110 V"""


@pytest.mark.parametrize(
    ("question", "row"),
    [
        ("What is the capacity of the water tank?", "Water tank | 1.8 L | 2.4 L"),
        ("What is the weight of the water tank?", "Empty water tank | 310 g | 350 g"),
        ("What is the length of the cord?", "Cord | 75 cm | 90 cm"),
        ("How heavy is the water tank?", "Empty water tank | 310 g | 350 g"),
    ],
)
def test_a_measure_says_what_is_measured(question: str, row: str) -> None:
    assert quotes(answer(question, hit(TECHNICAL)))[-1] == row


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("holds 1.8 L", ["capacity", "volume", "容量"]),
        ("水箱 | 2.4 升", ["capacity", "容量"]),
        ("220–240 V, 50/60 Hz", ["voltage", "frequency", "电压"]),
        ("at 92 ℃", ["temperature", "温度"]),
        ("draws 1450W", ["power"]),
        ("Press E-14 A, LT-300 W or L", []),
        ("in 1986 年 5 月", []),
    ],
)
def test_units_tell_the_property(text: str, words: list[str]) -> None:
    told = measured_in(text)
    assert frozenset(content_terms(" ".join(words))) <= told
    assert bool(told) is bool(words)


def test_the_procedure_of_the_first_passage_comes_before_a_list_with_more_of_the_words() -> None:
    box = "What is in the box\n• The kettle with its cable\n• One bottle of descaler for the kettle\n• A brush"
    steps = "1. Fill it with water up to MAX.\n2. Add 50 ml of vinegar.\n3. Bring it to the boil."
    found = answer(
        "How do I descale the kettle?",
        hit(steps, near="Fill", heading_path=["Care", "Descaling"]),
        hit(box, near="descaler", key=2, score=1.9, heading_path=["What is in the box"]),
    )
    assert quotes(found) == [steps]


def test_the_steps_of_the_section_come_when_the_best_sentence_of_it_is_none_of_them() -> None:
    steps = "1. 取下滤芯，倒空水箱。\n2. 将整瓶除垢剂倒入水箱。\n3. 按确认键。"
    aside = "如中途停电，来电后从冲洗程序开始继续。"
    others = [
        hit(text, heading_path=["保养", name])
        for name, text in (("清洁", "清洁用的是清洁片，与除垢无关。"), ("换水", "每天换水，可以少除垢。"))
    ]
    for question in ("怎么开始除垢程序？", "怎么除垢？"):
        found = answer(question, hit(f"{steps}\n\n{aside}", near=aside, heading_path=["保养", "除垢"]), *others)
        assert quotes(found) == [steps]
    found = answer("怎么开始清洁？", hit(f"{steps}\n\n{aside}", near=aside, heading_path=["保养", "除垢"]))
    assert steps not in quotes(found)


def test_a_long_passage_without_structure_costs_linear_time() -> None:
    text = "1. a\n" * 20_000 + "x" * 200_000 + "\n" + "| " * 20_000 + ". " * 20_000
    assert costs_at_most(5, lambda: layout_of(text))
