"""Traditional characters as simplified ones, so that both writings of a word are one word.

Owns the conversion for looking things up: words of passages and questions, and the patterns that questions are
matched with. What is shown, cited and embedded keeps its own characters.
"""

import re
from functools import cache

import opencc

_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def simplified(text: str) -> str:
    """`text` with simplified characters; words of the regions (滑鼠, 鼠标) stay as they are."""
    return str(_converter().convert(text)) if _CHINESE.search(text) else text


@cache
def _converter() -> opencc.OpenCC:
    """Reads its tables once, some milliseconds; safe for threads."""
    return opencc.OpenCC("t2s")
