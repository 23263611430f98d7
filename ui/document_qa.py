"""The reader's page: one manual, questions to it, and the cited page beside the answer."""

import streamlit as st

from ui import style
from ui.answer import (
    about,
    ask_box,
    asked,
    joined,
    made_by,
    opened,
    page_picture,
    page_text,
    say_who_writes,
    section,
    show_answer,
    show_choices,
    show_growing,
    steps,
)
from ui.choices import choose, choose_knowledge_base, documents_that_answer, no_knowledge_base
from ui.client import ApiClient, Json
from ui.conversation import Conversation
from ui.texts import Language, text

PAGE = "document_qa"
_SHOWN = "document_qa_shown"
_ALL = ""


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    knowledge_base = choose_knowledge_base(api, language)
    if knowledge_base is None:
        no_knowledge_base(language)
        return
    documents = documents_that_answer(api, knowledge_base["id"], knowledge_base["change"])
    if not documents:
        style.hello(text("nothing_to_ask", language), text("no_knowledge_base_more", language))
        return
    document = _choose_document(language, documents)
    conversation = Conversation(api, PAGE, knowledge_base)
    if question := asked(PAGE):
        conversation.ask(question, {"document_id": [document]} if document else {})
    if conversation.messages:
        st.sidebar.button(
            text("new_conversation", language),
            icon=":material/add_comment:",
            width="stretch",
            on_click=conversation.forget,
        )
    st.session_state[_SHOWN] = opened() or st.session_state.get(_SHOWN)
    answers = [message for message in conversation.messages if message["citations"]]
    say_who_writes(api, language, knowledge_base)
    if not conversation.messages and conversation.question is None:
        _, middle, _ = st.columns([1, 3, 1])
        with middle:
            style.hello(text("hello_reader", language), text("hello_reader_more", language))
            _ask(language)
        return
    left, right = st.columns(2, gap="large")
    with left:
        dialogue = st.container()
        _ask(language)
    with right:
        _cited_page(api, language, answers)
    with dialogue:  # last: while an answer grows, everything else is there
        _dialogue(language, conversation)


def _choose_document(language: Language, documents: list[Json]) -> str:
    """The id of a document, or none for all."""
    titles = {each["id"]: each["title"] or each["external_id"] for each in documents}
    with st.sidebar:
        return choose(
            text("document", language),
            [_ALL, *titles],
            "document",
            "document",
            lambda id_: titles.get(id_, text("all_documents", language)),
        )


def _ask(language: Language) -> None:
    with st.container(key="ask"):
        ask_box(PAGE, text("ask_document", language))


def _dialogue(language: Language, conversation: Conversation) -> None:
    question = conversation.question
    for message in conversation.messages:
        if question is not None and message["client_message_id"] == question.client_message_id:
            continue  # it is drawn below, as it grows
        if message["role"] == "customer":
            style.asked(message["text"])
        else:
            _show_answer(language, conversation, message)
    if question is not None:
        style.asked(question.text)
        show_growing(conversation.answer(question), language)
        st.session_state[_SHOWN] = None  # the new answer's first source
        st.rerun()


def _show_answer(language: Language, conversation: Conversation, message: Json) -> None:
    show_answer(message, language)
    if message["status"] in ("stopped", "failed"):
        st.button(
            text("try_again", language),
            key=f"again_{message['id']}",
            icon=":material/refresh:",
            on_click=conversation.ask_again,
            args=(message,),
        )
    if message["citations"]:
        cards = [
            style.card(
                each["marker"],
                joined(section(each), page_text(each, language)),
                each["quote"].strip(),
                each["id"],
                shown=each["id"] == st.session_state[_SHOWN],
            )
            for each in message["citations"]
        ]
        ids = [each["id"] for each in message["citations"]]
        shown = ids.index(st.session_state[_SHOWN]) if st.session_state[_SHOWN] in ids else 0
        st.html(style.sources("cards", cards, text("all_sources", language, count=len(cards)), shown=shown))
        style.note(joined(made_by(message, language), about(message, language)))
    if message is conversation.messages[-1] and conversation.question is None:
        show_choices(PAGE, message)


def _cited_page(api: ApiClient, language: Language, answers: list[Json]) -> None:
    """The page of the chosen citation, else of the last answer's first, with steps to its neighbours."""
    if not answers:
        style.empty(text("cited_page", language), text("no_citation_yet", language))
        return
    shown = st.session_state[_SHOWN]
    holds_shown = (each for each in answers if any(citation["id"] == shown for citation in each["citations"]))
    answer = next(holds_shown, answers[-1])
    with st.container(key="cited_page"):
        citation = steps(answer["citations"], shown, _SHOWN, language)
        st.session_state[_SHOWN] = citation["id"]
        page_picture(api, citation)
