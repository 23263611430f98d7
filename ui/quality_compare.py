"""Two runs side by side: settings, figures with the interval of their difference, and questions that changed."""

import streamlit as st

from ui import style
from ui.client import ApiClient, Json
from ui.quality_runs import FIGURES, OUTCOMES, table
from ui.texts import Language, text


def show(api: ApiClient, language: Language, knowledge_base: str) -> None:
    """The choice of two runs and what differs."""
    runs = {run["number"]: run for run in api.golden_runs(knowledge_base) if run["status"] == "done"}
    style.note(text("golden_compare_more", language))
    if len(runs) < 2:
        return
    numbers = list(runs)
    left, right = st.columns(2)
    with left:
        first = st.selectbox(
            text("golden_first", language), numbers, index=1, format_func=lambda each: _name(language, runs[each])
        )
    with right:
        second = st.selectbox(
            text("golden_second", language), numbers, index=0, format_func=lambda each: _name(language, runs[each])
        )
    compared = _compared(api, api.whose(), knowledge_base, runs[first]["id"], runs[second]["id"])
    if compared["settings"]:
        st.html(f'<span class="ad-title">{style.escape(text("golden_differing", language))}</span>')
        rows = [[name, _value(before), _value(after)] for name, (before, after) in compared["settings"].items()]
        table(["", _name(language, runs[first]), _name(language, runs[second])], rows)
    _show_figures(language, compared, _name(language, runs[first]), _name(language, runs[second]))
    _show_questions(language, compared["questions"])


@st.cache_data(max_entries=20, show_spinner=False)
def _compared(_api: ApiClient, whose: tuple[str, str | None], knowledge_base: str, first: str, second: str) -> Json:
    """By the ids of runs that are done, which never change; a number is given again when the last run is deleted."""
    return _api.compare_golden_runs(knowledge_base, first, second)


def _show_figures(language: Language, compared: Json, first: str, second: str) -> None:
    changes = {each["figure"]: each for each in compared["figures"]}
    rows = [
        [
            text(label, language),
            f"{changes[figure]['first']:.1%}",
            "" if changes[figure]["second"] is None else f"{changes[figure]['second']:.1%}",
            _difference(changes[figure]),
        ]
        for figure, label in FIGURES.items()
        if figure in changes
    ]
    table([text("golden_figure", language), first, second, text("golden_difference", language)], rows)


def _show_questions(language: Language, questions: list[Json]) -> None:
    if not questions:
        style.note(text("golden_same", language))
        return
    st.html(f'<span class="ad-title">{text("golden_other_outcome", language, number=len(questions))}</span>')
    for each in questions:
        kind: style.Kind = "good" if each["second"] == "passed" else "bad" if each["first"] == "passed" else "warn"
        before, after = (text(OUTCOMES[each[run]], language) for run in ("first", "second"))
        pill = style.pill(f"{before} → {after}", kind)
        st.html(f"{pill} {style.escape(each['question'])}")


def _name(language: Language, run: Json) -> str:
    note = f" · {run['note']}" if run["note"] else ""
    return text("golden_run", language, number=run["number"]) + note


def _difference(change: Json) -> str:
    if change["difference"] is None:
        return ""
    interval = "" if change["low"] is None else f" ({change['low']:+.1%} – {change['high']:+.1%})"
    return f"{change['difference']:+.1%}{interval}"


def _value(value: object) -> str:
    return "" if value is None else str(value)
