import pytest

from rag.follow_up import CONTEXT_WEIGHT, contextualise, stands_alone
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


def test_without_earlier_questions_a_follow_up_is_searched_for_as_it_is() -> None:
    for history in ([], [Turn("assistant", "Hello!")], [Turn("customer", "  ")]):
        assert contextualise("why?", history).text == "why?"
