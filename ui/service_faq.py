"""The admin's page "FAQ": what agents answered, to be approved as a document of the knowledge base, or dismissed."""

import streamlit as st

from ui import choices, problems, style
from ui.client import ApiClient, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text

_STATUSES = {"candidate": "faq_candidate", "approved": "faq_approved", "dismissed": "faq_dismissed"}


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    knowledge_base = choices.choose_knowledge_base(api, language)
    if knowledge_base is None:
        choices.no_knowledge_base(language)
        return
    st.html(
        f'<div class="ad-head">{style.escape(text("faq", language))}</div>'
        f'<div class="ad-note">{style.escape(text("faq_more", language))}</div>'
    )
    status = st.segmented_control(
        text("faq_status", language),
        list(_STATUSES),
        default="candidate",
        format_func=lambda each: text(_STATUSES[each], language),
        required=True,
        label_visibility="collapsed",
    )
    key = f"faq_pages_{knowledge_base['id']}_{status}"
    found: list[Json] = []
    cursor: str | None = None
    for _ in range(st.session_state.get(key, 1)):
        page = client.faq_candidates(knowledge_base["id"], status, cursor)
        found += page["candidates"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if not found:
        style.empty(text("faq_none", language), text("faq_none_more", language))
    for each in found:
        _candidate(client, language, each)
    if cursor and st.button(text("more", language), width="stretch"):
        st.session_state[key] = st.session_state.get(key, 1) + 1
        st.rerun()


def _candidate(client: ServiceClient, language: Language, candidate: Json) -> None:
    with st.container(border=True, key=f"faq_{candidate['id']}"):
        by = f"{candidate['author']} · {candidate['created_at'][:10]}"
        if candidate["status"] != "candidate":
            pill = style.pill(text("is_public", language), "good") if candidate["public"] else ""
            st.html(
                f'<div class="ad-title">{style.escape(candidate["question"])}{pill}</div>'
                f'<div class="ad-quote">{style.escape(candidate["answer"])}</div>'
                f'<div class="ad-note">{style.escape(by)} {style.escape(candidate["document"] or "")}</div>'
            )
            return
        style.note(by)
        with st.form(f"faq_form_{candidate['id']}", border=False):
            question = st.text_input(text("golden_question", language), candidate["question"], max_chars=1000)
            answer = st.text_area(text("faq_answer", language), candidate["answer"], height=140, max_chars=20_000)
            public = st.toggle(text("is_public", language), candidate["public"], help=text("is_public_help", language))
            with st.container(horizontal=True):
                approves = st.form_submit_button(text("faq_approve", language), type="primary", icon=":material/check:")
                dismisses = st.form_submit_button(text("faq_dismiss", language), type="tertiary")
        with problems.shown(client.api, language):
            if approves:
                client.approve_faq(candidate["id"], question, answer, public=public)
            elif dismisses:
                client.dismiss_faq(candidate["id"])
            if approves or dismisses:
                st.rerun()
