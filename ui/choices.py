"""What is chosen for all pages, language and knowledge base. Both stand in the address, so that a link leads back.

Owns the session's and the address's copy of a choice. Streamlit forgets a widget's value on pages without the widget
and clears the address on the way to another page; so each choice is kept under a name of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ui import style
from ui.client import ApiClient, Json
from ui.texts import LANGUAGES, Language, text

_KNOWLEDGE_BASE = "knowledge_base"


def language() -> Language:
    """The language chosen, else the one in the address, else the browser's."""
    if "language" not in st.session_state:
        browser = str(st.context.locale or "")
        wanted = st.query_params.get("lang", browser)
        st.session_state.language = "zh" if wanted.startswith("zh") else "en"
    chosen: Language = st.session_state.language
    to_address("lang", chosen)
    return chosen


def choose_language() -> None:
    """The switch, at the bottom of the sidebar."""
    with st.sidebar.container(key="language_switch"):
        st.segmented_control(
            "Language / 语言",
            list(LANGUAGES),
            format_func=LANGUAGES.__getitem__,
            key="language",
            required=True,
            label_visibility="collapsed",
            width="stretch",
        )


def choose_knowledge_base(api: ApiClient, language: Language) -> Json | None:
    """A select box in the sidebar, when there is something to choose from."""
    found = api.knowledge_bases()
    if not found:
        return None
    by_name = {each["name"]: each for each in found}
    with st.sidebar:
        name = choose(text("knowledge_base", language), list(by_name), _KNOWLEDGE_BASE, "kb")
    return by_name[name]


def choose_next(knowledge_base: str) -> None:
    """Makes a knowledge base, by name, the chosen one from the next run on."""
    st.session_state[_KNOWLEDGE_BASE] = knowledge_base


def choose(label: str, options: Sequence[str], name: str, parameter: str, format: Callable[[str], str] = str) -> str:
    """A select box whose choice outlives the page and stands in the address as `parameter`."""
    wanted = st.session_state.get(name, st.query_params.get(parameter))
    st.session_state[name] = wanted if wanted in options else options[0]
    widget = f"choose_{name}"
    st.session_state[widget] = st.session_state[name]

    def keep() -> None:
        st.session_state[name] = st.session_state[widget]

    chosen: str = st.selectbox(label, options, key=widget, format_func=format, on_change=keep)
    to_address(parameter, chosen)
    return chosen


def to_address(parameter: str, value: str | None) -> None:
    """Puts a value into the address, or takes it out; the same value again is not sent."""
    if value and st.query_params.get(parameter) != value:
        st.query_params[parameter] = value
    elif not value and parameter in st.query_params:
        del st.query_params[parameter]


def no_knowledge_base(language: Language) -> None:
    """What the pages that answer say when there is nothing to ask."""
    style.hello(text("no_knowledge_base", language), text("no_knowledge_base_more", language))


def documents_that_answer(api: ApiClient, knowledge_base: str, change: int) -> list[dict[str, Any]]:
    """Documents that can be asked; `change` is the knowledge base's, so that the list is read once a change."""
    return _documents_that_answer(api, api.whose(), knowledge_base, change)


@st.cache_data(max_entries=20, show_spinner=False)
def _documents_that_answer(
    _api: ApiClient, whose: tuple[str, str | None], knowledge_base: str, change: int
) -> list[dict[str, Any]]:
    return [each for each in _api.all_documents(knowledge_base) if each["version"]]
