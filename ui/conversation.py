"""The conversation of a page: what has been said, and the question that is being answered.

Owns which conversation a page is in (session and address) and that a question is asked exactly once: it stays in
the session, under one client message id, until its answer is complete, whatever interrupts the run. Draws nothing.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import streamlit as st

from ui.choices import to_address
from ui.client import ApiClient, ApiError, Json

_BEING_MADE = ("received", "answering")


@dataclass(frozen=True, slots=True)
class Question:
    """A question on its way."""

    text: str
    client_message_id: str
    filter: Mapping[str, object] = field(default_factory=dict)


class Conversation:
    """One page's conversation about one knowledge base. It begins with the first question."""

    def __init__(self, api: ApiClient, page: str, knowledge_base: Json) -> None:
        self._api = api
        self._knowledge_base: str = knowledge_base["id"]
        self._id_key = f"{page}_conversation_{self._knowledge_base}"
        self._question_key = f"{page}_question_{self._knowledge_base}"
        if self._id_key not in st.session_state:
            st.session_state[self._id_key] = st.query_params.get("conversation")
        self.messages = self._read()
        to_address("conversation", self._id)

    @property
    def question(self) -> Question | None:
        """The question that has no complete answer yet: asked here, or found in a conversation that was reopened."""
        asked: Question | None = st.session_state.get(self._question_key)
        return asked or next(map(self.question_of, filter(_is_being_made, self.messages[-1:])), None)

    def ask(self, text: str, filter: Mapping[str, object] | None = None) -> None:
        st.session_state[self._question_key] = Question(text, str(uuid.uuid4()), filter or {})

    def ask_again(self, answer: Json) -> None:
        """Takes up an answer that was interrupted, under its own id."""
        st.session_state[self._question_key] = self.question_of(answer)

    def question_of(self, message: Json) -> Question:
        """The question that a message asks or answers."""
        id_ = message["client_message_id"]
        asked = next(each for each in self.messages if each["role"] == "customer" and each["client_message_id"] == id_)
        return Question(asked["text"], id_)

    def answer(self, question: Question) -> Iterator[str]:
        """The answer's text so far, each time that it has grown. Afterwards the question is no longer open.

        Raises `ApiError`; when the API cannot be reached the question stays open and is asked again later.
        """
        try:
            if self._id is None:
                st.session_state[self._id_key] = self._api.create_conversation(self._knowledge_base)["id"]
                to_address("conversation", self._id)
            yield from self._answer(question)
        except ApiError as error:
            if not error.is_unreachable:
                self._close()
            raise
        self._close()

    def forget(self) -> None:
        """The next question begins a new conversation."""
        st.session_state[self._id_key] = None
        self._close()

    def _answer(self, question: Question) -> Iterator[str]:
        so_far = ""
        for event in self._api.ask(self._id or "", question.text, question.client_message_id, question.filter):
            if event.name == "token":
                so_far += event.data["text"]
            elif event.name in ("message", "done") and event.data["role"] == "assistant":
                so_far = event.data["text"]
            elif event.name == "error":
                raise ApiError(event.data["error"]["message"], event.data["error"]["code"], 0)
            yield so_far

    @property
    def _id(self) -> str | None:
        id_: str | None = st.session_state[self._id_key]
        return id_

    def _close(self) -> None:
        st.session_state.pop(self._question_key, None)

    def _read(self) -> list[Json]:
        """The messages; of an address that leads nowhere, or to another knowledge base, none."""
        if self._id is None:
            return []
        try:
            found = self._api.conversation(self._id)
        except ApiError as error:
            if error.status not in (404, 422):
                raise
            found = {"knowledge_base": None}
        if found["knowledge_base"] != self._knowledge_base:
            self.forget()
            return []
        messages: list[Json] = found["messages"]
        return messages


def _is_being_made(message: Json) -> bool:
    return message["role"] == "customer" or message["status"] in _BEING_MADE
