"""Which words and codes of questions and sentences are the same, whoever writes them and however many ask at once."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import snowballstemmer
from hypothesis import given
from hypothesis import strategies as st

from rag.analyzer import stem
from rag.answerers.extractive import terms
from rag.answerers.extractive.answerer import ExtractiveAnswerer, ExtractiveSettings
from rag.answerers.extractive.terms import code_form, codes_in, content_terms, is_code, question_terms
from rag.chinese import simplified
from rag.types import Answer, AnswerKind, Finished, Hit, Question, Turn
from tests.effort import costs_at_most
from tests.rag.answering import FakeFound, hit

ALWAYS = ExtractiveSettings(refuse_below=0, doubt_below=0)


def answer(
    question: Question, *hits: Hit, searched_for: str = "", settings: ExtractiveSettings | None = None
) -> Answer:
    *_, last = ExtractiveAnswerer(settings).answer(question, FakeFound(hits, searched_for or question.text))
    assert isinstance(last, Finished)
    return last.answer


def quotes(of: Answer) -> list[str]:
    return [citation.quote for citation in of.citations]


def test_threads_that_stem_at_once_get_the_same_stems() -> None:
    syllables = ["con", "dri", "vell", "tap", "ish", "gen", "eas", "ori"]
    ends = ["ations", "fulness", "ingly", "ized", "ments", "ities", "ously", "ies", "ed", "ational"]
    written = ["".join(parts) for parts in product(syllables, syllables, syllables, ends)]
    stem.cache_clear()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            stemmed = list(pool.map(content_terms, [" ".join(written[n::8]) for n in range(8)]))
    finally:
        sys.setswitchinterval(interval)
    alone = snowballstemmer.stemmer("english")
    assert stemmed == [[alone.stemWord(word) for word in written[n::8]] for n in range(8)]


CLEANING = "清洗滤网前请先关闭电源。\n滤网清洗步骤如下：\n1、打开前盖，取出滤网。\n2、用清水冲洗滤网，晾干后装回。"
ELSEWHERE = "按下电源键，显示屏亮起。请将洗衣机放在平稳的地面上。"


@pytest.mark.parametrize(
    ("question", "otherwise"),
    [
        ("滤网怎么清洗？", "濾網怎麼清洗？"),
        ("清洗滤网的步骤是什么？", "清洗濾網的步驟是什麼？"),
        ("为什么要关闭电源？", "為什麼要關閉電源？"),
        ("电源键什么时候亮？", "電源鍵什麼時候亮？"),
        ("“滤网”有几个？", "「濾網」有幾個？"),
    ],
)
def test_a_question_in_traditional_characters_is_answered_as_one_in_simplified_ones(
    question: str, otherwise: str
) -> None:
    hits = [hit(CLEANING, near="滤网", heading_path=["清洁"]), hit(ELSEWHERE, key=2, best=0.7, score=1.0)]
    asked, asked_otherwise = (answer(Question(each), *hits) for each in (question, otherwise))
    assert asked_otherwise.kind is asked.kind
    assert quotes(asked_otherwise) == quotes(asked) != []
    assert asked_otherwise.details["confidence"] == pytest.approx(asked.details["confidence"])


def test_a_passage_in_traditional_characters_is_quoted_as_it_is_printed() -> None:
    text = "清洗濾網前請先關閉電源。\n濾網清洗步驟如下：\n1、打開前蓋，取出濾網。\n2、用清水沖洗濾網，晾乾後裝回。"
    found = answer(Question("滤网怎么清洗？"), hit(text, near="濾網", heading_path=["清潔"]))
    other = answer(Question("濾網怎麼清洗？"), hit(simplified(text), near="滤网", heading_path=["清洁"]))
    assert found.kind is other.kind is AnswerKind.ANSWER
    assert quotes(found) == [text]
    assert quotes(other) == [simplified(text)]


@pytest.mark.parametrize("asks", ["date", "how_many", "name", "steps", "explanation"])
def test_what_is_asked_for_is_seen_in_either_writing(asks: str) -> None:
    asked = {
        "date": ("何時上市？", "型號是什麼？"),
        "how_many": ("有幾個濾網？", "濾網在哪？"),
        "name": ("誰設計的？", "濾網重嗎？"),
        "steps": ("濾網怎麼清洗？", "濾網怎麼樣？"),
        "explanation": ("為什麼漏水？", "濾網在哪？"),
    }
    name = f"asks_{asks}" if asks == "how_many" else f"asks_for_{asks}"
    assert [getattr(terms, name)(question) for question in asked[asks]] == [True, False]


def test_numbers_and_dates_are_the_same_in_either_writing() -> None:
    assert terms.numbers_in("三萬兩千") == terms.numbers_in("三万两千")
    assert terms.has_date("十九世紀")
    assert question_terms("洗衣機的濾網") == question_terms("洗衣机的滤网")


CODES = """Code | Meaning | What to do
A12-3 | Lid open | Close the lid
A1-23 | No water | Fill the kettle
E-42, E.43 | Too hot | Wait 10 minutes"""


@pytest.mark.parametrize(
    ("asked", "row"),
    [("A1-23", 2), ("a12-3", 1), ("A12_3", None), ("E42", 3), ("e-42", 3), ("E43", 3), ("E-4.2", None)],
)
def test_a_row_is_the_codes_whatever_joint_stands_between_its_letters_and_digits(asked: str, row: int | None) -> None:
    found = answer(Question(f"What does {asked} mean?"), hit(CODES), settings=ALWAYS)
    rows = [number for number, line in enumerate(CODES.splitlines()) if number and line in quotes(found)]
    if row is None:
        assert not codes_in(asked) <= codes_in(CODES)
    else:
        assert rows == [row]


@given(st.from_regex(r"[A-Z]{1,3}[-_./]?[0-9]{1,3}([-_./]?[A-Z0-9]{1,3}){0,2}", fullmatch=True))
def test_spellings_of_a_code_agree_and_other_codes_do_not(code: str) -> None:
    assert is_code(f"({code})")
    assert codes_in(f"See {code.lower()}: wait.") == {code_form(code)}
    letters = [character for character in code_form(code) if character.isalnum()]
    assert letters == [character for character in code.casefold() if character.isalnum()]
    for place in range(1, len(code)):
        if code[place - 1].isdigit() and code[place].isdigit():
            assert code_form(f"{code[:place]}-{code[place:]}") != code_form(code)


def test_a_hyphen_within_a_word_begins_no_option() -> None:
    assert codes_in("Set up Wi-Fi in the well-known way, with --no-gui or -v1.") == {"--no-gui", "-v1"}
    assert codes_in("请使用--no-gui选项或café-bar") == {"--no-gui"}


SECTIONS = [
    hit("The washer has a cotton mode for hot water.", heading_path=["Modes", "Cotton"]),
    hit("The washer has a wool mode for cold water.", key=2, score=1.9, heading_path=["Wool", "Wool mode"]),
    hit("The washer has a short mode of 15 minutes.", key=3, score=1.8, heading_path=["Short", "Short mode"]),
]
EARLIER = (Turn("customer", "List all modes of the washer."), Turn("assistant", "Cotton, wool and short."))


def test_a_follow_up_does_not_ask_for_all_that_the_question_before_it_asked_for() -> None:
    whole = answer(Question(EARLIER[0].text), *SECTIONS, settings=ALWAYS)
    assert len({citation.passage_id for citation in whole.citations}) == 3
    again = Question(EARLIER[0].text, history=EARLIER)  # stands alone, whatever was said before
    assert quotes(answer(again, *SECTIONS, settings=ALWAYS)) == quotes(whole)
    follows_up = Question("And how long does it take?", history=EARLIER)
    searched_for = f"{EARLIER[0].text} {follows_up.text}"
    told = answer(follows_up, *SECTIONS, searched_for=searched_for, settings=ALWAYS)
    assert len({citation.passage_id for citation in told.citations}) < 3


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("How do I clean it?", True),
        ("how to clean the lid", True),
        ("clean lid", True),
        ("The lid sticks", True),
        ("Can I use soap?", True),
        ("It won't close, and my lid is clean.", True),
        ("怎么清洗滤网？", True),
        ("滤网要怎么清洗？", True),
        ("我的水壶漏水", True),
        ("盖子打不开", True),
        ("How many cups does it hold?", False),
        ("How many cups may I fill?", False),
        ("我该加多少水？", False),
        ("Elizabeth I reigned for how long?", False),
        ("How did the war begin?", False),
        ("How do plants grow?", False),
        ("Name a river in France.", False),
        ("Is it made of steel?", False),
        ("战争是如何开始的？", False),
        ("她的名声如何？", False),
        ("水壶有多重？", False),
        ("说出一条河的名字", False),
    ],
)
def test_who_asks_for_help_and_who_for_a_fact(question: str, asks: bool) -> None:
    assert terms.asks_for_help(question) is asks


@pytest.mark.parametrize("bomb", ["?" * 30_000 + "x", "Ab I " * 6_000, "怎么" + "!" * 30_000 + "x", "怎么!" * 10_000])
def test_whether_help_is_asked_for_is_seen_in_time_linear_in_the_question(bomb: str) -> None:
    assert costs_at_most(1, lambda: terms.asks_for_help(bomb))
