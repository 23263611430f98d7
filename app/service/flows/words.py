"""What customers say to any flow: yes, no, never mind, and something else altogether; and what flows say to all.

Owns these lists, in English and Chinese. A message means one of them only when it consists of nothing else.
"""

import re
import unicodedata
from typing import NamedTuple

from rag.chinese import simplified
from rag.language import Language

_PUNCTUATION = re.compile(r"[\s,.!?~;:。！，、；：～…\"“”()（）\U0001f300-\U0001faff\u2600-\u27bf\ufe0f\u200d-]+")
_FILLER = re.compile(
    r"\b(?:please|thanks|thank you|thx|ok so|well|oh|um|actually|just|then|now|it is|that is|i think|you|sorry)\b"
    r"|请|谢谢|麻烦|那就?|[吧呀啊哦呢啦了]+$|^(?:嗯|哦|啊|噢)+(?=.)"
)

_YES = re.compile(
    r"(?:(?:yes|yeah|yea|yep|yup|y|ok|okay|sure|correct|right|fine|good|great|agreed|confirm|confirmed|exactly"
    r"|of course|absolutely|definitely|certainly|do|do it|do that|do so|go|go ahead|go on|sounds good|looks good"
    r"|all right|alright|that'?s (?:right|correct|fine|it)|i do|i would|i'd like that|please do|perfect) ?)+"
    r"|(?:是|是的|对|对的|好|好的|可以|可以的|行|行的|嗯|嗯嗯|没错|没问题|确认|确定|同意|要|要的|当然|是这样"
    r"|正确|需要) ?"
    r"(?:(?:是|是的|对|对的|好|好的|可以|行|没错|没问题|确认|确定|同意|要|当然|正确|需要) ?)*"
)
_NO = re.compile(
    r"(?:(?:no|nope|nah|n|not|no way|wrong|incorrect|don't|dont|do not|not (?:now|yet|right|correct|really|that)"
    r"|no need|i don't|i do not|rather not|i'd rather not|that's (?:wrong|not right|not it|not correct)|not at all) ?)+"
    r"|(?:不|不是|不是的|不对|不好|不行|不要|不用|不用了|不要了|不需要|不可以|不同意|没有|否|别|不必|错|错了|不正确) ?"
    r"(?:(?:不|不是|不对|不行|不要|不用|不需要|没有|别) ?)*"
)
_CANCEL = re.compile(
    r"(?:(?:no )?(?:cancel|cancel (?:it|that|this|everything)|never ?mind|never mind (?:that|this|it)"
    r"|forget (?:it|that|this|about it)|stop|stop (?:it|this|that)|quit|exit|abort|leave it|i changed my mind"
    r"|i (?:want|would like|'d like) to (?:cancel|stop)|let's (?:stop|leave it|forget it)|i've changed my mind"
    r"|no longer needed|not needed anymore) ?)+"
    r"|(?:取消|我要取消|算|算了|不办|不办了|不弄|不想弄|停|停止|退出|不用了|不要了|不用管|当我没说|别弄|我改主意"
    r"|我不想要|没事) ?"
    r"(?:(?:取消|算|算了|停|退出|不用|没事|不要) ?)*"
)
_ASKING = re.compile(
    r"^(?:and |but |so |ok |okay |wait |hi |hello |hey |excuse me )*(?:what|how|why|when|where|which|who|whose|can"
    r"|could|do|does|did|is|are|was|were|will|would|should|may|might|have|has|tell me|explain|show me)\b"
    r"|^(?:请问|怎么|如何|为什么|为何|什么|哪|谁|多久|多少|几|能不能|可不可以|是否|有没有|你们)"
    r"|(?:吗|么|呢)$|怎么|如何|为什么|什么时候|多少钱|多久|哪里|哪些",
)
_PERSON = re.compile(
    r"\b(?:human|real person|live agent|agent|representative|operator|somebody|someone|a person|an employee)\b"
    r"|人工|真人|客服|转接"
)
_ENDS_AS_QUESTION = re.compile(r"[?？]\s*$")


def plain(text: str) -> str:
    """The text for comparing: one width, one writing, small letters, single spaces instead of punctuation."""
    folded = simplified(unicodedata.normalize("NFKC", text)).casefold().replace("’", "'")
    return _PUNCTUATION.sub(" ", folded).strip()


def is_cancel(text: str) -> bool:
    """Whether the customer wants nothing more of the task."""
    return _is_only(_CANCEL, text)


def yes_or_no(text: str) -> bool | None:
    """Whether it is a yes, a no, or neither."""
    is_yes, is_no = _is_only(_YES, text), _is_only(_NO, text)
    return is_yes if is_yes != is_no else None


def is_question(text: str) -> bool:
    """Whether it asks something, as its form has it."""
    return bool(_ENDS_AS_QUESTION.search(text) or _ASKING.search(plain(text)))


def may_want_a_person(text: str) -> bool:
    """Whether a short message names people who might help: for others to find out whether it means that."""
    words = plain(text)
    return len(words) <= 60 and bool(_PERSON.search(words))


def _is_only(pattern: re.Pattern[str], text: str) -> bool:
    words = plain(text)
    if len(words) > 60:
        return False
    bare = " ".join(_FILLER.sub(" ", words).split())
    return any(pattern.fullmatch(each) is not None for each in (words, bare) if each)


class Phrases(NamedTuple):
    """The engine's own words."""

    yes: str
    no: str
    wrong: str
    cancelled: str
    lost: str
    back_to: str
    no_manuals: str
    in_stock: str
    sold_out: str


PHRASES: dict[Language, Phrases] = {
    "en": Phrases(
        yes="Yes",
        no="No",
        wrong="I did not understand that.",
        cancelled="All right, I have stopped this: {}.",
        lost="I am sorry, I cannot go on with this. Somebody will help you.",
        back_to="Back to “{}”:",
        no_manuals="I cannot look into our manuals just now.",
        in_stock="in stock",
        sold_out="sold out",
    ),
    "zh": Phrases(
        yes="是",
        no="否",
        wrong="抱歉，我没有理解。",
        cancelled="好的，已停止：{}。",
        lost="很抱歉，我无法继续办理，将由人工为您服务。",
        back_to="回到“{}”：",
        no_manuals="目前暂时无法查阅手册。",
        in_stock="有货",
        sold_out="缺货",
    ),
}
