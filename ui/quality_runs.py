"""Runs of golden questions: begin one, watch it, see what failed and why, and the history.

Owns the tab. It renews itself while a run is under way.
"""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from ui import problems, quality_calibration, style
from ui.client import ApiClient, Json
from ui.quality_questions import told
from ui.texts import Language, text

FIGURES: Final[Mapping[str, str]] = {
    "passed": "figure_passed",
    "recall@5": "figure_recall_5",
    "page@5": "figure_page_5",
    "answer_contained": "figure_answer_contained",
    "citation_precision": "figure_citation_precision",
    "citation_coverage": "figure_citation_coverage",
    "false_answers": "figure_false_answers",
    "false_refusals": "figure_false_refusals",
    "later_turns.passed": "figure_later_turns",
}
"""The figures that have a name for people; the API has more."""

OUTCOMES: Final[Mapping[str, str]] = {
    "passed": "outcome_passed",
    "not_retrieved": "outcome_not_retrieved",
    "not_answered": "outcome_not_answered",
    "refused": "outcome_refused",
    "wrongly_answered": "outcome_wrongly_answered",
    "not_asked": "outcome_not_asked",
}
_STATES: Final[Mapping[str, tuple[str, style.Kind]]] = {
    "queued": ("golden_queued", "busy"),
    "running": ("golden_running", "busy"),
    "done": ("status_done", "good"),
    "failed": ("status_failed", "bad"),
    "cancelled": ("status_cancelled", "warn"),
}
_SECONDS_BETWEEN_LOOKS = 1.0
_FAILURES_SHOWN = 100
_FOUND_SHOWN = 3
_ANSWERERS = {"": "golden_answerer_own", "extractive": "made_by_extractive", "generative": "golden_generative"}


def show(api: ApiClient, language: Language, knowledge_base: str, questions: int) -> None:
    """The form and the runs, newest first."""
    if not questions:
        style.empty(text("no_golden_questions", language), text("no_golden_questions_more", language))
    else:
        _show_form(api, language, knowledge_base)
    runs = api.golden_runs(knowledge_base)
    if questions and not runs:
        style.empty(text("no_golden_runs", language), text("no_golden_runs_more", language))
    every = _SECONDS_BETWEEN_LOOKS if _is_busy(runs) else None
    st.fragment(_list, run_every=every)(api, language, knowledge_base, _is_busy(runs))


def table(head: list[str], rows: list[list[str]]) -> None:
    """A table of plain texts."""
    lines = [head, *rows]
    cells = ("".join(f"<td>{style.escape(cell)}</td>" for cell in line) for line in lines)
    st.html(f'<div class="ad-answer"><table>{"".join(f"<tr>{line}</tr>" for line in cells)}</table></div>')


def _is_busy(runs: list[Json]) -> bool:
    return any(run["status"] in ("queued", "running") for run in runs)


def _show_form(api: ApiClient, language: Language, knowledge_base: str) -> None:
    with st.form("golden_run", border=False):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            note = st.text_input(text("golden_note", language), max_chars=200)
            begins = st.form_submit_button(text("golden_begin", language), type="primary", icon=":material/play_arrow:")
        with st.expander(text("golden_settings", language)):
            style.note(text("golden_settings_more", language))
            answerer = st.selectbox(
                text("golden_answerer", language),
                list(_ANSWERERS),
                format_func=lambda each: text(_ANSWERERS[each], language),
            )
            refuse = st.number_input(text("golden_refuse_below", language), 0.0, 1.0, None, step=0.05)
            weight = st.number_input(text("golden_dense_weight", language), 0.0, 1.0, None, step=0.1)
            passages = st.number_input(text("golden_answer_passages", language), 1, 20, None, step=1)
        if begins:
            tried = {
                "answerer": answerer or None,
                "refuse_below": refuse,
                "dense_weight": weight,
                "answer_passages": passages,
            }
            with problems.shown(api, language):
                api.begin_golden_run(knowledge_base, tried, note)
                st.rerun()


def _list(api: ApiClient, language: Language, knowledge_base: str, was_busy: bool) -> None:
    with problems.shown(api, language):
        runs = api.golden_runs(knowledge_base)
        if was_busy and not _is_busy(runs):
            st.rerun()
        for run in runs:
            _show_run(api, language, knowledge_base, run)


def _show_run(api: ApiClient, language: Language, knowledge_base: str, run: Json) -> None:
    label, kind = _STATES[run["status"]]
    is_live = run["status"] in ("queued", "running")
    with st.container(border=True, key=f"golden_run_{run['number']}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            title = style.escape(text("golden_run", language, number=run["number"]))
            pill = style.pill(text(label, language), kind)
            facts = style.escape(_facts(run))
            st.html(f'<span class="ad-title">{title}</span>{pill}<div class="ad-note">{facts}</div>', width="stretch")
            if is_live and st.button(text("cancel", language), key=f"cancel_{run['id']}"):
                api.cancel_golden_run(knowledge_base, run["id"])
                st.rerun()
            if not is_live and st.button(
                "", icon=":material/delete:", key=f"delete_{run['id']}", help=text("delete", language)
            ):
                api.delete_golden_run(knowledge_base, run["id"])
                st.rerun()
        if is_live:
            style.progress(run["done"] / run["total"], text("golden_progress", language, **_of(run)))
        else:
            _show_outcome(api, language, knowledge_base, run)


def _show_outcome(api: ApiClient, language: Language, knowledge_base: str, run: Json) -> None:
    if run["message"]:
        style.notice(run["message"], "bad")
    passed = run["outcomes"].get("passed", 0)
    pills = [style.pill(text("golden_passed_of", language, passed=passed, total=run["done"]), "good")]
    for outcome, label in OUTCOMES.items():
        if outcome != "passed" and run["outcomes"].get(outcome):
            pills.append(style.pill(f"{text(label, language)} {run['outcomes'][outcome]:,}", "warn"))
    st.html(" ".join(pills))
    if run["figures"]:
        with st.expander(text("golden_figures", language)):
            table(*_figures(language, run["figures"]))
    if run["status"] == "done":
        quality_calibration.show(api, language, knowledge_base, run)
    failed = run["done"] - passed
    if not failed:
        if run["status"] == "done":
            style.note(text("golden_no_failures", language))
        return
    opened = f"golden_failures_{run['id']}"
    with st.expander(text("golden_failures", language, number=failed), key=opened, on_change="rerun"):
        if st.session_state.get(opened):
            _show_failures(api, language, knowledge_base, run["id"])


def _show_failures(api: ApiClient, language: Language, knowledge_base: str, run: str) -> None:
    wanted = [outcome for outcome in OUTCOMES if outcome != "passed"]
    for result in api.golden_results(knowledge_base, run, wanted, _FAILURES_SHOWN):
        details = result["details"]
        title = style.escape(result["question"])
        pill = style.pill(text(OUTCOMES[result["outcome"]], language), "warn")
        st.html(f'<span class="ad-title">{title}</span> {pill}')
        style.note(text("golden_expected", language, expected=told(language, result["expected"])))
        if result["outcome"] == "not_retrieved":
            found = ", ".join(details["found"][:_FOUND_SHOWN])
            style.note(text("golden_found", language, found=found))
        if details["searched_for"] != result["question"]:
            style.note(text("golden_searched", language, searched=details["searched_for"]))
        if details["answer"]:
            said = style.escape(text("golden_said", language, answer=details["answer"]))
            st.html(f'<div class="ad-quote">{said}</div>')


def _figures(language: Language, figures: Json) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, label in FIGURES.items():
        if name in figures:
            low, high = figures["intervals"].get(name, (None, None))
            interval = "" if low is None else f"{low:.0%} – {high:.0%}"
            rows.append([text(label, language), f"{figures[name]:.1%}", interval])
    return [text("golden_figure", language), "", "95%"], rows


def _facts(run: Json) -> str:
    tried = ", ".join(f"{name} = {value}" for name, value in run["tried"].items())
    made = run["created_at"][:16].replace("T", " ")
    return " · ".join(part for part in (run["note"], tried, run["used"].get("model") or "", made) if part)


def _of(run: Json) -> dict[str, int]:
    return {"done": run["done"], "total": run["total"]}
