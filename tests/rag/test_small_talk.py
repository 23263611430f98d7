"""Small talk is answered politely; what may be a question to the manuals is always searched for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answerers.small_talk import SmallTalk, small_talk_in, small_talk_reply
from rag.language import language_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hi, how are you today?", SmallTalk.GREETING),
        ("Thank you so much, that was very helpful!", SmallTalk.THANKS),
        ("OK, thanks, bye", SmallTalk.GOODBYE),
        ("Are you a real person or a bot?", SmallTalk.WHO),
        ("can you tell me who made you", SmallTalk.WHO),
        ("Hello, what is your name please?", SmallTalk.WHO),
        ("tell me another joke", SmallTalk.CHAT),
        ("you are really stupid", SmallTalk.ABUSE),
        ("Stupid bot!!!", SmallTalk.ABUSE),
        ("您好，请问你叫什么名字？", SmallTalk.WHO),
        ("你是真人还是机器人？", SmallTalk.WHO),
        ("给我讲个笑话吧", SmallTalk.CHAT),
        ("你真没用", SmallTalk.ABUSE),
        ("什么破机器人！", SmallTalk.ABUSE),
    ],
)
def test_what_consists_of_small_talk_alone_gets_a_reply_in_its_language(text: str, kind: SmallTalk) -> None:
    assert small_talk_in(text) is kind
    reply = small_talk_reply(kind, language_of(text))
    assert language_of(reply) == language_of(text)


QUESTIONS = [
    "What is your wifi name?",
    "What is your return policy?",
    "What's your phone number?",
    "thanks, which one is better?",
    "thank you, and what about this one",
    "Hi, how do I descale it?",
    "What can you do about scale?",
    "can you help me with this one",
    "Is there a computer program?",
    "Is this robot good?",
    "How old do you have to be?",
    "who made this machine?",
    "this stupid filter is stuck",
    "How do I give it a name?",
    "OK?",
    "垃圾",
    "trash",
    "你好，怎么除垢？",
    "机器人怎么充电？",
    "谢谢，那滤芯呢？",
    "这破机器不出水怎么办？",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_what_may_be_a_question_to_the_manuals_is_none(text: str) -> None:
    assert small_talk_in(text) is None


@given(st.sampled_from(["who are you", "thanks", "you are stupid", "你是谁", "谢谢"]), st.sampled_from(QUESTIONS))
def test_small_talk_around_a_question_does_not_swallow_it(talk: str, question: str) -> None:
    if question not in ("OK?", "垃圾", "trash"):
        assert small_talk_in(f"{talk}. {question}") is None
        assert small_talk_in(f"{question}\n{talk}!") is None


@given(st.text(max_size=90))
def test_any_text_is_judged(text: str) -> None:
    assert small_talk_in(text) is None or text.strip()
