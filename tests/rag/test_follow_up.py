import time

import numpy as np
import pytest

from rag.follow_up import CONTEXT_WEIGHT, CONTEXT_WORDS, contextualise, stands_alone, topic_of
from rag.types import Turn

FOLLOW_UPS = """
and how long does that take?
How long does it take?
what about the other model?
why?
and then?
Can I turn it off?
how do I reset it
Is it waterproof?
which one is cheaper?
does it also work with 5 GHz?
What if that does not help?
And in Windows?
where is it located?
How often?
What are the options?
How do I undo this?
And the second one?
Is there another way?
Tell me more
那需要多长时间？
它防水吗？
怎么关闭它
那价格呢？
这个怎么设置？
为什么？
然后呢
还有其他方法吗？
如果还是不行怎么办？
那在Windows上呢？
Can I use an optical cable instead?
How do I create one?
Is there anything I should know before I do that?
How do I switch it to my receiver?
Can I fine-tune it, contrast for example?
How do I control my player with it?
In both directions?
of strings?
until the window is closed?
Can I also print every tenth page?
Which modes are there?
How is it mounted when the system starts?
Can the hidden ones be removed?
Any tips on getting it to converge?
默认的怎么设置？
它们的格式怎么写？
在里面怎么搜索？
还能降级回去吗？
可以加密吗？
怎么重新配置它？
""".strip().splitlines()

STANDALONE = """
How do I connect the speaker to Wi-Fi?
How long does it take to charge the battery?
Is it possible to use the oven without the tray?
What is the movement that would become the United Methodist Church?
Where can I find the serial number of the pump and how do I read it?
How do I clean the filter on this machine?
bluetooth pairing
E-42
What does error E-42 mean?
如何连接无线网络？
错误代码 E-42 是什么意思？
电视无法开机怎么办？
洗衣机的滤网多久清洗一次？
那不勒斯在哪个国家？
蓝牙
What is broadcasting?
How do I take screenshots?
I am not getting the full picture on the screen. How do I do that?
Is it safe to leave the heater on at night?
How long does it take for the paint to dry?
In which year was the bridge built?
Why was it necessary to rebuild the bridge in 1905?
How do I take the filter out and clean it?
Who was king?
什么是窃听？
为什么哈佛大学终止了它的提前录取计划？
有没有办法在不联网的情况下更新电视软件？
""".strip().splitlines()


@pytest.mark.parametrize("question", FOLLOW_UPS)
def test_a_question_that_leans_on_another(question: str) -> None:
    assert not stands_alone(question)


@pytest.mark.parametrize("question", STANDALONE)
def test_a_question_that_stands_alone_is_searched_for_as_it_is(question: str) -> None:
    assert stands_alone(question)
    asked = contextualise(question, [Turn("customer", "How do I change the bag?"), Turn("assistant", "Like this.")])
    assert asked.text == question
    assert asked == contextualise(question)


def test_context_reaches_back_to_the_question_that_stood_alone() -> None:
    history = [
        Turn("customer", "How do I change the bag?"),
        Turn("assistant", "Open the lid."),
        Turn("customer", "How do I descale the pump?"),
        Turn("assistant", "With citric acid [1].", cited=("passage-1",)),
        Turn("customer", "how often?"),
        Turn("assistant", "Once a month."),
    ]
    asked = contextualise("and how long does it take?", history)
    assert asked.text == "How do I descale the pump? how often? and how long does it take?"
    assert asked.weights["pump"] == CONTEXT_WEIGHT
    assert asked.weights["long"] == 1
    assert "bag" not in asked.weights
    assert not asked.standalone


@pytest.mark.parametrize("said", ["that x that ", "this way this way ", "pump this fine that x that ", "it's a "])
def test_deciding_on_a_long_text_takes_no_more_than_reading_it(said: str) -> None:
    def seconds(characters: int) -> float:
        text = (said * characters)[:characters]
        stands_alone(text)
        began = time.process_time()
        for _ in range(3):
            stands_alone(text)
        return time.process_time() - began

    # As the square it would be 64 times as much.
    assert min(seconds(4000) for _ in range(3)) < 20 * max(seconds(500) for _ in range(3))


def test_an_endless_message_adds_no_more_words_than_a_long_one() -> None:
    rare = [chr(0x4E00 + number) for number in range(6000)]
    history = [Turn("customer", "然后" + "".join(rare[start : start + 2000])) for start in (0, 2000, 4000)]
    asked = contextualise("然后水泵呢", history)
    assert CONTEXT_WORDS <= len(asked.weights) < CONTEXT_WORDS + 10
    assert asked.weights["水泵"] == 1


def test_a_follow_ups_vector_lies_between_what_it_says_alone_and_in_context() -> None:
    directions = {
        "how often?": np.array([1.0, 0.0], np.float32),
        "How do I descale the pump? how often?": np.array([0.0, 1.0], np.float32),
    }
    asked = contextualise("how often?", [Turn("customer", "How do I descale the pump?")])
    assert np.allclose(asked.embedded(lambda text: np.array(directions[text])), [2**-0.5, 2**-0.5])
    alone = contextualise("how often?")
    assert np.array_equal(alone.embedded(lambda text: np.array(directions[text])), directions["how often?"])


def test_the_topic_is_the_last_question_that_stood_alone_and_those_since() -> None:
    history = [Turn("customer", "How do I descale the pump?"), Turn("assistant", "Like this.")]
    assert topic_of("how often?", history) == "How do I descale the pump? how often?"
    assert topic_of("Where is the serial number of the boiler?", history) == "Where is the serial number of the boiler?"


def test_without_earlier_questions_a_follow_up_is_searched_for_as_it_is() -> None:
    for history in ([], [Turn("assistant", "Hello!")], [Turn("customer", "  ")]):
        assert contextualise("why?", history).text == "why?"
