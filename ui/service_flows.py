"""The admin's page "Flows": the flow files, what is wrong with them, their versions; checking and writing one."""

import streamlit as st

from ui import problems, style
from ui.client import ApiClient, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    found = client.flows()
    st.html(
        f'<div class="ad-head">{style.escape(text("flows", language))}</div>'
        f'<div class="ad-note">{style.escape(text("flows_more", language, folder=found["folder"]))}</div>'
    )
    if not found["flows"]:
        style.empty(text("no_flows", language), text("no_flows_more", language))
    for flow in found["flows"]:
        _flow(client, language, flow)
    with st.expander(text("flow_new", language), icon=":material/add:"):
        name = st.text_input(text("flow_name", language), max_chars=60, placeholder="order_status")
        _editor(client, language, name.strip(), "", "new")


def _flow(client: ServiceClient, language: Language, flow: Json) -> None:
    is_broken = bool(flow["problems"])
    pill = style.pill(text("flow_broken" if is_broken else "flow_ready", language), "bad" if is_broken else "good")
    title = flow["title"].get(language) or flow["title"].get("en") or ""
    with st.container(border=True, key=f"flow_{flow['name']}"):
        st.html(
            f'<div class="ad-title">{style.escape(flow["name"])}{pill}</div>'
            f'<div class="ad-note">{style.escape(title)} · {style.escape(" → ".join(flow["steps"]))}</div>'
        )
        _problems(flow["problems"])
        if not st.toggle(text("flow_open", language), key=f"open_{flow['name']}"):
            return
        with problems.shown(client.api, language):
            opened = client.flow(flow["name"])
            _editor(client, language, flow["name"], opened["source"], flow["name"])
            versions = [f"{each['digest'][:12]}  {each['created_at'][:16]}" for each in opened["versions"]]
            style.notice(text("flow_version_count", language, count=len(versions)), "quiet", versions)
            with st.popover(text("delete", language), icon=":material/delete:", type="tertiary"):
                st.text(text("really_delete", language, name=flow["name"]))
                if st.button(text("delete", language), key=f"delete_{flow['name']}", type="primary"):
                    client.delete_flow(flow["name"])
                    st.rerun()


def _editor(client: ServiceClient, language: Language, name: str, source: str, key: str) -> None:
    with st.form(f"source_{key}", border=False):
        written = st.text_area(text("flow_source", language), source, height=420)
        with st.container(horizontal=True):
            checks = st.form_submit_button(text("flow_check", language), icon=":material/fact_check:")
            saves = st.form_submit_button(text("save", language), type="primary")
    with problems.shown(client.api, language):
        if checks or saves:
            found = client.check_flow(written)
            _problems(found)
            if not found and checks:
                style.notice(text("flow_good", language), "good")
            if not found and saves and name:
                client.save_flow(name, written)
                st.rerun()


def _problems(found: list[Json]) -> None:
    for each in found:
        style.notice(f"{each['file']}:{each['line']}  {each['place']}  {each['reason']}", "bad")
