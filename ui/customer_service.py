"""The customer's page: a chat; answers stream in, their sources are numbered chips that open the page."""

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
from ui.choices import choose_knowledge_base, no_knowledge_base
from ui.client import ApiClient, Json
from ui.conversation import Conversation
from ui.texts import Language, text

PAGE = "customer_service"
_OPEN = "customer_service_open"


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    knowledge_base = choose_knowledge_base(api, language)
    if knowledge_base is None:
        no_knowledge_base(language)
        return
    conversation = Conversation(api, PAGE, knowledge_base)
    if question := asked(PAGE):
        conversation.ask(question)
    if conversation.messages:
        st.sidebar.button(
            text("new_conversation", language),
            icon=":material/add_comment:",
            width="stretch",
            on_click=conversation.forget,
        )
    ask_box(PAGE, text("ask_here", language))
    with st.container(key=PAGE):
        say_who_writes(api, language, knowledge_base)
        _dialogue(api, language, conversation)
    _open_clicked(api, language, conversation)


def _dialogue(api: ApiClient, language: Language, conversation: Conversation) -> None:
    question = conversation.question
    if not conversation.messages and question is None:
        style.hello(text("hello_customer", language), text("hello_customer_more", language))
    for message in conversation.messages:
        if question is not None and message["client_message_id"] == question.client_message_id:
            continue  # it is drawn below, as it grows
        if message["role"] == "customer":
            style.question(message["text"])
        else:
            _show_answer(api, language, conversation, message)
    if question is not None:
        style.question(question.text)
        show_growing(conversation.answer(question), language)
        st.rerun()  # draws the finished message


def _show_answer(api: ApiClient, language: Language, conversation: Conversation, message: Json) -> None:
    show_answer(message, language)
    if message["citations"]:
        chips = [
            style.chip(each["marker"], joined(section(each), page_text(each, language)), each["id"])
            for each in message["citations"]
        ]
        st.html(style.sources("chips", chips, text("all_sources", language, count=len(chips))))
    if message["status"] in ("stopped", "failed"):
        st.button(
            text("try_again", language),
            key=f"again_{message['id']}",
            icon=":material/refresh:",
            on_click=conversation.ask_again,
            args=(message,),
        )
    elif message["citations"]:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            style.note(joined(made_by(message, language), about(message, language)))
            _thumbs(api, language, message)
    if message is conversation.messages[-1] and conversation.question is None:
        show_choices(PAGE, message)


def _thumbs(api: ApiClient, language: Language, message: Json) -> None:
    key = f"rating_{message['id']}"
    if key not in st.session_state and message["rating"] is not None:
        st.session_state[key] = int(message["rating"] == "up")

    def rate() -> None:
        rating = st.session_state[key]
        if rating is not None:
            api.rate(message["id"], "up" if rating == 1 else "down")
            st.toast(text("thanks", language))

    st.feedback("thumbs", key=key, on_change=rate)


def _open_clicked(api: ApiClient, language: Language, conversation: Conversation) -> None:
    clicked = opened()
    for message in conversation.messages:
        if any(citation["id"] == clicked for citation in message["citations"]):
            st.session_state[_OPEN] = clicked
            _cited_page(api, language, message["citations"], text("cited_page", language))


def _cited_page(api: ApiClient, language: Language, citations: list[Json], title: str) -> None:
    @st.dialog(title, width="medium")
    def _show() -> None:
        page_picture(api, steps(citations, st.session_state[_OPEN], _OPEN, language))

    _show()
