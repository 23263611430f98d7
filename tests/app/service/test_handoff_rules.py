"""Hand-offs under any order of events: nothing is lost, one agent at most, handler and hand-off always agree."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from app.db import Database
from app.errors import Conflict, Forbidden
from app.models import Conversation, Message, new_id, now
from app.scope import Scope
from app.service.handoff import agents_work, customers_work
from app.service.handoff.escalation import escalate
from app.service.handoff.live import live_state
from app.service.handoff.silence import end_silent
from app.service.tables import HandOff, InboxChange
from tests.app.service.people_at_work import PATIENCE, Office

GROUPS = ("general", "billing")
SILENCE = timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def _template(sqlite_template: Path) -> None:
    HandOffs.template = sqlite_template


class HandOffs(RuleBasedStateMachine):
    """Three agents, some customers, and time that only goes forward."""

    template: Path
    conversations = Bundle("conversations")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hand-offs-"))
        shutil.copy(self.template, self.folder / "test.db")
        self.database = Database(f"sqlite:///{self.folder / 'test.db'}")
        settings = {"answer_within_s": PATIENCE.total_seconds(), "ends_after_silence_s": SILENCE.total_seconds()}
        self.office = Office(self.database, settings)
        self.agents = [
            self.office.agent("Anna"),
            self.office.agent("Ben", ["billing"]),
            self.office.agent("Chen", ["general"], online=False),
        ]
        self.said: dict[str, list[str]] = {}
        self.later = timedelta()
        self.last_change = 0

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.dispose()
            shutil.rmtree(self.folder)

    @rule(target=conversations)
    def customer_comes(self) -> str:
        conversation_id = self.office.conversation()
        self.said[conversation_id] = []
        return conversation_id

    @rule(conversation=conversations, wants=st.sampled_from([None, *GROUPS]))
    def customer_writes(self, conversation: str, wants: str | None) -> None:
        text = f"message {len(self.said[conversation])}"
        client_message_id = new_id()
        for _ in range(2):  # sent again, it is the same
            self.office.says(conversation, text, wants=wants, client_message_id=client_message_id)
        self.said[conversation].append(text)

    @rule(conversation=conversations)
    def customer_asks_for_a_person(self, conversation: str) -> None:
        customers_work.ask_for_person(self.database, Scope(), conversation)

    @rule(conversation=conversations)
    def customer_goes_back(self, conversation: str) -> None:
        before = self._open(conversation)
        if before is None or before.status == "claimed":
            with pytest.raises(Conflict):
                customers_work.cancel(self.database, Scope(), conversation)
        else:
            customers_work.cancel(self.database, Scope(), conversation)

    @rule(agent=st.integers(0, 2), is_there=st.booleans())
    def agent_comes_or_goes(self, agent: int, is_there: bool) -> None:
        (self.office.comes if is_there else self.office.leaves)(self.agents[agent])

    @rule(conversation=conversations, agent=st.integers(0, 2))
    def agent_claims(self, conversation: str, agent: int) -> None:
        scope, before = self.agents[agent], self._open(conversation)
        if before is None:
            return
        assert scope.account is not None
        try:
            agents_work.claim(self.database, scope, before.id)
        except (Conflict, Forbidden):
            assert before.agent_id is not None or before.skill_group not in scope.account.groups
        else:
            after = self._open(conversation)
            assert after is not None
            assert after.agent_id == scope.account.id
            assert before.agent_id in (None, scope.account.id)

    @rule(conversation=conversations, agent=st.integers(0, 2))
    def agent_replies(self, conversation: str, agent: int) -> None:
        before, scope = self._open(conversation), self.agents[agent]
        client_message_id = new_id()
        if self._is_with(before, scope):
            first = self.office.replies(scope, conversation, "Here I am.", client_message_id=client_message_id)
            again = self.office.replies(scope, conversation, "Here I am.", client_message_id=client_message_id)
            assert first.id == again.id
            after = self._open(conversation)
            assert after is not None
            assert after.waiting_since is None
        else:
            with pytest.raises(Conflict):
                self.office.replies(scope, conversation, "Here I am.")

    @rule(conversation=conversations, agent=st.integers(0, 2), group=st.sampled_from(GROUPS))
    def agent_passes_on(self, conversation: str, agent: int, group: str) -> None:
        before = self._open(conversation)
        if before is None:
            return
        try:
            agents_work.transfer(self.database, self.agents[agent], before.id, group=group, to=None)
        except Conflict:
            assert not self._is_with(before, self.agents[agent])
        else:
            assert self._is_with(before, self.agents[agent])

    @rule(conversation=conversations, agent=st.integers(0, 2), is_resolved=st.booleans())
    def agent_ends(self, conversation: str, agent: int, is_resolved: bool) -> None:
        before = self._open(conversation)
        if before is None:
            return
        end = agents_work.resolve if is_resolved else agents_work.give_back
        try:
            end(self.database, self.agents[agent], before.id, text="Goodbye, and thank you for waiting.")
        except Conflict:
            assert not self._is_with(before, self.agents[agent])
        else:
            assert self._is_with(before, self.agents[agent])
            assert self.office.one(before.id).status == ("resolved" if is_resolved else "returned")

    @rule()
    def assistant_looks(self) -> None:
        self.office.takes_over()

    @rule(steps=st.integers(1, 3))
    def time_passes(self, steps: int) -> None:
        self.later += PATIENCE * steps / 2
        escalate(self.database, now() + self.later)

    @rule()
    def customers_are_silent(self) -> None:
        with_an_agent = select(HandOff).where(HandOff.status == "claimed")
        with self.database.read() as session:
            answered = [each.id for each in session.scalars(with_an_agent) if each.waiting_since is None]
        assert end_silent(self.database, now() + self.later + SILENCE) == len(answered)
        assert {self.office.one(each).status for each in answered} <= {"resolved"}

    @precondition(lambda self: getattr(self, "said", None))
    @invariant()
    def everything_holds(self) -> None:
        with self.database.read() as session:
            hand_offs = session.scalars(select(HandOff)).all()
            conversations = {each.id: each for each in session.scalars(select(Conversation))}
            record = session.scalars(select(Message).order_by(Message.ordinal)).all()
            newest = session.scalar(select(InboxChange.change)) or 0
            live = live_state(session, list(self.said))
        for conversation_id, said in self.said.items():
            written = [each for each in record if each.conversation_id == conversation_id]
            assert [each.text for each in written if each.role == "customer"] == said
            assert [each.ordinal for each in written] == list(range(len(written)))
            assert max([0, *(each.change for each in written)]) == conversations[conversation_id].change
            assert len({each.change for each in written}) == len(written)
            still_open = [
                each
                for each in hand_offs
                if each.conversation_id == conversation_id and each.status in ("queued", "claimed")
            ]
            assert len(still_open) <= 1
            if not still_open:
                assert conversations[conversation_id].handler == "assistant"
            if conversations[conversation_id].handler == "assistant" and said:
                newest_said = max(each.ordinal for each in written if each.role == "customer")
                is_resolved = any(each.status == "resolved" for each in hand_offs)
                assert is_resolved or any(
                    each.role in ("assistant", "agent") and each.ordinal > newest_said for each in written
                )
            assert len({each.reply_to for each in written if each.reply_to}) == sum(
                each.role == "assistant" for each in written
            )
            for each in still_open:
                assert (each.status == "claimed") == (each.agent_id is not None)
                assert each.status == "queued" or conversations[conversation_id].handler == "people"
                assert each.status == "queued" or each.offered_to is None
                told = live[conversation_id]["hand_off"]
                assert told is not None
                assert told["status"] == each.status
                is_in_queue = each.status == "queued" and conversations[conversation_id].handler == "people"
                assert (told["position"] is not None) == is_in_queue
        numbers = [each.change for each in hand_offs]
        assert len(set(numbers)) == len(numbers)
        assert newest >= max([self.last_change, *numbers])
        self.last_change = newest

    def _open(self, conversation: str) -> HandOff | None:
        query = select(HandOff).where(
            HandOff.conversation_id == conversation, HandOff.status.in_(("queued", "claimed"))
        )
        with self.database.read() as session:
            return session.scalars(query).first()

    @staticmethod
    def _is_with(row: HandOff | None, scope: Scope) -> bool:
        assert scope.account is not None
        return row is not None and row.status == "claimed" and row.agent_id == scope.account.id


TestHandOffs = HandOffs.TestCase
TestHandOffs.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
