"""The agents' page: the inbox, a plain-JavaScript component that talks to the API's events itself.

Owns the component's place in the page and its arguments. What it does stands in `ui/inbox_component`.
"""

import os
from pathlib import Path

import streamlit as st
from streamlit.components.v1 import declare_component

from ui.client import ApiClient
from ui.texts import Language

_COMPONENT = declare_component("answerdesk_inbox", path=Path(__file__).with_name("inbox_component"))

_WHOLE_PAGE = """<style>
[data-testid="stMainBlockContainer"] { max-width: none; padding: 1.2rem 1.4rem 0; }
.st-key-inbox iframe { height: calc(100vh - 2.6rem) !important; min-height: 26rem; }
[data-testid="stHeader"] { height: 0; min-height: 0; }
@media (max-width: 900px) {
  [data-testid="stHeader"] { height: 3.6rem; }
  [data-testid="stMainBlockContainer"] { padding: 4.2rem .7rem 0; }
  .st-key-inbox iframe { height: calc(100vh - 5rem) !important; }
}
</style>"""


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    account = api.me()["account"]
    st.html(_WHOLE_PAGE)
    with st.container(key="inbox"):
        _COMPONENT(
            api=_address_for_browsers(api),
            token=api.token or "",
            account={name: account[name] for name in ("id", "name", "groups")} if account else None,
            language=language,
            key="inbox_component",
        )


def _address_for_browsers(api: ApiClient) -> str:
    """Where the agent's browser reaches the API, which need not be where this process does."""
    return os.environ.get("ANSWERDESK_SERVER__PUBLIC_URL") or api.address
