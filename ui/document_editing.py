"""What an admin says of a document: title, product, version, audience, language, and whether visitors may see it.

Owns the dialog. It is asked for in the list, which renews itself, and shown by the page, which does not.
"""

from typing import Final

import streamlit as st

from ui import problems
from ui.client import ApiClient, Json
from ui.languages import name_of
from ui.texts import Language, text

FACETS: Final = ("product", "version", "audience")
"""The facets that have a field of their own; others are shown, and set over the API."""

_ASKED = "editing_asked"
_CHOICES: Final = ("", "en", "zh", "zh-Hant", "de", "fr", "es", "it", "pt", "nl", "ja", "ko", "ru")


def ask(document: Json) -> None:
    """Has the page show the dialog in its next run."""
    st.session_state[_ASKED] = document


def show_asked(api: ApiClient, language: Language) -> None:
    """The dialog, once, when it was asked for."""
    document: Json | None = st.session_state.pop(_ASKED, None)
    if document is None:
        return

    @st.dialog(text("about_document", language))
    def _edit() -> None:
        with st.form("about_document", border=False):
            title = st.text_input(text("title", language), document["title"], max_chars=1000)
            facets = {name: st.text_input(text(name, language), _value(document, name)) for name in FACETS}
            codes = [*_CHOICES, *({document["language"]} - {*_CHOICES})]
            spoken = st.selectbox(
                text("document_language", language),
                codes,
                index=codes.index(document["language"]),
                format_func=lambda code: name_of(code, language),
            )
            is_public = st.toggle(
                text("is_public", language), document["is_public"], help=text("is_public_help", language)
            )
            if st.form_submit_button(text("save", language), type="primary"):
                with problems.shown(api, language):
                    if change := _change(document, title.strip(), facets, spoken, is_public):
                        api.change_document(document["id"], change)
                    st.rerun()

    _edit()


def _value(document: Json, facet: str) -> str:
    """A facet as text; several values with commas between them."""
    value = document["facets"].get(facet, "")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _change(document: Json, title: str, facets: dict[str, str], spoken: str, is_public: bool) -> Json:
    """What differs from the document as it was shown."""
    changed = {name: value.strip() or None for name, value in facets.items() if value.strip() != _value(document, name)}
    return {
        **({"title": title} if title and title != document["title"] else {}),
        **({"language": spoken or None} if spoken != document["language"] else {}),
        **({"is_public": is_public} if is_public != document["is_public"] else {}),
        **({"facets": changed} if changed else {}),
    }
