"""The admin's page: create and delete knowledge bases, upload, and look inside: documents, passages, a search."""

from collections.abc import Callable

import streamlit as st

from ui import document_editing, document_list, generations, inside, problems, quality_of_documents, style
from ui.answer import joined
from ui.choices import choose_knowledge_base, choose_next
from ui.client import ApiClient, Json
from ui.texts import Language, text

_CREATING = "creating"
_LANGUAGES = {"": "mixed", "en": "english", "zh": "chinese"}


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    knowledge_base = choose_knowledge_base(api, language)
    st.sidebar.button(
        text("create_knowledge_base", language),
        icon=":material/add:",
        width="stretch",
        on_click=_set,
        args=(_CREATING,),
    )
    if st.session_state.pop(_CREATING, False):
        _create(api, language, text("create_knowledge_base", language))
    if knowledge_base is None:
        _first(language)
        return
    _head(language, knowledge_base)
    sections = ("documents", "passages", "try_search", "document_quality", "index")
    documents, passages, search, quality, index = st.tabs([text(each, language) for each in sections])
    with documents:
        document_list.show_upload(api, language, knowledge_base["id"])
        document_list.show(api, language, knowledge_base["id"])
    with passages:
        inside.show_passages(api, language, knowledge_base)
    with search:
        inside.show_search(api, language, knowledge_base["id"])
    with quality:
        quality_of_documents.show(api, language, knowledge_base["id"])
    with index:
        generations.show(api, language, knowledge_base["id"])
    _confirm_deletion(api, language, knowledge_base)
    document_editing.show_asked(api, language)


def _set(flag: str) -> None:
    st.session_state[flag] = True


def _first(language: Language) -> None:
    style.hello(text("no_knowledge_base", language), text("first_knowledge_base", language))
    with st.container(horizontal_alignment="center"):
        st.button(
            text("create_knowledge_base", language),
            type="primary",
            icon=":material/add:",
            on_click=_set,
            args=(_CREATING,),
            key="create_first",
        )


def _create(api: ApiClient, language: Language, title: str) -> None:
    @st.dialog(title)
    def _ask() -> None:
        with st.form("create", border=False):
            name = st.text_input(text("name", language), placeholder=text("name_example", language), max_chars=200)
            main = st.selectbox(
                text("main_language", language),
                list(_LANGUAGES),
                format_func=lambda code: text(_LANGUAGES[code], language),
            )
            if st.form_submit_button(text("create", language), type="primary") and name.strip():
                with problems.shown(api, language):
                    created = api.create_knowledge_base(name.strip(), main)
                    choose_next(created["name"])
                    st.rerun()

    _ask()


def _head(language: Language, knowledge_base: Json) -> None:
    counted = ("document_count", "passage_count", "window_count")
    counts = joined(*(text(each, language, count=knowledge_base[each]) for each in counted))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = style.escape(knowledge_base["name"])
        st.html(f'<div class="ad-head">{name}</div><div class="ad-note">{style.escape(counts)}</div>', width="stretch")
        st.button(
            text("delete_knowledge_base", language),
            icon=":material/delete:",
            type="tertiary",
            on_click=document_list.ask_deletion,
            args=("knowledge_base", knowledge_base["id"], knowledge_base["name"]),
        )


def _confirm_deletion(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    asked = document_list.asked_deletion()
    if asked is None:
        return
    delete: dict[str, Callable[[str], None]] = {
        "knowledge_base": api.delete_knowledge_base,
        "document": api.delete_document,
    }

    @st.dialog(text("delete", language))
    def _ask() -> None:
        st.text(text("really_delete", language, name=asked.name))
        with st.container(horizontal=True):
            if st.button(text("delete", language), type="primary", key="confirm_delete"):
                with problems.shown(api, language):
                    delete[asked.kind](asked.id)
                    st.rerun()
            if st.button(text("cancel", language), key="confirm_cancel"):
                st.rerun()

    _ask()
