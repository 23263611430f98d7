"""The text that a measurement is made of: ordinary words in random order, and manuals and questions from them.

Owns words, documents and questions, and how long they must be for a wanted prompt. The meaning is none; what counts
is the length, and that no two beginnings are alike.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from model_runtime.bench.errors import BenchError

_TEXT = """
press hold release open close turn switch button panel cable power light door water filter clean dry heat cool
battery charge remove insert lift lower left right front back top bottom side green red blue yellow white
before after while until when where which every other first second third next last slow fast quiet loud warm
cold wet empty full small large short long wide narrow heavy soft hard safe local remote manual screen menu
setting option mode program timer clock signal network channel volume picture sound record play stop pause
start end reset update install replace check test measure adjust select confirm cancel save delete copy print
paper tray drum lens sensor motor fan pump valve hose tank spring screw plate frame handle wheel belt chain
"""
WORDS = tuple(_TEXT.split())

LONGEST_PASSAGE = 300
"""Words that surely fit a passage of 512 tokens of the embedder."""

MOST_PASSAGES = 20
_WORDS_PER_SENTENCE = 12


@dataclass(frozen=True, slots=True)
class PromptSize:
    """What makes a prompt: so many passages of so many words each."""

    passages: int
    words: int


def prompt_size(wanted: int, *, one_passage: int, two_passages: int, words: int, tokens_per_word: float) -> PromptSize:
    """The passages for a prompt of about `wanted` tokens.

    `one_passage` and `two_passages` are the measured tokens of prompts with passages of `words` words. The shortest
    prompt there is comes out when less is wanted. Raises `BenchError` beyond what `MOST_PASSAGES` hold.
    """
    around = (two_passages - one_passage) - words * tokens_per_word  # a passage's delimiters, title and place
    frame = 2 * one_passage - two_passages  # instructions and question, without any passage
    for passages in range(1, MOST_PASSAGES + 1):
        left = (wanted - frame) / passages - around
        size = round(left / tokens_per_word)
        if size <= LONGEST_PASSAGE:
            return PromptSize(passages, max(size, _WORDS_PER_SENTENCE))
    most = int(frame + MOST_PASSAGES * (around + LONGEST_PASSAGE * tokens_per_word))
    raise BenchError(f"through Answerdesk a prompt has at most about {most} tokens here, not {wanted}")


def device_name(number: int) -> str:
    """A name that words find; no two have a part in common."""
    return f"QX-{7000 + number}"


def record(number: int, words: int, dice: random.Random) -> dict[str, str]:
    """One document of the measurement: a manual of one device in one passage."""
    name = device_name(number)
    chosen = [name, *dice.choices(WORDS, k=max(words - 1, 1))]
    sentences = [
        " ".join(chosen[at : at + _WORDS_PER_SENTENCE]).capitalize() for at in range(0, words, _WORDS_PER_SENTENCE)
    ]
    return {"_id": f"device-{number}", "title": f"Device {name}", "text": ". ".join(sentences) + "."}


def question(number: int, documents: int, dice: random.Random) -> str:
    """A question about one of the documents; no two are alike, for that would measure a cache."""
    words = " ".join(dice.sample(WORDS, 4))
    return f"What does the manual of the device {device_name(number % documents)} say about {words} ({number})?"
