"""The words of a question and of a sentence that are worth comparing.

Owns a light comparison of words for choosing sentences: English stems without function words, pairs of simplified
Chinese characters, codes kept whole; and which spellings are one code. Only the question goes through the index's
analyser: cutting whole passages into Chinese words would take longer than everything else.
"""

import re

from rag.analyzer import is_chinese, stem, words
from rag.chinese import simplified

_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about after again all also am an and any are as at be because been before being between but by can
        cannot could create did do does doing done each every explain few find for found from get
        gets give got had happen has have having he her here hers him his how i if in into is it its
        itself just know made make me mean might more most much must my need no nor of off on once
        only or other our ours out over own please possible same shall she should show so some such
        take takes tell than that the their them then there these they this those through to too
        until up upon us use used using very via want was way we were what when where whether which
        while who whom whose why will with work would you your yours
        """,
    )
)
"""Words without content of their own, and verbs so general that a manual may well use another one."""

_GENERAL_VERBS = frozenset(
    ["need", "use", "mean", "happen", "creat", "find", "take", "work", "make", "show", "give", "get"]
)
_CHINESE_FUNCTION_WORDS = re.compile(
    "为什么|什么时候|什么样|多长时间|多[久长大高重远快深宽]|怎么样|怎么办"
    "|多少|哪些|哪个|哪里|哪儿|哪一|什么|怎么|怎样|如何|何时|何处|是否|可以|能够|应该"
    "|请问|我们|他们|它们|这个|那个|以及|或者|并且|进行|[的了吗呢吧啊么是在和与或及我你您他她它这那哪谁何就都也还要把被让对从到为有请会能]"
)
_TOKEN = re.compile(
    r"[A-Za-z0-9\u00c0-\u024f]+(?:[-_./][A-Za-z0-9]+)*|[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
    r"|(?<=[\s‘'`\"(])[-+*/\\^&|~!=<>@#$%]{1,3}(?=[\s’'`\"),.;?]|\Z)"
)
"""Words, numbers and codes, Chinese, and operators: a question may be about `&&`."""
_PART = re.compile(r"[A-Za-z\u00c0-\u024f]+|\d+")

_MEASURE_ASKED = re.compile(
    r"\bhow (?:long|old|far|often|large|big|high|tall|fast|heavy|wide|deep|hot|cold|loud|thick|strong|quick(?:ly)?)\b",
    re.IGNORECASE,
)
"""Asks for a number as 多大 does; the passage that has it seldom says that something is big."""

_PROPERTY_ASKED = {
    "tall": "height",
    "wide": "width",
    "deep": "depth",
    "thick": "thickness",
    "heavy": "weight",
    "hot": "temperature",
    "loud": "noise",
}
_PROPERTY_ASKED_ZH = {"多宽": "宽度", "多深": "深度", "多重": "重量"}
"""The property that a question for a number names, where it can mean no other: 多高 may be a temperature's."""

_DATE_ASKED = re.compile(
    r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b|何时|什么时[候间]|哪一?[年天月日]|日期|年份",
    re.IGNORECASE,
)
_HOW_MANY_ASKED = re.compile(
    r"\bhow (?:many|much|long|old|far|often|large|big|high|tall|fast|heavy|wide|deep|hot|cold|loud)\b|\bpercent"
    r"|多少|几|多[大长高久重远快深宽]",
    re.IGNORECASE,
)
_A_DATE = re.compile(
    r"\b1\d{3}\b|\b20\d\d\b|\d\s*[年月日]|世纪|\bcentury\b"
    r"|\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)
_NUMBERS = re.compile(r"\d[\d,.]*|[一二三四五六七八九十百千万亿两]+")
_NAME_ASKED = re.compile(
    r"\b(?:who|whom|whose|where|which)\b|谁|哪里|哪儿|何处|何地|哪一?[位个国座所家种款]", re.IGNORECASE
)
_STEPS_ASKED = re.compile(
    r"\bhow (?:do|can|should|could|would|must|does one|to)\b"
    r"|\b(?:steps?|procedure|instructions?|set ?up|way) (?:to|for)\b"
    r"|\bhow is .{1,60}\b(?:installed|replaced|changed|set|done|connected|removed|cleaned)\b"
    r"|\bwhat (?:do|must|should|can) (?:i|we|you|one) do\b|\bwhat to do\b"
    r"|怎么(?!回事|样|会)|怎样|如何|步骤|方法|流程",
    re.IGNORECASE,
)
_EXPLANATION_ASKED = re.compile(
    r"\bwhy\b|\bhow come\b|\bdifferen(?:ce|t)\b|\b(?:explain|describe)\b|\bmeans?\b|\bmeaning\b"
    r"|\bwhat (?:does|do)\b.{1,60}\bdo\b|为什么|区别|有[什何]么?不同|解释|意思|含义|作用",
    re.IGNORECASE,
)
_DONE_BY_ONESELF = re.compile(
    r"\bhow (?:to\b|(?:do|can|should|could|would|must) (?:i|we|you|one)\b)|\bwhat to do\b"
    r"|(?:\A|[,，。;；:：!！?？\s]|[我们您你该要想能以需得才里时把])(?:怎么(?!样|回事|会)|怎样|如何)(?!\W{0,20}\Z)",
    re.IGNORECASE,
)
"""Steps for whoever asks, not how others did it (`how do plants grow`, `战争如何开始`)."""

_ASKS_IN_WORDS = re.compile(
    r"[?？]\W{0,20}\Z|\b(?:who|whom|whose|what|when|where|which|why|how)\b|[谁哪几吗呢]|多少|多[大长高久远重]|什么|何[时地人处]|为何|是否"
    r"|\A\W*(?:name|list|give|state|identify)\b|\A\W*(?:说出|列举|列出|写出|举出)",
    re.IGNORECASE,
)
_ASKS_OF_ITS_OWN = re.compile(
    r"\b(?:(?:what|how)(?!(?: about| if)\b)|who|whom|whose|when|where|which|why)\b"
    r"|怎么|怎样|如何|多少|[几谁哪]|多[大长高久远重快深宽]|什么|何[时地处]|为何",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(r"\b(?:my|me)\b|(?<![《“「『])我", re.IGNORECASE)
_I = re.compile(r"\bI\b")
_NAME_BEFORE = re.compile(
    r"\b(?!(?:can|could|do|did|should|must|may|might|would|will|have|had|am|was|if|when|what|how|where|why|which|who|since"
    r"|because|as|and|but|so|then|that|before|after|once|while)\b)(?-i:[A-Z])[^\W\d_]+ \Z",
    re.IGNORECASE,
)
_CODE_NAME = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[-_./]?\d)[A-Za-z]{1,8}(?:[-_./]?[A-Za-z0-9]+)*"
    r"|(?<![A-Za-z0-9\u00c0-\u024f_-])--?[A-Za-z][A-Za-z0-9_-]+"
)
_JOINT_IN_CODE = re.compile(r"(?<=[a-z])[-_./](?=\d)|(?<=\d)[-_./](?=[a-z])")
_WRITTEN_LIKE_A_NAME = re.compile(r"(?<![.?!:]\s)(?<!^)\b[A-Z][\w'-]*")
_QUOTED = re.compile(r"[“\"「『《]([^“”\"」』》]{1,40})[”\"」』》]")
_A_WORD = re.compile(r"[A-Za-z][\w'-]*")
_A_NAME = re.compile(r"(?<=[a-z,] )[A-Z]")


def content_terms(text: str) -> list[str]:
    """The terms of a text in order, function words left out."""
    terms: list[str] = []
    for match in _TOKEN.finditer(_with_properties(simplified(text))):
        token = match[0]
        if token[0] >= "\u3400":
            for piece in _CHINESE_FUNCTION_WORDS.sub(" ", token).split():
                terms.extend(_pairs(piece) or [piece])
            continue
        token = token.lower()
        if not token.isalpha():
            parts = _PART.findall(token)
            if len(parts) != 1:
                terms.append(token)  # a model number, an error code, a file name, an operator
        else:
            parts = [token]
        terms.extend(stem(part) for part in parts if part not in _FUNCTION_WORDS)
    return terms


def _with_properties(text: str) -> str:
    """`text` with "how heavy" as "how weight", and "how long" as "how"."""
    for asked, named in _PROPERTY_ASKED_ZH.items():
        text = text.replace(asked, named)
    return _MEASURE_ASKED.sub(lambda asked: f"how {_PROPERTY_ASKED.get(asked[0].split()[-1].lower(), '')}", text)


def title_terms(text: str) -> frozenset[str]:
    """The terms of a title, with the general verbs that say what a table is for: "What descaling needs"."""
    general = {stem(word) for word in re.findall(r"[a-z]+", text.lower())} & _GENERAL_VERBS
    return frozenset(content_terms(text)) | general


def question_terms(text: str) -> list[str]:
    """The terms of a question, each once: those of `content_terms` without pairs that lie across two Chinese words.

    Names that are in no dictionary fall into single characters there; their pairs are kept.
    """
    text = simplified(text)
    known = {word for word in words(text) if word[0] >= "\u3400" and len(word) > 1}
    places = [match.span() for word in known for match in re.finditer(re.escape(word), text)]
    borders = {start for start, _ in places} & {end for _, end in places}
    inside = {pair for word in known for pair in _pairs(word)}
    across = {text[border - 1 : border + 1] for border in borders} - inside
    return [term for term in dict.fromkeys(content_terms(text)) if term not in across]


def terms_of_word(word: str) -> list[str]:
    """The terms of one of the index's words, which are stems already."""
    return content_terms(word) if is_chinese(word) else [word]


def _pairs(word: str) -> list[str]:
    return [word[i : i + 2] for i in range(len(word) - 1)]


def asks_of_its_own(follow_up: str) -> bool:
    """Whether a follow-up says what it asks for (`how long does it last`).

    What is asked with yes or no, or about something else (`can it be done by phone`, `and the other?`), goes on asking
    for what was asked before.
    """
    return _ASKS_OF_ITS_OWN.search(simplified(follow_up)) is not None


def asks_for_date(question: str) -> bool:
    return _DATE_ASKED.search(simplified(question)) is not None


def asks_how_many(question: str) -> bool:
    return _HOW_MANY_ASKED.search(simplified(question)) is not None


def asks_for_name(question: str) -> bool:
    return _NAME_ASKED.search(simplified(question)) is not None


def asks_for_steps(question: str) -> bool:
    return _STEPS_ASKED.search(simplified(question)) is not None


def asks_for_explanation(question: str) -> bool:
    """Whether what is asked takes connected sentences rather than a fact."""
    return _EXPLANATION_ASKED.search(simplified(question)) is not None


def asks_for_help(question: str) -> bool:
    """Whether somebody wants something done, or has a problem, rather than asks for a fact.

    Told by asking how one does it, by asking nothing in so many words (`encrypt the disk`, `the screen stays black`),
    or by speaking of oneself; but how many and when ask for a fact whoever asks.
    """
    text = simplified(question).strip()
    if _DONE_BY_ONESELF.search(text) or not _ASKS_IN_WORDS.search(text):
        return True
    return _speaks_of_oneself(text) and not (asks_how_many(text) or asks_for_date(text))


def _speaks_of_oneself(text: str) -> bool:
    """`I` is no pronoun behind a name: Elizabeth I reigned."""
    if _FIRST_PERSON.search(text):
        return True
    return any(not _NAME_BEFORE.search(text[: match.start()]) for match in _I.finditer(text))


def codes_in(text: str) -> frozenset[str]:
    """The codes, model numbers and options in a text (`E-14`, `int32`, `--no-gui`), each in the form of `code_form`."""
    return frozenset(code_form(code) for code in _CODE_NAME.findall(text))


def is_code(text: str) -> bool:
    """Whether a text is one code, marks around it aside."""
    code = _CODE_NAME.search(text)
    return code is not None and not any(map(str.isalnum, text[: code.start()] + text[code.end() :]))


def code_form(code: str) -> str:
    """A code in the one form of its spellings, without joints between letters and digits.

    E-42, e42 and E.42 are one code; A1-23 and A12-3 are two.
    """
    return _JOINT_IN_CODE.sub("", code.casefold())


def has_date(text: str) -> bool:
    return _A_DATE.search(simplified(text)) is not None


def numbers_in(text: str) -> frozenset[str]:
    return frozenset(_NUMBERS.findall(simplified(text)))


def names_in(text: str) -> int:
    """How many words inside the text's sentences are written like names."""
    return len(_A_NAME.findall(text))


def names_written_in(question: str) -> list[str]:
    """The words of a question that are written like names, the first word aside, and its quoted terms.

    Where most words begin with a capital letter, capitals tell nothing.
    """
    capitals = _WRITTEN_LIKE_A_NAME.findall(question)
    names = capitals if 2 * len(capitals) <= len(_A_WORD.findall(question)) else []
    return [*names, *_QUOTED.findall(question)]
