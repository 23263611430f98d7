"""Thumbed-down answers: each becomes a golden question or is dismissed, with one click or with the right answer.

Owns the list and the dialog for a right answer, which is asked for in the list and shown by the page.
"""

import streamlit as st

from ui import problems, style
from ui.client import ApiClient, Json
from ui.quality_questions import NOT_ANSWERABLE, ExpectedFields
from ui.texts import Language, text

_AT_ONCE = 20
_ASKED = "candidate_asked"


def show(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """Those that wait, newest first."""
    candidates = api.golden_candidates(knowledge_base["id"])
    if not candidates:
        style.empty(text("no_golden_candidates", language), text("no_golden_candidates_more", language))
    key = f"candidates_shown_{knowledge_base['id']}"
    shown = st.session_state.get(key, _AT_ONCE)
    for candidate in candidates[:shown]:
        _show(api, language, knowledge_base["id"], candidate)
    if len(candidates) > shown and st.button(text("more", language), width="stretch", key="more_candidates"):
        st.session_state[key] = shown + 2 * _AT_ONCE
        st.rerun()


def show_asked(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """The form for a right answer in a dialog, once, when it was asked for: it names every document."""
    candidate: Json | None = st.session_state.pop(_ASKED, None)
    if candidate is None:
        return

    @st.dialog(text("golden_accept", language))
    def _answer() -> None:
        st.html(f'<span class="ad-title">{style.escape(candidate["question"])}</span>')
        with st.form("candidate", border=False):
            cited = candidate["cited"][0] if candidate["cited"] else {}
            proposed = {name: cited[name] for name in ("document", "page") if cited.get(name)}
            expected = ExpectedFields(api, language, knowledge_base, proposed, "candidate")
            if st.form_submit_button(text("save", language), type="primary"):
                _accept(api, language, knowledge_base["id"], candidate["message_id"], expected.value())

    _answer()


def _show(api: ApiClient, language: Language, knowledge_base: str, candidate: Json) -> None:
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
                _accept(api, language, knowledge_base, message, NOT_ANSWERABLE)
            if st.button(text("golden_accept", language), key=f"accept_{message}", icon=":material/check:"):
                st.session_state[_ASKED] = candidate
            if st.button(text("golden_dismiss", language), key=f"dismiss_{message}", type="tertiary"):
                with problems.shown(api, language):
                    api.dismiss_candidate(knowledge_base, message)
                    st.rerun()


def _accept(api: ApiClient, language: Language, knowledge_base: str, message: str, expected: object) -> None:
    with problems.shown(api, language):
        api.accept_candidate(knowledge_base, message, expected)
        st.rerun()
