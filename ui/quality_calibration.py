"""When the knowledge base refuses, set by a run: how many false answers are wanted, and what that costs.

Owns this part of a run's view. The API chooses the threshold.
"""

import streamlit as st

from ui import problems, style
from ui.client import ApiClient, Json
from ui.texts import Language, text

_LOWEST, _HIGHEST, _USUAL = 0.5, 50.0, 5.0
"""In percent."""


def show(api: ApiClient, language: Language, knowledge_base: str, run: Json) -> None:
    """The form, and what came of it until the page is left."""
    with st.expander(text("golden_calibrate", language)):
        style.note(text("golden_calibrate_more", language))
        with (
            st.form(f"calibrate_{run['id']}", border=False),
            st.container(horizontal=True, vertical_alignment="bottom"),
        ):
            wanted = st.number_input(text("golden_wanted", language), _LOWEST, _HIGHEST, _USUAL, step=0.5)
            sets = st.form_submit_button(text("golden_calibrate_now", language), icon=":material/tune:")
        if sets:
            with problems.shown(api, language):
                _tell(language, api.calibrate_by_golden_run(knowledge_base, run["id"], wanted / 100))


def _tell(language: Language, made: Json) -> None:
    answers, refusals = made["false_answers"], made["false_refusals"]
    told = text(
        "golden_calibrated",
        language,
        threshold=made["refuse_below"],
        answers=answers["value"],
        answers_low=answers["low"],
        answers_high=answers["high"],
        refusals=refusals["value"],
        refusals_low=refusals["low"],
        refusals_high=refusals["high"],
        expected=made["expected_false_answers"],
    )
    style.notice(told, "good")
    if made["questions_missing"]:
        style.notice(text("golden_calibrate_add", language, missing=made["questions_missing"]), "warn")
