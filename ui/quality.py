"""The admin's page "Quality": golden questions, runs over them, two runs side by side, and thumbed-down answers.

Owns the frame. Each tab has a module of its own.
"""

import streamlit as st

from ui import choices, quality_candidates, quality_compare, quality_questions, quality_runs, style
from ui.client import ApiClient
from ui.texts import Language, text


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    knowledge_base = choices.choose_knowledge_base(api, language)
    if knowledge_base is None:
        choices.no_knowledge_base(language)
        return
    name = style.escape(knowledge_base["name"])
    count = api.golden_questions(knowledge_base["id"], 1)["total"]
    counted = style.escape(text("golden_question_count", language, count=count))
    st.html(f'<div class="ad-head">{name}</div><div class="ad-note">{counted}</div>')
    labels = ("golden_questions", "golden_runs", "golden_compare", "golden_candidates")
    questions, runs, compare, candidates = st.tabs([text(each, language) for each in labels])
    with questions:
        quality_questions.show(api, language, knowledge_base)
    with runs:
        quality_runs.show(api, language, knowledge_base["id"], count)
    with compare:
        quality_compare.show(api, language, knowledge_base["id"])
    with candidates:
        quality_candidates.show(api, language, knowledge_base)
    quality_questions.show_asked(api, language, knowledge_base)
    quality_candidates.show_asked(api, language, knowledge_base)
