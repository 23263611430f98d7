"""Thumbed-down answers: each becomes a golden question or is dismissed, with one click or with the right answer."""

import streamlit as st

from ui import problems, style
from ui.client import ApiClient, Json
from ui.quality_questions import NOT_ANSWERABLE, ExpectedFields
from ui.texts import Language, text


def show(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """All that wait, newest first."""
    candidates = api.golden_candidates(knowledge_base["id"])
    if not candidates:
        style.empty(text("no_golden_candidates", language), text("no_golden_candidates_more", language))
    for candidate in candidates:
        _show(api, language, knowledge_base, candidate)


def _show(api: ApiClient, language: Language, knowledge_base: Json, candidate: Json) -> None:
    message = candidate["message_id"]
    with st.container(border=True, key=f"golden_candidate_{message}"):
        after = " / ".join(turn["text"] for turn in candidate["history"] if turn["role"] == "customer")
        notes = [text("golden_after", language, turns=after)] if after else []
        notes += [candidate["comment"]] if candidate["comment"] else []
        st.html(f'<span class="ad-title">{style.escape(candidate["question"])}</span>')
        if notes:
            style.note(" · ".join(notes))
        st.html(f'<div class="ad-quote">{style.escape(candidate["answer"])}</div>')
        with st.container(horizontal=True):
            if st.button(text("golden_accept_silent", language), key=f"silent_{message}"):
                _accept(api, language, knowledge_base["id"], message, NOT_ANSWERABLE)
            with (
                st.popover(text("golden_accept", language), icon=":material/check:"),
                st.form(f"accept_{message}", border=False),
            ):
                cited = candidate["cited"][0] if candidate["cited"] else {}
                proposed = {name: cited[name] for name in ("document", "page") if cited.get(name)}
                expected = ExpectedFields(api, language, knowledge_base, proposed, message)
                if st.form_submit_button(text("save", language), type="primary"):
                    _accept(api, language, knowledge_base["id"], message, expected.value())
            if st.button(text("golden_dismiss", language), key=f"dismiss_{message}", type="tertiary"):
                with problems.shown(api, language):
                    api.dismiss_candidate(knowledge_base["id"], message)
                    st.rerun()


def _accept(api: ApiClient, language: Language, knowledge_base: str, message: str, expected: object) -> None:
    with problems.shown(api, language):
        api.accept_candidate(knowledge_base, message, expected)
        st.rerun()
