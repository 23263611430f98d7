"""What the customer is asked about products: which one is meant, and what is wanted of the one just named.

Owns these sentences, in both languages.
"""

from collections.abc import Sequence

from rag.language import Language
from rag.products.names import readable

_WHICH: dict[Language, str] = {
    "en": "That depends on the product. Which one do you have: {}, or another one?",
    "zh": "不同产品的说明不一样。请问您用的是哪一款：{}，还是其他产品？",
}
_WHAT: dict[Language, str] = {
    "en": "What would you like to know about the {}?",
    "zh": "关于{}，您想了解什么？",
}
_BETWEEN: dict[Language, tuple[str, str]] = {"en": (", ", ", "), "zh": ("、", "、")}
_AND: dict[Language, tuple[str, str]] = {"en": (", ", " and "), "zh": ("、", "和")}


def which_product(choices: Sequence[str], language: Language) -> str:
    """One short question that names the choices."""
    return _WHICH[language].format(_listed(choices, _BETWEEN[language]))


def what_about(products: Sequence[str], language: Language) -> str:
    """The reply to a message that names products and asks nothing."""
    return _WHAT[language].format(_listed(products, _AND[language]))


def _listed(products: Sequence[str], between: tuple[str, str]) -> str:
    *before, last = [readable(each) for each in products]
    return between[0].join(before) + (between[1] if before else "") + last
