"""The generations of a knowledge base: which one answers, how far another one is, the switch and the way back.

Owns this part of the admin's page. It renews itself while a generation is being built.
"""

from collections.abc import Callable, Mapping
from typing import Final

import streamlit as st

from ui import problems, style
from ui.answer import joined
from ui.client import ApiClient, Json
from ui.texts import Language, text

_SECONDS_BETWEEN_LOOKS = 1.0
_KINDS: Final[Mapping[str, style.Kind]] = {
    "building": "busy",
    "ready": "good",
    "active": "good",
    "retired": "busy",
    "failed": "bad",
}
_STATES: Final[Mapping[str, str]] = {
    "building": "generation_building",
    "ready": "generation_ready",
    "active": "generation_active",
    "retired": "generation_retired",
    "failed": "generation_failed",
}
_FAILURES_SHOWN = 5


def show(api: ApiClient, language: Language, knowledge_base: str) -> None:
    """The generations, newest first, and the form that begins another."""
    found = api.generations(knowledge_base)
    every = _SECONDS_BETWEEN_LOOKS if _is_busy(found) else None
    st.fragment(_list, run_every=every)(api, language, knowledge_base, [found], _is_busy(found))
    if not any(each["status"] in ("building", "ready", "failed") for each in found):
        _show_form(api, language, knowledge_base, next(each for each in found if each["status"] == "active"))


def _is_busy(found: list[Json]) -> bool:
    return any(each["status"] == "building" or each["switch_when_ready"] for each in found)


def _list(api: ApiClient, language: Language, knowledge_base: str, first: list[list[Json]], was_busy: bool) -> None:
    """`first` holds what has just been asked for; whenever the list renews itself it asks again."""
    with problems.shown(api, language):
        found = first.pop() if first else api.generations(knowledge_base)
        if was_busy and not _is_busy(found):
            st.rerun()  # the counts at the head of the page have changed
        for generation in found:
            _show(api, language, knowledge_base, generation)


def _show(api: ApiClient, language: Language, knowledge_base: str, generation: Json) -> None:
    number, status = generation["number"], generation["status"]

    def act(label: str, key: str, do: Callable[[str, int], object], icon: str) -> None:
        if st.button(text(label, language), key=f"{key}_{generation['id']}", icon=icon):
            do(knowledge_base, number)
            st.rerun()

    with st.container(border=True, key=f"generation_{generation['id']}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            title = style.escape(text("generation", language, number=number))
            label = style.pill(text(_STATES[status], language), _KINDS[status])
            facts = style.escape(_facts(language, generation))
            st.html(f'<span class="ad-title">{title}</span>{label}<div class="ad-note">{facts}</div>', width="stretch")
            if status == "failed":
                act("try_once_more", "retry_generation", api.retry_generation, ":material/refresh:")
            if status in ("ready", "retired") and not generation["switch_when_ready"]:
                act("activate_generation", "activate", api.activate_generation, ":material/swap_horiz:")
            if status != "active":
                with st.popover(text("drop_generation", language), icon=":material/delete:"):
                    st.text(text("really_drop", language, number=number))
                    act("drop_generation", "drop", api.drop_generation, ":material/delete:")
        _show_progress(language, generation)
        if status == "building" and generation["message"]:
            style.notice(generation["message"], "warn")
        if status == "failed":
            failures = generation["failures"][:_FAILURES_SHOWN]
            reasons = [f"{each['external_id']}: {each['message']}" for each in failures]
            style.notice(text("generation_incomplete", language), "bad", reasons)


def _facts(language: Language, generation: Json) -> str:
    counts = (
        text("document_count", language, count=generation["documents"]),
        text("passage_count", language, count=generation["passages"]),
        text("window_count", language, count=generation["windows"]),
    )
    cut = text("passage_tokens", language, tokens=generation["chunker"]["passage_tokens"])
    return joined(generation["embedder"], cut, *counts)


def _show_progress(language: Language, generation: Json) -> None:
    progress = generation["progress"]
    if progress is None:
        return
    done, total = generation["documents"], generation["documents_total"]
    label = text("documents_read_again", language, done=done, total=total)
    if progress["seconds_left"]:
        label += " · " + text("seconds_left", language, seconds=progress["seconds_left"])
    style.progress(progress["done"] / progress["total"] if progress["total"] else None, label)


def _show_form(api: ApiClient, language: Language, knowledge_base: str, answers: Json) -> None:
    with st.expander(text("new_generation", language)), st.form("new_generation", border=False):
        style.note(text("new_generation_more", language))
        embedder = st.text_input(text("embedder", language), placeholder=answers["embedder"], max_chars=1000)
        tokens = st.number_input(
            text("passage_tokens_label", language), 32, 8192, int(answers["chunker"]["passage_tokens"]), step=32
        )
        words = st.number_input(
            text("window_words_label", language), 8, 200, int(answers["chunker"]["window_words"]), step=1
        )
        if st.form_submit_button(text("build_generation", language), type="primary"):
            with problems.shown(api, language):
                chunker = {"passage_tokens": tokens, "window_words": words}
                api.build_generation(knowledge_base, embedder.strip() or None, chunker)
                st.rerun()
