"""Questions, answers and sources as they are drawn, and the click that opens a source.

Owns how a message looks on both pages that answer, and the picture of a cited page. Knows the API's shapes.
"""

from collections.abc import Iterator

import streamlit as st

from ui import style
from ui.client import ApiClient, ApiError, Json
from ui.texts import Language, text

_IN_DOUBT = ("uncertain", "not_in_manuals")

_LISTENER = st.components.v2.component(
    "answerdesk_opened",
    js="""
    export default function ({ setTriggerValue }) {
      document.documentElement.onclick = (event) => {
        const opens = event.target.closest?.("[data-open]");
        if (!opens) return;
        setTriggerValue("opened", opens.dataset.open);
        document.querySelector(".st-key-cited_page")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
      };
    }
    """,
)


def opened() -> str | None:
    """The id of the citation that was clicked just now, anywhere on the page. Once a page."""
    with st.container(key="listener", height=1, border=False):
        clicked: str | None = _LISTENER(key="opened", on_opened_change=lambda: None).opened
    return clicked


def ask_box(page: str, label: str) -> None:
    """Where questions are written. `asked` gives what was sent."""
    box = f"{page}_box"

    def keep() -> None:
        st.session_state[f"{page}_asked"] = st.session_state[box]

    st.chat_input(label, max_chars=4000, key=box, on_submit=keep)


def asked(page: str) -> str | None:
    """What was sent, once. It is kept until then, also through runs that end early because the API is away."""
    text_: str = st.session_state.pop(f"{page}_asked", None) or ""
    return text_.strip() or None


def say_who_writes(api: ApiClient, language: Language, knowledge_base: Json) -> None:
    """A notice above the conversation when a model for demonstrations writes this knowledge base's answers."""
    answers = _answers(api)
    answerer = knowledge_base["settings"].get("answerer") or answers["answerer"]
    if answerer == "generative" and answers["demonstration"]:
        style.notice(text("demonstration", language, model=answers["model"]), "quiet")


def show_growing(texts: Iterator[str], language: Language) -> None:
    """Draws an answer while it arrives; afterwards its place is empty."""
    place = st.empty()
    place.html(f'<div class="ad-searching">{style.escape(text("searching", language))}</div>')
    for so_far in texts:
        if so_far:
            place.html(style.answer_html(so_far, style.AnswerStyle(growing=True)))


def show_answer(message: Json, language: Language) -> None:
    """A finished answer without its sources; why it is not finished, if it is not."""
    opens = {citation["marker"]: citation["id"] for citation in message["citations"]}
    if message["text"]:
        look = style.AnswerStyle(
            opens, doubt=message["kind"] in _IN_DOUBT, is_written=message["answerer"] == "generative"
        )
        st.html(style.answer_html(message["text"], look))
    if message.get("fallback"):
        style.notice(text("fallback", language), "quiet")
    if message["status"] == "stopped":
        style.notice(text("stopped", language), "warn")
    if message["status"] == "failed":
        reason = message.get("error") or {"message": text("failed", language)}
        style.notice(reason["message"], "bad")


def show_choices(page: str, message: Json) -> None:
    """A button for each product that a question back offers; `asked` gives the label of the one that was clicked."""

    def choose(label: str) -> None:
        st.session_state[f"{page}_asked"] = label

    if message["choices"]:
        with st.container(horizontal=True, key=f"{page}_choices"):
            for number, choice in enumerate(message["choices"]):
                key = f"choice_{message['id']}_{number}"
                st.button(style.plain(choice["label"]), key=key, on_click=choose, args=(choice["label"],))


def about(message: Json, language: Language) -> str:
    """Which products an answer is about; empty when none was understood."""
    understood = message["understood"]
    if not understood or not understood["products"]:
        return ""
    return text(
        "about",
        language,
        products="、".join(understood["products"]) if language == "zh" else ", ".join(understood["products"]),
    )


def made_by(message: Json, language: Language) -> str:
    """Which answerer and, where the API tells, which model made an answer; empty for small talk."""
    if message["kind"] == "chat":
        return ""
    if message["answerer"] == "generative":
        model = message["model"] or text("made_by_some_model", language)  # customers are not told which
        return text("made_by_generative", language, model=model)
    return text("made_by_extractive", language)


def section(citation: Json) -> str:
    """What a cited place is called: its section, else its document."""
    headings = [each for each in citation["heading_path"] if " | " not in each]  # such are names of a table's columns
    return str(headings[-1] if headings else citation["title"])


def pages(place: Json) -> list[int]:
    """The pages that a citation or a hit is on; none for documents without pages."""
    return sorted({span["page"] for span in place["spans"] if span["page"] is not None})


def page_text(place: Json, language: Language) -> str:
    """The page or pages of a citation or a hit, for people; empty for documents without pages."""
    found = pages(place)
    if not found:
        return ""
    numbers = "–".join(str(page) for page in dict.fromkeys((found[0], found[-1])))
    label = place.get("page_label")
    if label and label != str(found[0]):
        return text("printed_page", language, label=label, page=numbers)
    return text("page", language, page=numbers)


def joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def steps(citations: list[Json], shown: str, key: str, language: Language) -> Json:
    """Buttons to the neighbours of a citation and what it is; returns the citation to be shown.

    The choice is kept in the session under `key`.
    """
    at = next((number for number, each in enumerate(citations) if each["id"] == shown), 0)

    def go(to: int) -> None:
        st.session_state[key] = citations[to]["id"]

    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}_steps"):
        st.button(
            text("previous", language),
            icon=":material/chevron_left:",
            disabled=at == 0,
            on_click=go,
            args=(at - 1,),
            key=f"{key}_previous",
        )
        label = text("source", language, marker=citations[at]["marker"], count=len(citations))
        where = joined(label, page_text(citations[at], language))
        st.html(
            f'<div class="ad-where"><b>{style.escape(section(citations[at]))}</b>'
            f'<span class="ad-note">{style.escape(where)}</span></div>',
            width="stretch",
        )
        st.button(
            text("next", language),
            icon=":material/chevron_right:",
            disabled=at == len(citations) - 1,
            on_click=go,
            args=(at + 1,),
            key=f"{key}_next",
        )
    return citations[at]


def page_picture(api: ApiClient, citation: Json) -> None:
    """The page or pages as cited, the sentence highlighted; when they are gone, why, and the quote."""
    with st.container(key="page_picture"):
        try:
            numbers: list[int | None] = [*pages(citation)]
            for page in numbers or [None]:
                st.image(_picture(api, api.whose(), citation["id"], page), width="stretch", output_format="PNG")
        except ApiError as error:
            if error.is_unreachable:
                raise
            style.notice(str(error), "warn")
            st.html(f'<div class="ad-quote">{style.escape(citation["quote"].strip())}</div>')


@st.cache_data(max_entries=1, ttl=30, show_spinner=False)
def _answers(_api: ApiClient) -> Json:
    return _api.answers()


@st.cache_data(max_entries=100, ttl=600, show_spinner=False)
def _picture(_api: ApiClient, whose: tuple[str, str | None], citation: str, page: int | None) -> bytes:
    return _api.citation_image(citation, page)
