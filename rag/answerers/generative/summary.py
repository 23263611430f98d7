"""What has gone from a long conversation, summed up by the chat model and checked.

Owns what the model is asked, how long it is waited for, and which of its sentences are kept: those whose numbers, codes
and addresses are the conversation's. Every beginning of a conversation is summed up once and then kept, so that the
prompts after it begin alike. Which turns have gone is `history`'s.
"""

import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage

from rag.analyzer import words
from rag.answerers.circuit import Circuit
from rag.answerers.failures import model_failure
from rag.answerers.generative.data import as_data, without_old_markers
from rag.answerers.generative.planted import without_planted
from rag.errors import ModelUnreachable
from rag.language import language_of
from rag.prompts import filled, prompt
from rag.sentences import sentence_spans

_LOG = logging.getLogger(__name__)

LONGEST = 600
"""Characters of a summary; what the model writes beyond them is left out, by sentences."""

_TOKENS = 200
_TURN = 240  # characters of a turn that the model reads
_TURNS = 6000  # characters of all of them: the newest
_KEPT = 1000  # summaries

_ADDRESS = re.compile(r"\w+://|\bwww\.|@\w+\.", re.IGNORECASE)


class Summarizer(Protocol):
    """Sums up the turns that no longer fit."""

    def summary(self, gone: Sequence[BaseMessage]) -> str:
        """A few sentences, as data; empty where there are none to be had."""
        ...


class ModelSummarizer:
    """Asks a chat model, at temperature 0. A model that fails costs the summary and never the answer.

    Only while `circuit` is closed is the model asked, and one that takes longer than `patience_s` seconds is not waited
    for: that beginning then goes without. Safe for threads.
    """

    def __init__(self, chat_model: BaseChatModel, model: str, circuit: Circuit, patience_s: float = 8.0) -> None:
        """`model` is its name in the log."""
        self._chat_model = chat_model
        self._model = model
        self._circuit = circuit
        self._patience_s = patience_s
        self._lock = Lock()
        self._kept: OrderedDict[str, str] = OrderedDict()

    def summary(self, gone: Sequence[BaseMessage]) -> str:
        """As `Summarizer.summary`; what fails is logged."""
        key = hashlib.sha256("\0".join(f"{each.type} {each.text}" for each in gone).encode()).hexdigest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if self._circuit.state != "closed":
            return ""
        try:
            written = self._asked(gone)
        except Exception as error:  # noqa: BLE001  whatever a client raises, the question is answered without it
            failure = model_failure(error, self._model)
            self._circuit.report(reached=not isinstance(failure, ModelUnreachable))
            _LOG.warning("A conversation goes on without a summary: %s", failure)
            written = ""
        text = faithful_part(written, gone)
        with self._lock:
            self._kept[key] = text
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return text

    def _asked(self, gone: Sequence[BaseMessage]) -> str:
        """What the model wrote; empty when it took too long."""
        lines = [f"{'customer' if each.type == 'human' else 'assistant'}: {each.text[:_TURN]}" for each in gone]
        told = "\n".join(lines)[-_TURNS:]
        text = filled(prompt("summary", language_of(gone[0].text)), conversation=told)
        no_longer_than = time.monotonic() + self._patience_s
        written = ""
        for piece in self._chat_model.stream([HumanMessage(text)], temperature=0, max_tokens=_TOKENS):
            written += piece.text
            if len(written) > 2 * LONGEST:
                break
            if time.monotonic() > no_longer_than:
                _LOG.warning("A conversation goes on without a summary: %s takes too long to write one.", self._model)
                return ""
        self._circuit.report(reached=True)
        return written


def faithful_part(written: str, gone: Sequence[BaseMessage]) -> str:
    """The sentences of a summary that say no number, code or address of their own, up to `LONGEST` characters."""
    said = {word for each in gone for word in words(each.text) if any(map(str.isdigit, word))}
    plain = without_planted(without_old_markers(" ".join(written.split())))
    kept = ""
    for start, end in sentence_spans(plain):
        sentence = as_data(plain[start:end].strip())
        own = [word for word in words(sentence) if any(map(str.isdigit, word)) and word not in said]
        if own or _ADDRESS.search(sentence):
            continue
        if len(kept) + len(sentence) >= LONGEST:
            break
        kept = f"{kept} {sentence}".strip()
    return kept
