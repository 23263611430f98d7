"""The admin's page "Catalogue": the products of a knowledge base from a file, and trying a search and a comparison."""

import streamlit as st

from ui import choices, problems, style
from ui.answer import joined
from ui.client import ApiClient, ApiError, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text

_TOP = 10
_REPLACED = "catalogue_replaced"


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    knowledge_base = choices.choose_knowledge_base(api, language)
    if knowledge_base is None:
        choices.no_knowledge_base(language)
        return
    st.html(
        f'<div class="ad-head">{style.escape(text("catalogue", language))}</div>'
        f'<div class="ad-note">{style.escape(text("catalogue_more", language))}</div>'
    )
    _upload(client, language, knowledge_base["id"])
    found = _catalogue(client, knowledge_base["id"])
    if found is None:
        style.empty(text("no_catalogue", language), text("no_catalogue_more", language))
        return
    count = text("product_count", language, count=found["count"])
    style.note(joined(found["file"], count, found["uploaded_at"][:10]))
    _search(client, language, knowledge_base["id"])
    _compare(client, language, knowledge_base["id"], found["products"])


def _catalogue(client: ServiceClient, knowledge_base: str) -> Json | None:
    """None where there is none yet."""
    try:
        return client.catalogue(knowledge_base)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _upload(client: ServiceClient, language: Language, knowledge_base: str) -> None:
    style.uploader_texts(text("catalogue_drop", language), text("browse", language), text("catalogue_file", language))
    file = st.file_uploader(
        text("catalogue_drop", language),
        type=["csv", "jsonl", "xlsx"],
        key=f"file_{knowledge_base}",
        label_visibility="collapsed",
    )
    if file is not None and st.button(text("catalogue_upload", language), type="primary"):
        with problems.shown(client.api, language):
            st.session_state[_REPLACED] = client.upload_catalogue(knowledge_base, file.name, file.getvalue())
    if made := st.session_state.pop(_REPLACED, None):
        style.notice(text("catalogue_uploaded", language, **made), "good")


def _search(client: ServiceClient, language: Language, knowledge_base: str) -> None:
    query = st.text_input(
        text("catalogue_search", language),
        max_chars=1000,
        icon=":material/search:",
        placeholder=text("catalogue_example", language),
        key=f"products_{knowledge_base}",
    )
    if not query.strip():
        return
    with problems.shown(client.api, language):
        found = client.search_products(knowledge_base, query.strip(), _TOP)
        if found["understood"]:
            words = ", ".join(each["words"] for each in found["understood"])
            style.notice(text("catalogue_understood", language, words=words), "good")
        if found["relaxed"]:
            words = ", ".join(each["words"] for each in found["relaxed"])
            style.notice(text("catalogue_relaxed", language, words=words), "warn")
        if not found["products"]:
            style.empty(text("catalogue_no_products", language))
        for product in found["products"]:
            _product(product)


def _product(product: Json) -> None:
    price = "" if product["price"] is None else f"{product['price']:g} {product['currency']}"
    attributes = ", ".join(f"{name}: {value}" for name, value in product["attributes"].items())
    with st.container(border=True):
        st.html(
            f'<span class="ad-score">{style.escape(price)}</span>'
            f'<div class="ad-title">{style.escape(product["name"])}</div>'
            f'<div class="ad-note">{style.escape(joined(product["sku"], attributes))}</div>'
        )


def _compare(client: ServiceClient, language: Language, knowledge_base: str, products: list[Json]) -> None:
    with st.expander(text("catalogue_compare", language)):
        names = {each["sku"]: each["name"] for each in products}
        first, second = (
            column.selectbox(
                text("catalogue_product", language, number=number),
                list(names),
                index=None,
                format_func=names.__getitem__,
                key=f"compared_{number}",
            )
            for number, column in enumerate(st.columns(2), 1)
        )
        if first is None or second is None:
            return
        with problems.shown(client.api, language):
            found = client.compare_products(knowledge_base, first, second)
            rows = [
                {"": row["attribute"], names[first]: _said(row["a"]), f"{names[second]} ": _said(row["b"])}
                for row in found["rows"]
            ]
            st.dataframe(rows, hide_index=True, width="stretch")


def _said(value: object) -> str:
    return "–" if value is None else str(value)
