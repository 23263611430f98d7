"""Looking into a knowledge base: the passages of a document, and a search with its scores."""

import streamlit as st

from ui import style
from ui.answer import page_text, pages
from ui.choices import choose, documents_that_answer
from ui.client import ApiClient, Json
from ui.texts import Language, text

_AT_ONCE = 20
_TOP_K = 10
_REASONS = {
    "unreadable": "reason_unreadable",
    "duplicate": "reason_duplicate",
    "boilerplate": "reason_boilerplate",
}


def show_passages(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """The passages of a document, in reading order."""
    documents = documents_that_answer(api, knowledge_base["id"], knowledge_base["change"])
    titles = {each["id"]: each["title"] or each["external_id"] for each in documents}
    if not titles:
        style.empty(text("no_passages", language), text("no_passages_more", language))
        return
    chosen = choose(text("document", language), list(titles), "passages_of", "document", titles.__getitem__)
    key = f"passages_shown_{chosen}"
    wanted = st.session_state.get(key, _AT_ONCE)
    listing = api.passages(chosen, min(1000, wanted))
    for hit in listing["passages"]:
        _show_hit(api, language, hit, "passages")
    if listing["next_cursor"] and st.button(text("more", language), width="stretch"):
        st.session_state[key] = wanted + 2 * _AT_ONCE
        st.rerun()


def show_search(api: ApiClient, language: Language, knowledge_base: str) -> None:
    """A query and the passages that it finds, best first, with their scores."""
    query = st.text_input(
        text("search_label", language), max_chars=4000, icon=":material/search:", key=f"query_{knowledge_base}"
    )
    if not query.strip():
        style.note(text("search_more", language))
        return
    hits = api.search(knowledge_base, query.strip(), _TOP_K)["hits"]
    if not hits:
        style.empty(text("no_hits", language))
    best = max((hit["score"] for hit in hits), default=0.0)
    for hit in hits:
        _show_hit(api, language, hit, "search", best)


def _show_hit(api: ApiClient, language: Language, hit: Json, where: str, best: float = 0.0) -> None:
    path = " › ".join([*hit["heading_path"]] or [hit["title"]])
    also = text("also_at", language, count=len(hit["also_at"])) if hit["also_at"] else ""
    left_out = ""
    if hit["excluded"]:
        left_out = style.pill(text("excluded", language, reason=text(_REASONS[hit["excluded"]], language)), "warn")
    note = " · ".join(part for part in (hit["title"], page_text(hit, language), also) if part)
    with st.container(border=True):
        st.html(
            f'{_score(language, hit, best)}<div class="ad-title">{style.escape(path)}{left_out}</div>'
            f'<div class="ad-note">{style.escape(note)}</div>'
            f'<div class="ad-quote">{style.escape(hit["text"].strip())}</div>'
        )
        if st.button(
            text("show_page", language),
            key=f"{where}_{hit['passage_id']}",
            icon=":material/description:",
            type="tertiary",
        ):
            _show_page(api, hit, text("passage", language))


def _score(language: Language, hit: Json, best: float) -> str:
    """The score with its signals; the bar compares it with the best hit's."""
    if hit["score"] is None:
        return ""
    share = f"{max(0.0, hit['score'] / best):.0%}" if best > 0 else "0%"
    signals = ", ".join(f"{name} {value:.2f}" for name, value in hit["signals"].items())
    label = style.escape(text("score", language, score=hit["score"]))
    return (
        f'<span class="ad-score ad-note" title="{style.escape(signals)}"><i style="--share:{share}"></i>{label}</span>'
    )


def _show_page(api: ApiClient, hit: Json, title: str) -> None:
    @st.dialog(title, width="medium")
    def _show() -> None:
        for page in pages(hit) or [1]:
            st.image(api.page_image(hit["document_id"], page, hit["passage_id"]), width="stretch", output_format="PNG")

    _show()
