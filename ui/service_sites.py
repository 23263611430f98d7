"""The admin's page "Sites": which web sites may show the widget, and the line that they put into their pages."""

import streamlit as st

from ui import choices, problems, style
from ui.client import ApiClient, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text

_ALGORITHMS = ("HS256", "ES256", "EdDSA", "RS256")
_LANGUAGES = {"auto": "site_language_auto", "en": "english", "zh": "chinese"}


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    names = {each["id"]: each["name"] for each in api.knowledge_bases()}
    if not names:
        choices.no_knowledge_base(language)
        return
    st.html(
        f'<div class="ad-head">{style.escape(text("sites", language))}</div>'
        f'<div class="ad-note">{style.escape(text("sites_more", language))}</div>'
    )
    found = client.sites()
    if not found:
        style.empty(text("no_sites", language), text("no_sites_more", language))
    for site in found:
        _site(client, language, site, names)
    _create(client, language, names)


def _create(client: ServiceClient, language: Language, names: dict[str, str]) -> None:
    with (
        st.expander(text("site_create", language), icon=":material/add:"),
        st.form("create_site", border=False, clear_on_submit=True),
    ):
        name = st.text_input(text("name", language), max_chars=100)
        knowledge_base = st.selectbox(text("knowledge_base", language), list(names), format_func=names.__getitem__)
        origins = st.text_area(text("site_origins", language), placeholder="https://shop.example", height=80)
        if st.form_submit_button(text("create", language), type="primary") and name.strip():
            with problems.shown(client.api, language):
                client.create_site(name.strip(), knowledge_base, origins.split())
                st.rerun()


def _site(client: ServiceClient, language: Language, site: Json, names: dict[str, str]) -> None:
    with st.container(border=True, key=f"site_{site['id']}"):
        pill = "" if site["origins"] else style.pill(text("site_closed", language), "warn")
        where = ", ".join(site["origins"]) or text("site_closed_more", language)
        base = names.get(site["knowledge_base"], "")
        st.html(
            f'<div class="ad-title">{style.escape(site["name"])}{pill}</div>'
            f'<div class="ad-note">{style.escape(base)} · {style.escape(where)}</div>'
        )
        style.note(text("site_snippet", language))
        st.code(site["snippet"], language="html", wrap_lines=True)
        with st.expander(text("site_change", language)):
            _edit(client, language, site)
        with st.expander(text("site_identity", language)):
            _identity(client, language, site)
        with st.popover(text("delete", language), icon=":material/delete:", type="tertiary"):
            st.text(text("really_delete", language, name=site["name"]))
            if st.button(text("delete", language), key=f"delete_{site['id']}", type="primary"):
                with problems.shown(client.api, language):
                    client.delete_site(site["id"])
                    st.rerun()


def _edit(client: ServiceClient, language: Language, site: Json) -> None:
    settings = site["settings"]
    with st.form(f"edit_{site['id']}", border=False):
        origins = st.text_area(text("site_origins", language), "\n".join(site["origins"]), height=80)
        title = st.text_input(text("site_title", language), settings["title"], max_chars=80)
        spoken = st.selectbox(
            text("site_language", language),
            list(_LANGUAGES),
            index=list(_LANGUAGES).index(settings["language"]),
            format_func=lambda code: text(_LANGUAGES[code], language),
        )
        greeting = settings["greeting"]
        english = st.text_input(text("site_greeting_en", language), greeting.get("en", ""), max_chars=500)
        chinese = st.text_input(text("site_greeting_zh", language), greeting.get("zh", ""), max_chars=500)
        accent = st.text_input(
            text("site_accent", language), settings["theme"].get("--answerdesk-accent", ""), placeholder="#17635c"
        )
        if st.form_submit_button(text("save", language), type="primary"):
            theme = {**settings["theme"], "--answerdesk-accent": accent.strip()}
            greetings = {"en": english.strip(), "zh": chinese.strip()}
            changed = {
                "title": title.strip(),
                "language": spoken,
                "greeting": {code: each for code, each in greetings.items() if each},
                "theme": {name: value for name, value in theme.items() if value},
            }
            with problems.shown(client.api, language):
                client.change_site(site["id"], {"origins": origins.split(), "settings": changed})
                st.rerun()


def _identity(client: ServiceClient, language: Language, site: Json) -> None:
    known = site["identity"]
    style.note(text("site_identity_more", language))
    if known:
        style.notice(text("site_identity_set", language, algorithm=known["algorithm"]), "good")
    with st.form(f"identity_{site['id']}", border=False, clear_on_submit=True):
        algorithm = st.selectbox(text("site_algorithm", language), _ALGORITHMS)
        key = st.text_area(text("site_key", language), height=100)
        sets = st.form_submit_button(text("save", language))
    if sets and key.strip():
        with problems.shown(client.api, language):
            client.change_site(site["id"], {"identity": {"algorithm": algorithm, "key": key.strip()}})
            st.rerun()
    if known and st.button(text("site_identity_remove", language), key=f"unsign_{site['id']}", type="tertiary"):
        with problems.shown(client.api, language):
            client.change_site(site["id"], {"identity": None})
            st.rerun()
