"""A follow-up written anew by a chat model so that it stands alone, and checked: it may say nothing of its own.

Owns what the model is asked, how much of the conversation it sees, and which rewriting is used. The other way to
understand a follow-up, without a model, is `rag.follow_up`; it is taken when there is no rewriting, or a bad one.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from rag.analyzer import words
from rag.answerers.failures import model_failure
from rag.answerers.generative.data import as_data, without_old_markers
from rag.follow_up import content_words, relevant_turns
from rag.language import language_of
from rag.prompts import filled, prompt
from rag.types import Turn

_LOG = logging.getLogger(__name__)

LONGEST = 400
"""Characters of a rewriting beyond which the model has done more than that."""

_TIMES_LONGER = 8
_TOKENS = 120
_TURN = 400


class Rewriter(Protocol):
    """Makes a follow-up stand alone."""

    def rewritten(self, question: str, history: Sequence[Turn]) -> str | None:
        """The question as it would be asked without the turns before it; None when that cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class ModelRewriter:
    """Asks a chat model, at temperature 0. A model that fails costs the rewriting and never the answer."""

    chat_model: BaseChatModel
    model: str

    def rewritten(self, question: str, history: Sequence[Turn]) -> str | None:
        """As `Rewriter.rewritten`; what fails is logged."""
        turns = relevant_turns(question, history)
        if not turns:
            return None
        try:
            text = self._asked(question, turns)
        except Exception as error:  # noqa: BLE001  whatever a client raises, the question is answered without it
            _LOG.warning("A follow-up is searched for as it is: %s", model_failure(error, self.model))
            return None
        return text if is_faithful(text, question, turns) else None

    def _asked(self, question: str, turns: Sequence[Turn]) -> str:
        told = "\n".join(f"{turn.role}: {as_data(without_old_markers(turn.text))[:_TURN]}" for turn in turns)
        text = filled(prompt("rewrite", language_of(question)), conversation=told, question=as_data(question))
        pieces = self.chat_model.stream([HumanMessage(text)], temperature=0, max_tokens=_TOKENS)
        return "".join(_up_to_the_longest(piece.text for piece in pieces)).strip()


def is_faithful(text: str, question: str, turns: Sequence[Turn]) -> bool:
    """Whether a rewriting is one line whose words are all the conversation's, and keeps what the question says."""
    if not text or "\n" in text or len(text) > min(LONGEST, _TIMES_LONGER * len(question) + 100):
        return False
    said = {word for each in (question, *(turn.text for turn in turns)) for word in words(each)}
    characters = set(question).union(*(turn.text for turn in turns))
    new = [word for word in words(text) if word not in said and not (word > "\u3400" and set(word) <= characters)]
    own = set(content_words(question))
    return not new and len(own.intersection(words(text))) * 2 >= len(own)


def _up_to_the_longest(pieces: Iterator[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        yield piece
        length += len(piece)
        if length > LONGEST:
            return
