"""Signing in and out: shown as soon as there are accounts; before, everybody who reaches the page is the admin.

Owns where the token lives: in the page's session, and in a cookie of the browser, so that a reload does not ask again.
The cookie is sent to this interface only (SameSite=Strict) and ends with the browser; scripts of this page could read
it, as they could the session.
"""

import json
import os
import re

import streamlit as st

from ui import style
from ui.client import ApiClient, ApiError, Json
from ui.texts import Language, text

_COOKIE = "answerdesk_session"
_TOKEN = "sign_in_token"
_SIGNED_OUT = "signed_out"
_LOCAL = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?")
_PROXIES_SAY = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}


@st.cache_resource(max_entries=500)
def _client(address: str, token: str | None) -> ApiClient:
    return ApiClient(address, token)


def is_for_everybody() -> bool:
    """Whether this page is reached from elsewhere than this machine, and nobody has said that it may be.

    Then it must not make an admin of whoever comes.
    """
    if os.environ.get("ANSWERDESK_UI__EXPOSED", "").strip().lower() in ("1", "true", "t", "yes", "y", "on"):
        return False
    told = {name.lower(): value for name, value in st.context.headers.items()}
    return bool(_PROXIES_SAY & told.keys()) or _LOCAL.fullmatch(told.get("host", "localhost")) is None


def nobody(address: str) -> ApiClient:
    """The API as it is for who has not signed in."""
    return _client(address, None)


def client(address: str) -> tuple[ApiClient, Json]:
    """The API as whoever has signed in may use it, and who that is; with `role` null when nobody has.

    Without accounts it is the admin's, by the key in the environment if there is one. Raises `ApiError`.
    """
    token = st.session_state.get(_TOKEN) or ("" if st.session_state.get(_SIGNED_OUT) else _cookie())
    if token:
        signed_in = _client(address, token)
        try:
            me = signed_in.me()
        except ApiError as error:
            if error.status != 401:
                raise
        else:
            if me["role"] is not None:
                return signed_in, me
        st.session_state.pop(_TOKEN, None)
    unknown = nobody(address)
    me = unknown.me()
    if me["accounts_exist"]:
        return unknown, me
    own = _client(address, os.environ.get("ANSWERDESK_SERVER__ADMIN_KEY") or None)
    return own, own.me()


def ask(api: ApiClient, language: Language) -> None:
    """The form. Draws the page again when somebody has signed in."""
    _, middle, _ = st.columns([1, 1.2, 1])
    with middle:
        style.hello(text("sign_in", language), text("sign_in_more", language))
        with st.form("sign_in"):
            email = st.text_input(text("email", language), autocomplete="username")
            password = st.text_input(text("password", language), type="password", autocomplete="current-password")
            wanted = st.form_submit_button(text("sign_in", language), type="primary", width="stretch")
        if not wanted:
            return
        try:
            signed_in = api.sign_in(email, password, _forwarded_for())
        except ApiError as error:
            if error.is_unreachable:
                raise
            key = "sign_in_wrong" if error.status in (401, 422) else "sign_in_later" if error.status == 429 else None
            style.notice(text(key, language) if key else str(error), "bad")
            return
        st.session_state[_TOKEN] = signed_in["token"]
        st.session_state.pop(_SIGNED_OUT, None)
        st.rerun()


def keep() -> None:
    """Lets the browser remember the token, or forget it, as the session has it."""
    token = st.session_state.get(_TOKEN)
    if token and token != _cookie():
        _set_cookie(token)
    elif st.session_state.get(_SIGNED_OUT) and _cookie():
        _set_cookie("")


def who(api: ApiClient, me: Json, language: Language) -> None:
    """Who is signed in, and the way out, in the side bar."""
    if me["account"] is None:
        return
    with st.sidebar.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        style.note(me["account"]["name"])
        st.button(text("sign_out", language), icon=":material/logout:", type="tertiary", on_click=_leave, args=(api,))


def _leave(api: ApiClient) -> None:
    try:
        api.sign_out()
    except ApiError as error:
        if error.status != 401:  # else it has ended already
            raise
    st.session_state.pop(_TOKEN, None)
    st.session_state[_SIGNED_OUT] = True


def _forwarded_for() -> str:
    """As a proxy would write it: who asks us, after whom they say that they ask for. Empty on this machine."""
    told = [st.context.headers.get("X-Forwarded-For"), st.context.ip_address]
    return ", ".join(each for each in told if each and each.isascii() and each.isprintable())


def _cookie() -> str:
    return str(st.context.cookies.get(_COOKIE) or "")


def _set_cookie(token: str) -> None:
    kept = f"{_COOKIE}={token}; path=/; SameSite=Strict" + ("" if token else "; max-age=0")
    secure = "(location.protocol === 'https:' ? '; Secure' : '')"
    st.html(f"<script>document.cookie = {json.dumps(kept)} + {secure};</script>", unsafe_allow_javascript=True)
