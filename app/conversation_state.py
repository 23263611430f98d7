"""What a conversation has come to: which products, what topic, what is still open, what was cited last.

Owns the fields of the column `conversation.state`: how they follow from an answer, what they mean for the next
question, and how agents see them. Runs no queries.
"""

from collections.abc import Mapping
from typing import Any

from app.service.turn import ServiceAnswer
from app.understood_shapes import ConversationStateShape, OpenQuestionShape, choices_of
from rag import types as rag
from rag.chain import CHOICES, PRODUCTS, PRODUCTS_FROM
from rag.follow_up import topic_of
from rag.products.scope import PRODUCT, SAID, ScopeSource

_NOT_OF_MANUALS = frozenset((rag.AnswerKind.FLOW, rag.AnswerKind.HAND_OFF))
_SAID_BY = frozenset((ScopeSource.QUESTION.value, ScopeSource.HISTORY.value))


def remembered(question: rag.Question, answer: rag.Answer) -> dict[str, Any]:
    """What an answer changes of the state. Products stay known until others are named.

    Turns about a task or a person leave what is known of the manuals as it was.
    """
    own = dict(answer.state) if isinstance(answer, ServiceAnswer) else {}
    if answer.kind in _NOT_OF_MANUALS:
        cited = list(dict.fromkeys(each.passage_id for each in answer.citations))
        return {"open_question": None, **({"cited": cited} if cited else {}), **own}
    is_open = answer.kind is rag.AnswerKind.QUESTION_BACK
    changed: dict[str, Any] = {
        "cited": list(dict.fromkeys(each.passage_id for each in answer.citations)),
        "searched_for": answer.searched_for,
        "open_question": {"text": answer.text, CHOICES: answer.details.get(CHOICES, [])} if is_open else None,
    }
    if answer.kind is not rag.AnswerKind.CHAT:
        changed["topic"] = topic_of(question.text, question.history)
    if PRODUCTS in answer.details:
        changed |= {name: answer.details[name] for name in (PRODUCTS, PRODUCTS_FROM)}
    return changed | own


def context_of(given: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """What of a message's context tells of products; what the customer has said holds until the page is another.

    Nothing else of a context changes an answer.
    """
    known = {PRODUCT: given[PRODUCT]} if given.get(PRODUCT) else {}
    before = state.get("context") or {}
    has_moved = bool(given.get(PRODUCT)) and given.get(PRODUCT) != before.get(PRODUCT)
    is_said = state.get(PRODUCTS_FROM) in _SAID_BY and bool(state.get(PRODUCTS))
    return {**known, SAID: state[PRODUCTS]} if is_said and not has_moved else known


def state_shape(state: Mapping[str, Any]) -> ConversationStateShape:
    asked = state.get("open_question")
    known = {name: value for name, value in state.items() if name in ConversationStateShape.model_fields}
    known["open_question"] = asked and OpenQuestionShape(text=asked["text"], choices=choices_of(asked))
    return ConversationStateShape(**{name: value for name, value in known.items() if value is not None})
