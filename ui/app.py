"""The user interface's entry: `streamlit run ui/app.py -- --api ADDRESS`. Pages in two languages, by role.

Owns the frame: pages, language, style, who has signed in, and what is shown when the API refuses or cannot be reached.
The admin key comes from the environment, never from the command line, where other users of the machine could read it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from ui import (
    choices,
    customer_service,
    document_qa,
    knowledge_base,
    problems,
    quality,
    service_pages,
    sign_in,
    style,
)
from ui.client import ApiClient
from ui.texts import Language, text


def _address() -> str:
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", default="http://127.0.0.1:8080", help="address of the API")
    address: str = parser.parse_args(sys.argv[1:]).api
    return address


def main() -> None:
    st.set_page_config("Answerdesk", Path(__file__).with_name("icon.svg"), layout="wide")
    style.apply()
    language = choices.language()
    with problems.shown(sign_in.nobody(_address()), language):
        api, me = sign_in.client(_address())
        sign_in.keep()
        if me["role"] is None:
            st.navigation(_pages_to_sign_in(api, language), position="hidden").run()
            choices.choose_language()
            return
        if me["account"] is None and sign_in.is_for_everybody():
            style.hello(text("sign_in", language), text("sign_in_nobody", language))
            return
        page = st.navigation(_pages(api, language, me["role"]))
        choices.choose_language()
        sign_in.who(api, me, language)
        with problems.shown(api, language):
            page.run()


def _pages(api: ApiClient, language: Language, role: str) -> dict[str, list[StreamlitPage]]:
    """Everybody asks; agents answer too; admins see to the rest. It is the API that refuses, this only hides."""

    def page(
        show: Callable[[ApiClient, Language], None], name: str, icon: str, *, is_first: bool = False
    ) -> StreamlitPage:
        return st.Page(
            lambda: show(api, language),
            title=text(name, language),
            url_path=name.replace("_", "-"),
            icon=f":material/{icon}:",
            default=is_first,
        )

    pages = [
        page(customer_service.show, "customer_service", "forum", is_first=True),
        page(document_qa.show, "document_qa", "menu_book"),
    ]
    if role == "admin":
        pages += [
            page(knowledge_base.show, "knowledge_base", "library_books"),
            page(quality.show, "quality", "checklist"),
        ]
    service = service_pages.pages(api, language, role)
    return {"": pages, **({text("service_desk", language): service} if service else {})}


def _pages_to_sign_in(api: ApiClient, language: Language) -> list[StreamlitPage]:
    """Asks who it is at every page's address, so that a link leads there once that is known."""
    known = [page for section in _pages(api, language, "admin").values() for page in section]
    return [
        st.Page(
            lambda: sign_in.ask(api, language),
            title=text("sign_in", language),
            url_path=page.url_path,
            default=number == 0,
        )
        for number, page in enumerate(known)
    ]


main()
