"""What is wrong with a knowledge base's documents, and the filters against it.

Owns the section: languages, the three switches with what each would change, and what was found. Looks only when asked
to, because the first look after a change reads every page.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import problems, style
from ui.client import ApiClient, Json
from ui.languages import name_of
from ui.texts import Language, text

_SECONDS_BETWEEN_LOOKS = 1.0
_AT_ONCE = 20
_PLACES = 6
_FILTERS: Final = {
    "unreadable": ("filter_unreadable", "filter_unreadable_more"),
    "duplicate": ("filter_duplicate", "filter_duplicate_more"),
    "boilerplate": ("filter_boilerplate", "filter_boilerplate_more"),
}


def show(api: ApiClient, language: Language, knowledge_base: str) -> None:
    """The section. While filters are being applied it renews itself."""
    opened = f"quality_opened_{knowledge_base}"
    if not st.session_state.get(opened):
        style.note(text("quality_more", language))
        if st.button(text("look_at_documents", language), icon=":material/troubleshoot:"):
            st.session_state[opened] = True
            st.rerun()
        return
    with st.spinner(text("looking_at_documents", language)):
        report = api.document_report(knowledge_base)
    every = None if report["applied"] else _SECONDS_BETWEEN_LOOKS
    st.fragment(_section, run_every=every)(api, language, knowledge_base, [report], report["applied"])


def _section(api: ApiClient, language: Language, knowledge_base: str, first: list[Json], was_applied: bool) -> None:
    """`first` holds what has just been asked for; whenever the section renews itself it asks again."""
    with problems.shown(api, language):
        report = first.pop() if first else api.document_report(knowledge_base)
        if report["applied"] != was_applied:
            st.rerun()  # so that the section begins or ends to renew itself
        _show_languages(language, report)
        if report["message"]:
            style.notice(report["message"], "bad")
        elif not report["applied"]:
            style.notice(text("filters_being_applied", language), "busy")
        for filter_ in report["filters"]:
            _show_filter(api, language, report, filter_)
        _show_duplicates(language, report)
        _show_boilerplate(language, report)
        _show_unreadable(language, report)


def _show_languages(language: Language, report: Json) -> None:
    pills = (
        style.pill(f"{name_of(each['language'], language)} {each['documents']:,}", "quiet")
        for each in report["languages"]
    )
    st.html(f'<span class="ad-note">{style.escape(text("languages", language))}</span>{"".join(pills)}')


def _show_filter(api: ApiClient, language: Language, report: Json, filter_: Json) -> None:
    """The switch, what it does in numbers, and three of the passages that it is about."""
    label, more = _FILTERS[filter_["name"]]
    key = f"filter_{filter_['name']}_{report['knowledge_base']}"

    def turn() -> None:
        with problems.shown(api, language):
            api.change_settings(report["knowledge_base"], {filter_["setting"]: bool(st.session_state[key])})

    st.session_state[key] = filter_["on"]
    with st.container(border=True, key=f"quality_{filter_['name']}"):
        st.toggle(text(label, language), key=key, on_change=turn)
        findable = report["passages"] - sum(each["excluded"] for each in report["filters"])
        effect = "filter_is_on" if filter_["on"] else "filter_would"
        numbers = {"passages": filter_["passages"], "count": filter_["documents"], "excluded": filter_["excluded"]}
        style.note(text(more, language))
        style.note(text(effect, language, **numbers, findable=findable, all=report["passages"]))
        if filter_["examples"]:
            with st.expander(text("examples", language)):
                for example in filter_["examples"]:
                    _quote(_where(language, example), example["text"])


def _show_duplicates(language: Language, report: Json) -> None:
    with _found(language, "alike_documents", report["duplicate_groups"]):
        for group in report["duplicates"][:_AT_ONCE]:
            first, *others = group["documents"]
            kind = "siblings" if group["kind"] == "siblings" else "duplicates"
            names = [f"{each['external_id']} ({each['share']:.0%})" for each in others]
            left = group["count"] - 1 - len(others)
            names += [text("and_more", language, number=left)] if left else []
            style.notice(f"{text(kind, language)}: {first['external_id']}", "quiet", names)
        _more(language, len(report["duplicates"][:_AT_ONCE]), report["duplicate_groups"])


def _show_boilerplate(language: Language, report: Json) -> None:
    with _found(language, "recurring_texts", report["boilerplate_texts"]):
        for each in report["boilerplate"][:_AT_ONCE]:
            times = text("times", language, times=each["count"], count=each["documents"])
            _quote(times, each["text"])
            style.note(" · ".join(_where(language, place) for place in each["places"][:_PLACES]))
        _more(language, len(report["boilerplate"][:_AT_ONCE]), report["boilerplate_texts"])


def _show_unreadable(language: Language, report: Json) -> None:
    with _found(language, "unreadable_documents", report["unreadable_documents"]):
        for each in report["unreadable"][:_AT_ONCE]:
            passages = text("passage_count", language, count=each["passages"])
            pages = text("page", language, page=_ranges(each["pages"])) if each["pages"] else ""
            style.note(" · ".join(part for part in (each["external_id"], passages, pages) if part))
        _more(language, len(report["unreadable"][:_AT_ONCE]), report["unreadable_documents"])


def _found(language: Language, what: str, number: int) -> DeltaGenerator:
    return st.expander(text(what, language, number=number), expanded=False)


def _more(language: Language, shown: int, number: int) -> None:
    if number > shown:
        style.note(text("and_more", language, number=number - shown))
    elif not number:
        style.note(text("nothing_found", language))


def _where(language: Language, place: Json) -> str:
    page = text("page", language, page=place["page"]) if place["page"] else ""
    return " ".join(part for part in (place["external_id"], page) if part)


def _quote(head: str, quoted: str) -> None:
    st.html(
        f'<div class="ad-note">{style.escape(head)}</div><div class="ad-quote">{style.escape(quoted.strip())}</div>'
    )


def _ranges(pages: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1–3, 7"; of many the first."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs]
    return ", ".join(texts[:_AT_ONCE]) + ("…" if len(texts) > _AT_ONCE else "")
