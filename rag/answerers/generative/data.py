"""Other people's text, made safe to stand in a prompt: it stays legible and can be nothing but text.

Owns what is done to passages, questions and earlier turns before a model reads them, and the undoing of it in what the
model copies. Goes by the shapes that delimiters and control tokens have, not by one model's list: a tokenizer finds a
control token as an exact string, so an invisible word joiner behind its first character is enough to keep it text.
"""

import re

from rag.answerers.generative.invisible import JOINERS, without_invisible
from rag.citations import WORD_JOINER, guarded

_FORGED_DELIMITER = re.compile(r"[<＜﹤](?=[\s/]*(?:passage|question)\b)", re.IGNORECASE)
_TOKEN_BEGUN = re.compile(
    r"[<＜﹤](?!\s)"  # <s>, <|im_end|>, <｜User｜>, <<SYS>>, <start_of_turn>, and HTML
    r"|\[(?=[!-/:-Z\\^-~][!-Z\\^-~]{0,60}\])"  # [INST], [/INST], [gMASK], [|user|]; [1] is the guard's
    r"|[\[\]](?=[!-~]{0,4}~)"  # ]~b], [e~[
    r"|>(?=>\w)"  # >>QUESTION<<
)
_ROLE_LABEL = re.compile(
    r"^([\s>#*_-]{0,20}(?:system|user|assistant|human|developer|tool|ai|bot|instructions?|response|input"
    r"|系统|用户|助手|人类|指令|回复)[\s*_]{0,8})(?=[:：]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_OLD_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_COPIED_JOINER = re.compile(rf"(?<!\[){WORD_JOINER}")


def as_data(text: str) -> str:
    """`text` so that it can open or close no delimiter, be no control token or turn, and hold no marker.

    Characters that nobody sees go: they carry words to the model that no person has read.
    """
    inside = _FORGED_DELIMITER.sub("‹", without_invisible(text, JOINERS))
    inert = _TOKEN_BEGUN.sub(lambda begun: begun[0] + WORD_JOINER, inside)
    return guarded(_ROLE_LABEL.sub(lambda label: label[1] + WORD_JOINER, inert))


def as_attribute(text: str) -> str:
    """`text` on one line, so that it can stand between double quotation marks."""
    return " ".join(as_data(text).replace('"', "'").split())


def without_copied_joiners(text: str) -> str:
    """What a model wrote, without the joiners that it copied from its passages; those behind "[" guard markers."""
    return _COPIED_JOINER.sub("", text)


def without_old_markers(text: str) -> str:
    """An earlier answer without its markers."""
    return _OLD_MARKER.sub("", text)
