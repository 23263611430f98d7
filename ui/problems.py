"""What is shown when the API refuses something or cannot be reached; the page recovers by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ui import style
from ui.client import ApiClient, ApiError
from ui.texts import Language, text

_SECONDS_BETWEEN_TRIES = 2.0


@contextmanager
def shown(api: ApiClient, language: Language) -> Iterator[None]:
    """Shows an `ApiError` of the block in its place. When the API is back, the page is drawn again."""
    try:
        yield
    except ApiError as error:
        if not error.is_unreachable:
            style.notice(str(error), "bad")
            return
        style.hello(text("unreachable", language), text("unreachable_more", language))
        st.fragment(_try_again, run_every=_SECONDS_BETWEEN_TRIES)(api)


def _try_again(api: ApiClient) -> None:
    if api.is_reachable():
        st.rerun()
