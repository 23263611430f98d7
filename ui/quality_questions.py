"""Golden questions: upload, download, the list, and the form for one.

Owns the form, which candidates use too. It is asked for in the list and shown by the page.
"""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

import streamlit as st

from ui import choices, problems, style
from ui.client import ApiClient, ApiError, Json
from ui.texts import Language, text

NOT_ANSWERABLE = "not answerable"

_AT_ONCE = 30
_ASKED = "golden_asked"
_NEW: Json = {"id": None, "question": "", "history": [], "filter": {}, "expected": {}}


def show(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """Upload and list."""
    id_ = knowledge_base["id"]
    _show_upload(api, language, id_)
    key = f"golden_shown_{id_}"
    listing = api.golden_questions(id_, min(1000, st.session_state.get(key, _AT_ONCE)))
    with st.container(horizontal=True):
        if st.button(text("golden_add", language), icon=":material/add:"):
            st.session_state[_ASKED] = _NEW
        if listing["total"]:
            name = f"{knowledge_base['name']}.golden.jsonl"
            label = text("golden_download", language)
            st.download_button(label, lambda: api.golden_file(id_), name, icon=":material/download:", on_click="ignore")
    if not listing["questions"]:
        style.empty(text("no_golden_questions", language), text("no_golden_questions_more", language))
    for question in listing["questions"]:
        _show_one(api, language, id_, question)
    if listing["next_cursor"] and st.button(text("more", language), width="stretch", key="more_golden"):
        st.session_state[key] = len(listing["questions"]) + 4 * _AT_ONCE
        st.rerun()


def show_asked(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """The form in a dialog, once, when it was asked for."""
    question: Json | None = st.session_state.pop(_ASKED, None)
    if question is None:
        return

    @st.dialog(text("golden_edit" if question["id"] else "golden_add", language))
    def _edit() -> None:
        with st.form("golden", border=False):
            asked = st.text_area(text("golden_question", language), question["question"], max_chars=10_000)
            turns = "\n".join(_in_one_line(turn["text"]) for turn in question["history"] if _is_asked(turn))
            history = st.text_area(text("golden_history", language), turns)
            expected = ExpectedFields(api, language, knowledge_base, question["expected"], "dialog")
            if st.form_submit_button(text("save", language), type="primary"):
                with problems.shown(api, language):
                    new = {
                        "question": asked,
                        "history": history_with(question["history"], history.splitlines()),
                        "filter": question["filter"],
                        "expected": expected.value(),
                    }
                    api.save_golden(knowledge_base["id"], new, question["id"])
                    st.rerun()

    _edit()


def history_with(history: Sequence[Json], lines: Sequence[str]) -> list[Json]:
    """Turns in which the customer asks what `lines` say; empty ones say nothing.

    What was answered to a question stays behind it, also where its words were changed, and goes when it goes.
    """
    opening: list[Json] = []
    asked: list[list[Json]] = []  # each with its answers
    for turn in history:
        if _is_asked(turn):
            asked.append([turn])
        else:
            (asked[-1] if asked else opening).append(turn)
    before = [_in_one_line(question["text"]) for question, *_ in asked]
    after = [line for line in map(_in_one_line, lines) if line]
    kept = opening
    for change, start, end, new_start, new_end in SequenceMatcher(None, before, after, False).get_opcodes():
        for turns, line in zip_longest(asked[start:end], after[new_start:new_end]):
            if line is not None:
                question, *answers = turns or [{"role": "customer"}]
                kept += [question if change == "equal" else {**question, "text": line}, *answers]
    return kept


class ExpectedFields:
    """The fields for a right answer, within a form."""

    def __init__(self, api: ApiClient, language: Language, knowledge_base: Json, expected: object, key: str) -> None:
        known: Mapping[str, object] = expected if isinstance(expected, dict) else {}
        documents = choices.documents_that_answer(api, knowledge_base["id"], knowledge_base["change"])
        names = ["", *(each["external_id"] for each in documents)]
        document = _first(known.get("document"))
        page, answer = _first(known.get("page")), _first(known.get("answer"))
        self._known = known
        self._silent = st.checkbox(
            text("golden_is_silent", language), expected == NOT_ANSWERABLE, key=f"expected_silence_{key}"
        )
        self._document = st.selectbox(
            text("golden_document", language),
            names if document in names else [*names, document],
            index=names.index(document) if document in names else len(names),
            key=f"expected_document_{key}",
        )
        self._page = st.number_input(
            text("golden_page", language), 0, 100_000, int(page or 0), step=1, key=f"expected_page_{key}"
        )
        self._answer = st.text_area(text("golden_answer", language), answer, key=f"expected_answer_{key}")

    def value(self) -> object:
        """What the fields say, as the API takes it."""
        if self._silent:
            return NOT_ANSWERABLE
        shown: dict[str, object] = {
            **({"document": self._document} if self._document else {}),
            **({"page": self._page} if self._page else {}),
            **({"answer": self._answer.strip()} if self._answer.strip() else {}),
        }
        # What the form cannot show, lists of several, stays unless its first value was changed.
        return {
            name: known if _first(known := self._known.get(name)) == str(value) else value
            for name, value in shown.items()
        }


def told(language: Language, expected: object) -> str:
    """A right answer in one line."""
    if not isinstance(expected, dict):
        return text("golden_expects_silence", language)
    pages = _all(expected.get("page"))
    parts = (
        _all(expected.get("document")),
        text("page", language, page=pages) if pages else "",
        _all(expected.get("answer")),
    )
    return " · ".join(part for part in parts if part)


def _show_upload(api: ApiClient, language: Language, knowledge_base: str) -> None:
    round_ = st.session_state.get("golden_round", 0)
    style.uploader_texts(text("golden_drop", language), text("browse", language), text("golden_format", language))
    file = st.file_uploader(
        text("upload", language), type=["jsonl"], key=f"golden_{round_}", label_visibility="collapsed"
    )
    if file is not None:
        st.session_state.golden_round = round_ + 1
        try:
            done = api.upload_golden(knowledge_base, file.getvalue())
            said = ("good", text("golden_uploaded", language, **done))
        except ApiError as error:
            if error.is_unreachable:
                raise
            said = ("bad", str(error))
        st.session_state.golden_said = (knowledge_base, said)
        st.rerun()
    of, said = st.session_state.get("golden_said", (None, None))
    if said and of == knowledge_base:
        style.notice(said[1], said[0])


def _show_one(api: ApiClient, language: Language, knowledge_base: str, question: Json) -> None:
    after = " / ".join(turn["text"] for turn in question["history"] if _is_asked(turn))
    note = told(language, question["expected"])
    if after:
        note = f"{text('golden_after', language, turns=after)} · {note}"
    with st.container(border=True, key=f"golden_question_{question['id']}", horizontal=True):
        title = style.escape(question["question"])
        st.html(
            f'<span class="ad-title">{title}</span><div class="ad-note">{style.escape(note)}</div>', width="stretch"
        )
        if st.button("", icon=":material/edit:", key=f"edit_{question['id']}", help=text("golden_edit", language)):
            st.session_state[_ASKED] = question
        if st.button("", icon=":material/delete:", key=f"delete_{question['id']}", help=text("delete", language)):
            api.delete_golden(knowledge_base, question["id"])
            st.rerun()


def _is_asked(turn: Json) -> bool:
    return turn["role"] == "customer" and bool(turn["text"].strip())


def _in_one_line(said: str) -> str:
    return " ".join(said.split())


def _first(value: object) -> str:
    values = value if isinstance(value, list) else [value]
    return "" if not values or values[0] is None else str(values[0])


def _all(value: object) -> str:
    values = value if isinstance(value, list) else [value]
    return ", ".join(str(each) for each in values if each is not None)
