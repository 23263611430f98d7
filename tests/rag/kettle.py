"""A manual of a kettle, and its questions put to the generative answerer: what its tests have in common."""

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from pydantic import SecretStr

from model_runtime.chat.client import ChatClient
from rag.answerers.generative.answerer import GenerativeAnswerer
from rag.answerers.generative.answerer import GenerativeSettings as Settings
from rag.types import Answer, AnswerEvent, AnswerKind, Cited, Finished, Question, Token
from tests.fakes.chat_model import Scripted
from tests.rag.answering import FakeFound, hit

CLEANING = (
    "Switch the kettle off and let it cool for 30 minutes. Fill it with water and 50 ml of vinegar. Rinse it twice."
)
CHINESE = "请先关闭电源，等待三十分钟。然后加入五十毫升白醋。最后冲洗两次。"
HITS = (
    hit(CLEANING, near="Fill", key=1),
    hit("The lid opens at 100 °C. The lamp turns red.", key=2),
    hit(CHINESE, key=3),
)
QUESTION = Question("How do I clean the kettle?")


def events_of(pieces: Sequence[str], question: Question = QUESTION, **more: Any) -> list[AnswerEvent]:
    answerer = GenerativeAnswerer(Scripted(pieces=list(pieces), **more), "scripted-1")
    return list(answerer.answer(question, FakeFound(HITS, question.text)))


def answer_of(text: str, question: Question = QUESTION) -> Answer:
    """The answer to a text streamed character by character; checks that the stream showed exactly that text."""
    *events, last = events_of(list(text), question)
    assert isinstance(last, Finished)
    if last.answer.kind is not AnswerKind.NOT_IN_MANUALS:
        assert "".join(event.text for event in events if isinstance(event, Token)) == last.answer.text
    assert [event.citation for event in events if isinstance(event, Cited)] == list(last.answer.citations)
    return last.answer


def links_in(text: str) -> list[str]:
    """What a Markdown viewer that links everything it can would make of a text: links, pictures, tags."""
    bare = re.findall(r"(?i)(?:\w+://|\bwww\.)[^\s,)>]+", text)
    markup = re.findall(r"\]\(|\]:|<[A-Za-z/!?]", text)
    rendered = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    return [address.rstrip(".") for address in bare] + markup + re.findall(r"<(?:a|img|!)[^>]*", rendered)


def over_http(base_url: str, settings: Settings | None = None, **more: Any) -> GenerativeAnswerer:
    model = ChatClient(
        model="tiny", base_url=base_url, api_key=SecretStr("secret"), temperature=0.3, first_retry_s=0.01, **more
    )
    return GenerativeAnswerer(model, "tiny", settings)
