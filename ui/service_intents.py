"""The admin's page "Intents": how customers say what they want, by example, and where a sentence would go."""

import streamlit as st

from ui import choices, problems, style
from ui.client import ApiClient, Json
from ui.service_client import ServiceClient
from ui.texts import Language, text

_HANDLERS = {
    "knowledge": "handler_knowledge",
    "flow": "handler_flow",
    "chat": "handler_chat",
    "hand_off": "handler_hand_off",
    "refusal": "handler_refusal",
}


def show(api: ApiClient, language: Language) -> None:
    """Draws the page. Raises `ApiError`."""
    client = ServiceClient(api)
    knowledge_base = choices.choose_knowledge_base(api, language)
    if knowledge_base is None:
        choices.no_knowledge_base(language)
        return
    st.html(
        f'<div class="ad-head">{style.escape(text("intents", language))}</div>'
        f'<div class="ad-note">{style.escape(text("intents_more", language))}</div>'
    )
    _try(client, language, knowledge_base["id"])
    found = client.intents(knowledge_base["id"])
    if found["built_in"]:
        style.notice(text("intents_built_in", language), "quiet")
    _add(client, language, knowledge_base["id"])
    for intent in found["intents"]:
        _intent(client, language, knowledge_base["id"], intent, can_change=not found["built_in"])


def _try(client: ServiceClient, language: Language, knowledge_base: str) -> None:
    sentence = st.text_input(
        text("intent_try", language), max_chars=4000, icon=":material/alt_route:", key=f"route_{knowledge_base}"
    )
    if not sentence.strip():
        return
    with problems.shown(client.api, language):
        found = client.route(knowledge_base, sentence.strip())
        handler = text(_HANDLERS[found["handler"]], language)
        led = found["flow"] or found["skill_group"] or found["intent"]
        others = [f"{each['intent']} {each['confidence']:.0%}" for each in found["alternatives"]]
        others_said = text("intent_others", language, others=", ".join(others)) if others else ""
        st.html(
            f'<div class="ad-notice ad-good"><b>{style.escape(handler)}</b> '
            f"{style.escape(str(led or ''))} {found['confidence']:.0%}"
            f'<div class="ad-note">{style.escape(others_said)}</div></div>'
        )


def _add(client: ServiceClient, language: Language, knowledge_base: str) -> None:
    with st.container(horizontal=True):
        if st.button(text("intents_import", language), icon=":material/library_add:"):
            with problems.shown(client.api, language):
                client.add_built_in_intents(knowledge_base)
                st.rerun()
    with (
        st.expander(text("intent_add", language), icon=":material/add:"),
        st.form("add_examples", border=False, clear_on_submit=True),
    ):
        name = st.text_input(text("intent_name", language), max_chars=60, placeholder="order_status")
        texts = st.text_area(text("intent_examples", language), height=120)
        if st.form_submit_button(text("intent_add", language), type="primary"):
            with problems.shown(client.api, language):
                client.add_examples(knowledge_base, name.strip(), [line for line in texts.splitlines() if line.strip()])
                st.rerun()


def _intent(client: ServiceClient, language: Language, knowledge_base: str, intent: Json, *, can_change: bool) -> None:
    count = text("intent_example_count", language, count=len(intent["examples"]))
    with st.expander(f"{style.plain(intent['name'])} · {count}"):
        for example in intent["examples"]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(example["text"], width="stretch")
                if can_change and st.button(
                    text("delete", language), key=f"delete_{example['id']}", icon=":material/close:", type="tertiary"
                ):
                    with problems.shown(client.api, language):
                        client.delete_example(knowledge_base, intent["name"], example["id"])
                        st.rerun()
        if can_change and st.button(text("intent_delete", language), key=f"delete_{intent['name']}", type="tertiary"):
            with problems.shown(client.api, language):
                client.delete_intent(knowledge_base, intent["name"])
                st.rerun()
