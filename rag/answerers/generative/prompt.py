"""The messages that a chat model gets: role and rules, the history, then the numbered passages and the question.

Owns their order and what stands around other people's text; `rag.prompts` has the words. The order is for the
server's prefix cache: what stays comes first, what is new with every question comes last.
"""

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from rag.answerers.generative.data import as_attribute, as_data
from rag.answerers.generative.history import HistoryLimits, Summarize, history_messages
from rag.answerers.generative.planted import without_planted
from rag.language import Language, language_of
from rag.prompts import filled, prompt
from rag.types import NO_PAGE, Hit, Question

_IMAGE = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")


def messages_for(
    question: Question, hits: Sequence[Hit], limits: HistoryLimits, images: bool, summarize: Summarize | None = None
) -> list[BaseMessage]:
    """All messages of a question. Up to the last one they only grow from turn to turn, except where history is cut.

    The rules are in the language in which the conversation began, so that they stay what they were; the question's
    own language decides about the words around the passages. With `images` the question's pictures are passed on.
    """
    language = language_of(question.text)
    passages = "\n\n".join(_passage(number, hit) for number, hit in enumerate(hits, start=1))
    asked = filled(prompt("question", language), passages=passages, question=as_data(question.text))
    rules = SystemMessage(prompt("system", _language_of_rules(question)))
    history = history_messages(question.history, limits, summarize)
    return [rules, *history, _last(asked, readable_images(question, images))]


def readable_images(question: Question, images: bool) -> list[str]:
    """The pictures that a model is given. An address instead of a picture would be fetched by the model's server."""
    return [image for image in question.images if _IMAGE.fullmatch(image)] if images else []


def _last(asked: str, images: Sequence[str]) -> HumanMessage:
    if not images:
        return HumanMessage(asked)
    pictures = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    return HumanMessage(content=[{"type": "text", "text": asked}, *pictures])


def _language_of_rules(question: Question) -> Language:
    first = next((turn.text for turn in question.history if turn.role == "customer"), question.text)
    return language_of(first)


def _passage(number: int, hit: Hit) -> str:
    """One passage between delimiters that its own text cannot close, with its place in the manual.

    Sentences that are addressed to a model are left out of both.
    """
    passage = hit.passage
    place = as_attribute(" › ".join(without_planted(name) for name in (passage.title, *passage.heading_path) if name))
    pages = [span.page for span in passage.spans if span.page != NO_PAGE]
    page = f' page="{pages[0]}"' if pages else ""
    return f'<passage number="{number}" from="{place}"{page}>\n{as_data(without_planted(passage.text))}\n</passage>'
