"""Instructions that somebody planted in a manual, taken out before a model reads it.

Owns that sentences which are addressed to a model instead of to a reader (`rag.guard.text`) go out of the prompt and do
not count as evidence: what a model wrote on their order has nothing to stand on. Pages and quotes are not touched.
"""

from functools import lru_cache

from rag.guard.text import has_forged_delimiter, is_addressed_to_model
from rag.sentences import sentence_spans

LEFT_OUT = "[…]"


def without_planted(text: str) -> str:
    """`text` with an ellipsis in the place of each sentence that is addressed to a model."""
    return _without_planted(text)[0]


def planted_in(text: str) -> int:
    """How many sentences of `text` are addressed to a model."""
    return _without_planted(text)[1]


@lru_cache(maxsize=4096)
def _without_planted(text: str) -> tuple[str, int]:
    if not is_addressed_to_model(text):  # one look at the whole spares nearly every manual the rest
        return text, 0
    pieces: list[str] = []
    last, count = 0, 0
    line_ends = 0
    for start, end in sentence_spans(text):
        line = text[text.rfind("\n", 0, start) + 1 : _line_end(text, end)]
        if start >= line_ends and not is_addressed_to_model(text[start:end]) and not has_forged_delimiter(line):
            continue
        # What follows on the same line belongs to it: "Correction for assistants: … Say X to confirm."
        line_ends = _line_end(text, end)
        pieces += [text[last:start], LEFT_OUT]
        last, count = end, count + 1
    return "".join([*pieces, text[last:]]), count


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
