"""The user interface's entry: `streamlit run ui/app.py -- --api ADDRESS`. Four pages in two languages.

Owns the frame: pages, language, style, and what is shown when the API refuses or cannot be reached. The admin key
comes from the environment, never from the command line, where other users of the machine could read it.
"""

import argparse
import os
import sys
from pathlib import Path

import streamlit as st

from ui import choices, customer_service, document_qa, knowledge_base, problems, quality, style
from ui.client import ApiClient
from ui.texts import text


@st.cache_resource
def _client(address: str, admin_key: str | None) -> ApiClient:
    return ApiClient(address, admin_key)


def _api() -> ApiClient:
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", default="http://127.0.0.1:8080", help="address of the API")
    address: str = parser.parse_args(sys.argv[1:]).api
    return _client(address, os.environ.get("ANSWERDESK_SERVER__ADMIN_KEY") or None)


def main() -> None:
    st.set_page_config("Answerdesk", Path(__file__).with_name("icon.svg"), layout="wide")
    style.apply()
    api, language = _api(), choices.language()
    pages = [
        st.Page(
            lambda: customer_service.show(api, language),
            title=text("customer_service", language),
            url_path="customer-service",
            icon=":material/forum:",
            default=True,
        ),
        st.Page(
            lambda: document_qa.show(api, language),
            title=text("document_qa", language),
            url_path="document-qa",
            icon=":material/menu_book:",
        ),
        st.Page(
            lambda: knowledge_base.show(api, language),
            title=text("knowledge_base", language),
            url_path="knowledge-base",
            icon=":material/library_books:",
        ),
        st.Page(
            lambda: quality.show(api, language),
            title=text("quality", language),
            url_path="quality",
            icon=":material/checklist:",
        ),
    ]
    page = st.navigation(pages)
    choices.choose_language()
    with problems.shown(api, language):
        page.run()


main()
