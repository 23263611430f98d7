"""The documents of a knowledge base: upload, each one's progress while it is read, its reason when it failed.

Owns the live list. A deletion is only asked for here; the page shows the question (a dialog cannot live in a part
of the page that renews itself).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st

from ui import document_editing, problems, style
from ui.client import ApiClient, ApiError, Json
from ui.languages import name_of
from ui.texts import Language, text

_AT_ONCE = 30
_SECONDS_BETWEEN_LOOKS = 1.0
_ENDED: Final[Mapping[str, style.Kind]] = {
    "ready": "good",
    "ready_with_warnings": "warn",
    "failed": "bad",
    "cancelled": "bad",
    "done": "good",
}
_COUNTED = ("page", "passage")
_DELETION = "deletion_asked"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What somebody wants to delete."""

    kind: Literal["knowledge_base", "document"]
    id: str
    name: str


def ask_deletion(kind: Literal["knowledge_base", "document"], id_: str, name: str) -> None:
    """Has the page ask, in its next run, whether to delete this."""
    st.session_state[_DELETION] = Deletion(kind, id_, name)


def asked_deletion() -> Deletion | None:
    """What is to be asked now, once."""
    asked: Deletion | None = st.session_state.pop(_DELETION, None)
    return asked


def show_upload(api: ApiClient, language: Language, knowledge_base: str) -> None:
    """Files are sent as soon as they are chosen; then the box is empty again and says what became of them."""
    round_ = st.session_state.get("upload_round", 0)
    style.uploader_texts(text("drop", language), text("browse", language), text("upload_label", language))
    files = st.file_uploader(
        text("upload", language), accept_multiple_files=True, key=f"upload_{round_}", label_visibility="collapsed"
    )
    if files:
        st.session_state.upload_round = round_ + 1
        try:
            result = api.upload(knowledge_base, [(file.name, file) for file in files])
            rejected = [(each["name"], each["error"]["message"]) for each in result["rejected"]]
        except ApiError as error:
            if not error.details.get("rejected"):
                raise
            rejected = [(each["name"], each["error"]["message"]) for each in error.details["rejected"]]
        st.session_state.refused = (knowledge_base, rejected)
        st.rerun()
    of, refused = st.session_state.get("refused", (None, []))
    if refused and of == knowledge_base:
        style.notice(text("refused", language), "bad", [_with_name(name, reason) for name, reason in refused])


def show(api: ApiClient, language: Language, knowledge_base: str) -> None:
    """The list. It renews itself while something is being read, and rests when all is done."""
    is_busy = _is_busy(api.documents(knowledge_base, _AT_ONCE))
    every = _SECONDS_BETWEEN_LOOKS if is_busy else None
    st.fragment(_list, run_every=every)(api, language, knowledge_base, is_busy)


def _list(api: ApiClient, language: Language, knowledge_base: str, was_busy: bool) -> None:
    key = f"documents_shown_{knowledge_base}"
    wanted = st.session_state.get(key, _AT_ONCE)
    with problems.shown(api, language):
        listing = api.documents(knowledge_base, min(1000, wanted), language=_chosen_language(knowledge_base))
        _choose_language(language, knowledge_base, listing["languages"])
        if was_busy and not _is_busy(listing):
            st.rerun()  # the counts at the head of the page have changed
        if not listing["documents"] and not listing["jobs"]:
            style.empty(text("no_documents", language), text("no_documents_more", language))
        for job in filter(_holds_several, listing["jobs"]):
            _show_job(api, language, job)
        for document in listing["documents"]:
            _show_document(api, language, document)
        if listing["next_cursor"]:
            left = listing["total"] - len(listing["documents"])
            if st.button(text("more_documents", language, count=left), width="stretch"):
                st.session_state[key] = wanted + 10 * _AT_ONCE
                st.rerun(scope="fragment")


def _chosen_language(knowledge_base: str) -> str | None:
    chosen: str | None = st.session_state.get(f"language_shown_{knowledge_base}")
    return chosen


def _choose_language(language: Language, knowledge_base: str, languages: Json) -> None:
    """Narrows the list to documents of one language, where there are several."""
    chosen = _chosen_language(knowledge_base)
    if len(languages) < 2 and chosen is None:
        return
    st.pills(
        text("document_language", language),
        sorted({*languages, *([] if chosen is None else [chosen])}),
        format_func=lambda code: f"{name_of(code, language)} {languages.get(code, 0):,}",
        key=f"language_shown_{knowledge_base}",
        label_visibility="collapsed",
    )


def _with_name(name: str, reason: str) -> str:
    return reason if name in reason else f"{name}: {reason}"


def _is_busy(listing: Json) -> bool:
    return any(each["status"] not in _ENDED for each in [*listing["documents"], *listing["jobs"]])


def _holds_several(job: Json) -> bool:
    """A source whose documents are its records; any other has its one document in the list."""
    return str(job["source_name"]).lower().endswith((".jsonl", ".zip"))


def _show_job(api: ApiClient, language: Language, job: Json) -> None:
    with st.container(border=True, key=f"source_{job['id']}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(_title(job["source_name"], job["status"], language), width="stretch")
            if job["status"] == "failed" and st.button(
                text("retry", language), key=f"retry_{job['id']}", icon=":material/refresh:"
            ):
                api.retry_job(job["id"])
                st.rerun()
        _show_state(language, job)


def _show_document(api: ApiClient, language: Language, document: Json) -> None:
    with st.container(border=True, key=f"source_{document['id']}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            title = _title(document["title"] or document["external_id"], document["status"], language)
            facts = style.escape(_facts(language, document))
            st.html(f'{title}<div class="ad-note">{facts}</div>', width="stretch")
            if document["status"] in ("failed", "cancelled") and st.button(
                text("retry", language), key=f"retry_{document['id']}", icon=":material/refresh:"
            ):
                api.retry_document(document["id"])
                st.rerun()
            if st.button(
                "",
                key=f"edit_{document['id']}",
                icon=":material/edit:",
                type="tertiary",
                help=text("about_document", language),
            ):
                document_editing.ask(document)
                st.rerun()
            if st.button(
                "",
                key=f"delete_{document['id']}",
                icon=":material/delete:",
                type="tertiary",
                help=text("delete", language),
            ):
                ask_deletion("document", document["id"], document["external_id"])
                st.rerun()
        _show_state(language, document)
        if document["warnings"]:
            with st.expander(text("warnings", language, count=len(document["warnings"]))):
                for warning in document["warnings"]:
                    page = text("page", language, page=warning["page"]) + ": " if warning["page"] else ""
                    st.text(f"{page}{warning['message']}")


def _title(name: str, status: str, language: Language) -> str:
    label = style.pill(text(f"status_{status}", language), _ENDED.get(status, "busy"))
    return f'<span class="ad-title">{style.escape(name)}</span>{label}'


def _facts(language: Language, document: Json) -> str:
    counts = [text(f"{what}_count", language, count=document[f"{what}s"]) for what in _COUNTED if document[f"{what}s"]]
    name = [document["external_id"]] if document["title"] != document["external_id"] else []
    spoken = [name_of(document["language"], language)] if document["version"] else []
    facets = [_facet(document["facets"][each]) for each in document_editing.FACETS if each in document["facets"]]
    return " · ".join([*name, *facets, *spoken, *counts])


def _facet(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _show_state(language: Language, source: Json) -> None:
    """How far it is, or why it failed."""
    if source["message"]:
        style.notice(source["message"], "bad" if source["status"] == "failed" else "warn")
    if source["status"] in _ENDED:
        return
    progress = source["progress"]
    if not progress["total"]:
        style.progress(None, text(f"status_{source['status']}", language))
        return
    key = "windows_done" if progress["stage"] == "embedding" else "pages_done"
    label = text(key, language, done=progress["done"], total=progress["total"])
    if progress["seconds_left"]:
        label += " · " + text("seconds_left", language, seconds=progress["seconds_left"])
    style.progress(progress["done"] / progress["total"], label)
