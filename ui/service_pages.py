"""Which pages of customer service somebody sees: agents their inbox, admins all. Owns their order and addresses."""

from collections.abc import Callable
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from ui import (
    dashboard,
    inbox,
    service_accounts,
    service_catalogue,
    service_faq,
    service_flows,
    service_intents,
    service_sites,
)
from ui.client import ApiClient
from ui.texts import Language, text

_FOR_AGENTS: tuple[tuple[str, ModuleType, str], ...] = (("inbox", inbox, "inbox"),)
_FOR_ADMINS: tuple[tuple[str, ModuleType, str], ...] = (
    ("dashboard", dashboard, "monitoring"),
    ("sites", service_sites, "web"),
    ("intents", service_intents, "alt_route"),
    ("flows", service_flows, "account_tree"),
    ("faq", service_faq, "quiz"),
    ("catalogue", service_catalogue, "inventory_2"),
    ("accounts", service_accounts, "group"),
)


def pages(api: ApiClient, language: Language, role: str) -> list[StreamlitPage]:
    """`role` is customer, agent or admin, as the API says it; it is the API that refuses, this only hides."""
    seen = {"agent": _FOR_AGENTS, "admin": (*_FOR_AGENTS, *_FOR_ADMINS)}.get(role, ())

    def shower(module: ModuleType) -> Callable[[], None]:
        return lambda: module.show(api, language)

    return [
        st.Page(shower(module), title=text(name, language), url_path=name, icon=f":material/{icon}:")
        for name, module, icon in seen
    ]
