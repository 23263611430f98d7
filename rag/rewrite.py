"""A follow-up written anew by a chat model so that it stands alone, and checked: it may say nothing of its own.

Owns what the model is asked, how much of the conversation it sees, and which rewriting is used. The other way to
understand a follow-up, without a model, is `rag.follow_up`; it is taken when there is no rewriting, or a bad one.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from rag.analyzer import words
from rag.answerers.circuit import Circuit
from rag.answerers.failures import model_failure
from rag.answerers.generative.data import as_data, without_old_markers
from rag.answerers.generative.planted import without_planted
from rag.errors import ModelUnreachable
from rag.follow_up import content_words, relevant_turns
from rag.guard.judge import InjectionGuard
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
    """Asks a chat model, at temperature 0. A model that fails costs the rewriting and never the answer.

    What `guard` takes for an attempt to steer the model is not shown to it. Only while `circuit` is closed is the model
    asked, so that it is the answer that tries a model that was gone; a failed connection is told to it. A model that
    takes longer than `patience_s` seconds is not waited for. That is told to no circuit: a busy model is no absent one.
    """

    chat_model: BaseChatModel
    model: str
    guard: InjectionGuard | None = None
    circuit: Circuit = field(default_factory=Circuit)
    patience_s: float = 8.0

    def rewritten(self, question: str, history: Sequence[Turn]) -> str | None:
        """As `Rewriter.rewritten`; what fails is logged."""
        if self.guard is not None:
            if self.guard.judge(question).is_injection:
                return None
            history = self.guard.without_steering(history)
        turns = relevant_turns(question, history)
        if not turns or self.circuit.state != "closed":
            return None
        try:
            text = self._asked(question, turns)
        except Exception as error:  # noqa: BLE001  whatever a client raises, the question is answered without it
            failure = model_failure(error, self.model)
            self.circuit.report(reached=not isinstance(failure, ModelUnreachable))
            _LOG.warning("A follow-up is searched for as it is: %s", failure)
            return None
        return text if text is not None and is_faithful(text, question, turns) else None

    def _asked(self, question: str, turns: Sequence[Turn]) -> str | None:
        """What the model wrote, cut where it is too long to be used; None when it took too long."""
        told = "\n".join(f"{turn.role}: {_as_data(turn.text)[:_TURN]}" for turn in turns)
        text = filled(prompt("rewrite", language_of(question)), conversation=told, question=as_data(question))
        no_longer_than = time.monotonic() + self.patience_s
        written = ""
        # While the model is silent the client's stream yields empty pieces.
        for piece in self.chat_model.stream([HumanMessage(text)], temperature=0, max_tokens=_TOKENS):
            written += piece.text
            if len(written) > LONGEST:
                break
            if time.monotonic() > no_longer_than:
                _LOG.warning("A follow-up is searched for as it is: %s takes too long to write it anew.", self.model)
                return None
        self.circuit.report(reached=True)
        return written.strip()


def is_faithful(text: str, question: str, turns: Sequence[Turn]) -> bool:
    """Whether a rewriting is one line whose words are all the conversation's, and keeps what the question says.

    It denies what the question denies and nothing else: "Is it safe?" must not become "Is the filter not safe?".
    """
    if not text or "\n" in text or len(text) > min(LONGEST, _TIMES_LONGER * len(question) + 100):
        return False
    if _negations(text) != _negations(question):
        return False
    said = {word for each in (question, *(turn.text for turn in turns)) for word in words(each)}
    characters = set(question).union(*(turn.text for turn in turns))
    new = [word for word in words(text) if word not in said and not (word > "\u3400" and set(word) <= characters)]
    own = set(content_words(question))
    return not new and len(own.intersection(words(text))) * 2 >= len(own)


# Not 能不能 and 有没有, which only ask; not 无线, 不锈钢 and the like, where the character is part of a name.
_ASKS_WHETHER = re.compile(r"(.)不\1|有没有|没有?(?=[?？]*$)")
_NEGATION = re.compile(
    r"\b(?:not?|without|never)\b|(?<=can)not\b|n['’]t\b|不(?![锈同仅但过久断])|[没沒]|[无無](?![线線绳繩论論])"
)


def _negations(text: str) -> Counter[str]:
    """The words of denial in a text and how often each is there; "isn't" has a "not"."""
    found = _NEGATION.findall(_ASKS_WHETHER.sub(" ", text.lower()))
    return Counter("not" if each[0] == "n" and each[-1] == "t" else each for each in found)


def _as_data(text: str) -> str:
    return as_data(without_planted(without_old_markers(text)))
