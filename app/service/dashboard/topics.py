"""What customers ask and the manuals do not say, gathered by topic.

Owns how questions are gathered: the same words first, then those whose vectors are near each other, by agglomerative
clustering with average linkage. Sentence embedders put all questions into a narrow cone, those of each language into
one of its own; so what questions about anything have in common is taken off first, and a topic has the questions of
both languages. Vectors of one embedder are compared only with each other, and every knowledge base has topics of its
own.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sqlalchemy import select

from app.bootstrap import Services
from app.caches import RememberingEmbedder
from app.errors import Conflict
from app.models import Conversation, KnowledgeBase, Message
from app.service.dashboard.figures import Window, is_unanswered
from app.service.dashboard.shapes import Topic, UnansweredQuestion
from rag.language import Language, language_of

NEWEST: Final = 400
"""So many questions are looked at, the newest: each has to be embedded once."""

_MOST_TOPICS = 20
_EXAMPLES = 5
_APART: Final = 0.75
"""Mean cosine distance from which on groups are topics of their own: with the default embedder from 0.7 to 0.8."""

_ABOUT_ANYTHING: Final[dict[Language, tuple[str, ...]]] = {
    "en": (
        *("How do I switch it on?", "What does delivery cost?", "I forgot my password.", "Where is the nearest shop?"),
        *("Can I get my money back?", "Which battery fits?", "The screen stays black.", "Is there a warranty?"),
        *("How do I clean the filter?", "Can I change my order?", "Do you speak German?", "When are you open?"),
    ),
    "zh": (
        *("怎么开机？", "运费是多少？", "我忘记密码了。", "最近的门店在哪里？", "可以退款吗？", "用什么电池？"),
        *(
            "屏幕一直是黑的。",
            "有保修吗？",
            "滤网怎么清洗？",
            "可以修改订单吗？",
            "你们会说英语吗？",
            "营业时间是几点？",
        ),
    ),
}


def unanswered_topics(services: Services, window: Window) -> tuple[list[Topic], list[str]]:
    """The most frequent topics first, and why questions of which knowledge base could not be gathered."""
    topics: list[Topic] = []
    problems: list[str] = []
    for knowledge_base, questions in _questions(services, window):
        try:
            embedder = services.embedders.of(knowledge_base.generation)
        except Conflict as error:
            problems.append(f"The questions of {knowledge_base.name} are not gathered by topic. {error.message}")
            groups = [[place] for place in range(len(questions))]
            vectors = np.eye(len(questions), dtype=np.float32)
        else:
            vectors = _vectors(RememberingEmbedder(embedder, services.question_vectors), questions)
            groups = grouped(vectors)
        for group in groups:
            topics.append(_topic(knowledge_base, [questions[place] for place in group], vectors[group]))
    topics.sort(key=lambda each: -each.count)
    return topics[:_MOST_TOPICS], problems


def grouped(vectors: NDArray[np.float32]) -> list[list[int]]:
    """Places of vectors of unit length, shape [n, dimension], that belong together; each place once."""
    if len(vectors) < 2:
        return [[place] for place in range(len(vectors))]
    labels = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=_APART
    ).fit_predict(vectors)
    return [np.flatnonzero(labels == label).tolist() for label in range(labels.max() + 1)]


def _vectors(embedder: RememberingEmbedder, questions: Sequence[UnansweredQuestion]) -> NDArray[np.float32]:
    """Of unit length, shape [n, dimension], without what questions of their language have in common."""
    rows = []
    common: dict[Language, NDArray[np.float32]] = {}
    for question in questions:
        language = language_of(question.text)
        if language not in common:
            anything = [embedder.embed_question(each) for each in _ABOUT_ANYTHING[language]]
            common[language] = np.mean(anything, axis=0, dtype=np.float32)
        own = embedder.embed_question(question.text)
        apart = own - common[language]
        length = float(np.linalg.norm(apart))
        rows.append(apart / length if length else own)
    return np.stack(rows)


def _topic(
    knowledge_base: KnowledgeBase, questions: Sequence[UnansweredQuestion], vectors: NDArray[np.float32]
) -> Topic:
    middle = int(np.argmax(vectors @ vectors.mean(axis=0)))
    ordered = sorted(questions, key=lambda each: (-each.count, each.text))
    return Topic(
        topic=questions[middle].text,
        knowledge_base=knowledge_base.id,
        knowledge_base_name=knowledge_base.name,
        count=sum(each.count for each in questions),
        examples=ordered[:_EXAMPLES],
    )


def _questions(services: Services, window: Window) -> list[tuple[KnowledgeBase, list[UnansweredQuestion]]]:
    """By knowledge base, the newest questions that its manuals did not answer, each wording once."""
    answer = select(Message.reply_to, Message.created_at).where(
        Message.role == "assistant", is_unanswered(Message), Message.status == "answered"
    )
    unanswered = answer.subquery()
    query = (
        select(Message.id, Message.text, Message.created_at, Message.conversation_id, Conversation.knowledge_base_id)
        .join(unanswered, unanswered.c.reply_to == Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(window.includes(unanswered.c.created_at))
        .order_by(Message.id.desc())
        .limit(NEWEST)
    )
    found: dict[str, dict[str, UnansweredQuestion]] = {}
    with services.database.read() as session:
        for row in session.execute(query):
            wording = " ".join(row.text.casefold().split())
            _count_once_more(found.setdefault(row.knowledge_base_id, {}), wording, row)
        rows = session.scalars(select(KnowledgeBase).where(KnowledgeBase.id.in_(found))).all()
    return [(row, list(found[row.id].values())) for row in sorted(rows, key=lambda each: each.name)]


def _count_once_more(known: dict[str, UnansweredQuestion], wording: str, row: Any) -> None:
    before = known.get(wording)
    if before is not None:
        known[wording] = before.model_copy(update={"count": before.count + 1})
        return
    known[wording] = UnansweredQuestion(
        text=row.text, count=1, conversation_id=row.conversation_id, message_id=row.id, created_at=row.created_at
    )
