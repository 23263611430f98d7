"""The admin's page "Accounts": who signs in, as what, and for which skill groups."""

import streamlit as st

from ui import problems, style
from ui.client import ApiClient, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text

_ROLES = {"agent": "role_agent", "admin": "role_admin", "customer": "role_customer"}


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    st.html(
        f'<div class="ad-head">{style.escape(text("accounts", language))}</div>'
        f'<div class="ad-note">{style.escape(text("accounts_more", language))}</div>'
    )
    found = client.accounts()
    if not found:
        style.empty(text("no_accounts", language), text("no_accounts_more", language))
    for account in found:
        _account(client, language, account)
    _create(client, language)


def _create(client: ServiceClient, language: Language) -> None:
    with (
        st.expander(text("account_create", language), icon=":material/person_add:"),
        st.form("create_account", border=False),
    ):
        email = st.text_input(text("account_email", language), max_chars=254)
        name = st.text_input(text("name", language), max_chars=100)
        role = st.selectbox(
            text("account_role", language), list(_ROLES), format_func=lambda each: text(_ROLES[each], language)
        )
        groups = st.text_input(text("account_groups", language), placeholder="general, returns")
        password = st.text_input(text("account_password", language), type="password", max_chars=200)
        if st.form_submit_button(text("create", language), type="primary"):
            new = {
                "email": email.strip(),
                "name": name.strip(),
                "role": role,
                "groups": _groups(groups),
                "password": password,
            }
            with problems.shown(client.api, language):
                client.create_account(new)
                st.rerun()


def _account(client: ServiceClient, language: Language, account: Json) -> None:
    is_disabled = account["disabled"]
    pill = style.pill(text("account_disabled", language), "quiet") if is_disabled else ""
    role = text(_ROLES[account["role"]], language)
    groups = ", ".join(account["groups"]) or text("account_every_group", language)
    with st.container(border=True, key=f"account_{account['id']}"):
        st.html(
            f'<div class="ad-title">{style.escape(account["name"])}{style.pill(role, "busy")}{pill}</div>'
            f'<div class="ad-note">{style.escape(account["email"])} · {style.escape(groups)}</div>'
        )
        with st.expander(text("account_change", language)):
            _edit(client, language, account, is_disabled=is_disabled)


def _edit(client: ServiceClient, language: Language, account: Json, *, is_disabled: bool) -> None:
    with st.form(f"account_form_{account['id']}", border=False):
        name = st.text_input(text("name", language), account["name"], max_chars=100)
        groups = st.text_input(text("account_groups", language), ", ".join(account["groups"]))
        password = st.text_input(text("account_new_password", language), type="password", max_chars=200)
        disabled = st.toggle(text("account_disable", language), is_disabled)
        if st.form_submit_button(text("save", language), type="primary"):
            change: Json = {"name": name.strip(), "groups": _groups(groups), "disabled": disabled}
            if password:
                change["password"] = password
            with problems.shown(client.api, language):
                client.change_account(account["id"], change)
                st.rerun()


def _groups(written: str) -> list[str]:
    return [each.strip() for each in written.split(",") if each.strip()]
