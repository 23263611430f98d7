"""What happens to a hand-off: who gets it, what the customer is told, and whose turn it is when nobody answers."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import event

from app.db import Database
from app.errors import Conflict, Forbidden, NotFound, ServiceError
from app.models import KnowledgeBase, new_id, now
from app.scope import Role, Scope
from app.service.handoff import agents_work, customers_work, inbox_reading, opening
from app.service.handoff.escalation import escalate
from app.service.handoff.inbox_reading import Box
from app.service.handoff.live import live_state
from app.service.handoff.office_hours import is_open, next_opening
from app.service.handoff.silence import end_silent
from app.service.settings import OfficeHours
from app.service.tables import Account
from app.service.turn import HandOffReason, HandOffWanted
from rag.types import AnswerKind
from tests.app.service.people_at_work import PATIENCE, Office

WANTED = HandOffWanted(HandOffReason.ASKED_FOR)
SUNDAY = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # the night in which clocks in Berlin are put forward


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    """What came of the work, done by so many threads at the same moment; an error is a result."""
    results: list[object] = [None] * number
    barrier = threading.Barrier(number)

    def run(place: int) -> None:
        barrier.wait()
        try:
            results[place] = work(place)
        except ServiceError as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_many_agents_who_claim_at_once_exactly_one_wins(office: Office) -> None:
    agents = [office.agent(f"Agent {number}") for number in range(8)]
    for _ in range(3):
        hand_off = office.waiting()
        results = at_once(8, lambda place: agents_work.claim(office.database, agents[place], hand_off))  # noqa: B023
        winners = [place for place, result in enumerate(results) if isinstance(result, str)]
        assert len(winners) == 1
        row = office.one(hand_off)
        winner = agents[winners[0]].account
        assert winner is not None
        assert row.agent_id == winner.id
        refused = [result for result in results if isinstance(result, Conflict)]
        assert len(refused) == 7
        assert all(winner.name in each.message and each.details["agent"] == winner.id for each in refused)
        assert office.told(row.conversation_id) == [f"{winner.name} is here now and answers you."]


def test_a_reply_that_is_sent_many_times_at_once_is_written_once(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = agents_work.claim(office.database, anna, office.waiting())
    results = at_once(
        6, lambda _: office.replies(anna, conversation, "Please try again.", client_message_id="the same").id
    )
    assert len(set(results)) == 1
    replies = [each for each in office.record(conversation) if each.role == "agent"]
    assert [(each.text, each.author, each.author_id) for each in replies] == [
        ("Please try again.", "Anna", anna.account and anna.account.id)
    ]


def test_customers_and_agents_who_write_at_once_lose_nothing(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = agents_work.claim(office.database, anna, office.waiting())

    def write(place: int) -> None:
        if place % 2:
            office.says(conversation, f"customer {place}")
        else:
            office.replies(anna, conversation, f"agent {place}")

    assert at_once(10, write) == [None] * 10
    record = office.record(conversation)
    assert [each.ordinal for each in record] == list(range(len(record)))
    assert len({each.change for each in record}) == len(record)
    expected = {f"{'customer' if place % 2 else 'agent'} {place}" for place in range(10)}
    assert expected <= {each.text for each in record}


def test_many_processes_escalate_a_hand_off_once(office: Office) -> None:
    first, second = office.agent("Anna"), office.agent("Ben")
    conversation = agents_work.claim(office.database, first, office.waiting())
    later = now() + PATIENCE * 1.1
    assert sorted(at_once(4, lambda _: escalate(office.database, later)), key=str) == [0, 0, 0, 1]
    row = office.hand_off(conversation)
    assert second.account is not None
    assert (row.status, row.offered_to) == ("queued", second.account.id)


def test_who_is_not_of_the_group_cannot_claim_unless_it_is_offered(office: Office) -> None:
    anna, ben = office.agent("Anna", ["billing"]), office.agent("Ben", ["returns"])
    admin = office.agent("Ada", ["other"], Role.ADMIN)
    first, second = office.waiting(group="billing"), office.waiting(group="billing")
    with pytest.raises(Forbidden, match="billing"):
        agents_work.claim(office.database, ben, first)
    agents_work.claim(office.database, admin, first)
    agents_work.claim(office.database, anna, second)
    assert ben.account is not None
    agents_work.transfer(office.database, anna, second, group=None, to=ben.account.id, note="Yours.")
    assert office.one(second).offered_to == ben.account.id
    agents_work.claim(office.database, ben, second)
    with pytest.raises(Forbidden, match="account"):
        agents_work.claim(office.database, Scope(), office.waiting())


def _reply_to(office: Office, conversation_id: str, group: str) -> str:
    """What the desk says to who wants this group now."""
    wanted = HandOffWanted(HandOffReason.ASKED_FOR, group)
    with office.database.read() as session:
        row = session.get_one(KnowledgeBase, office.knowledge_base)
        return opening.hand_off_reply(session, row, wanted, "en", conversation_id=conversation_id)


@pytest.mark.parametrize(("comes", "taken_as"), [("general", "general"), ("orders", "orders"), ("sales", "orders")])
def test_what_is_promised_to_who_asks_again_is_what_comes(office: Office, comes: str, taken_as: str) -> None:
    """Asked for again, of another group: whoever of the two groups is there can take it."""
    for group in ("general", "orders", "sales"):
        office.agent(f"Has left {group}", [group], online=False)
    by_word, by_button = office.conversation(), office.conversation()
    for conversation in (by_word, by_button):
        office.says(conversation, "File my return", wants="orders", reason=HandOffReason.FLOW)
    agent = office.agent("Bob", [comes])
    said = _reply_to(office, by_word, "general")
    office.says(by_word, "I want a person", wants="general")
    customers_work.ask_for_person(office.database, Scope(), by_button)
    comes_now = comes != "sales"
    for conversation, told in ((by_word, said), (by_button, office.told(by_button)[-1])):
        assert ("I am handing you over" in told) == comes_now, told
        assert office.handler(conversation) == ("people" if comes_now else "assistant")
        hand_off = office.hand_off(conversation)
        assert hand_off.skill_group == taken_as
        if comes_now:
            agents_work.claim(office.database, agent, hand_off.id)
        else:
            with pytest.raises(Forbidden, match="orders"):
                agents_work.claim(office.database, agent, hand_off.id)


def test_a_group_that_nobody_has_is_everybodys(office: Office) -> None:
    office.agent("Ada", role=Role.ADMIN, online=False)  # may take all, and need never look
    anna, ben = office.agent("Anna", ["billing"]), office.agent("Ben", ["sales"])
    hand_off = office.waiting(group="retruns")
    assert office.handler(office.one(hand_off).conversation_id) == "people"
    for each in (anna, ben):
        (seen,) = inbox_reading.list_inbox(office.database, each, Box.QUEUE).hand_offs
        assert (seen.id, seen.is_everybodys) == (hand_off, True)
    office.agent("Rita", ["retruns"], online=False)
    assert inbox_reading.list_inbox(office.database, ben, Box.QUEUE).hand_offs == []
    with pytest.raises(Forbidden, match="retruns"):
        agents_work.claim(office.database, ben, hand_off)
    with office.database.write() as session:
        session.query(Account).filter(Account.name == "Rita").one().disabled_at = now()
    agents_work.claim(office.database, ben, hand_off)


def test_a_hand_off_of_another_workspace_is_not_there(office: Office) -> None:
    anna = office.agent("Anna")
    assert anna.account is not None
    stranger = Scope("another", Role.AGENT, anna.account)
    hand_off = office.waiting()
    with pytest.raises(NotFound):
        agents_work.claim(office.database, stranger, hand_off)
    assert inbox_reading.list_inbox(office.database, stranger, Box.ALL).hand_offs == []


def test_what_the_agent_finds_of_the_conversation(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = office.conversation()
    office.says(conversation, "How do I descale it?", kind=AnswerKind.NOT_IN_MANUALS)
    office.says(conversation, "Let me talk to a person", wants="general")
    box = inbox_reading.list_inbox(office.database, anna, Box.QUEUE)
    (shape,) = box.hand_offs
    assert shape.summary.splitlines() == [
        "Customer: How do I descale it?",
        "Assistant: About How do I descale it?",
        "Customer: Let me talk to a person",
        "Assistant: A person comes.",
    ]
    assert (shape.status, shape.handler, shape.reason) == ("queued", "people", "asked_for")
    assert anna.account is not None
    assert shape.offered_to == anna.account.id
    assert box.change == shape.change
    agents_work.claim(office.database, anna, shape.id)
    assert inbox_reading.list_inbox(office.database, anna, Box.QUEUE).hand_offs == []
    (mine,) = inbox_reading.list_inbox(office.database, anna, Box.MINE).hand_offs
    assert mine.agent is not None
    assert (mine.agent.name, mine.last_message and mine.last_message.text) == ("Anna", "A person comes.")


def test_notes_are_for_agents_only(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = agents_work.claim(office.database, anna, office.waiting())
    agents_work.add_note(office.database, anna, conversation, "Has complained before.")
    seen = inbox_reading.inbox_conversation(office.database, anna, conversation)
    assert [(each.author, each.text) for each in seen.notes] == [("Anna", "Has complained before.")]
    assert "complained" not in "".join(each.text for each in office.record(conversation))


def test_customer_is_told_what_happens_in_its_own_language(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = office.conversation()
    office.says(conversation, "我要找人工客服", wants="general")
    hand_off = office.hand_off(conversation).id
    agents_work.claim(office.database, anna, hand_off)
    agents_work.resolve(office.database, anna, hand_off, text="祝您生活愉快！")
    roles = [(each.role, each.text) for each in office.record(conversation)][2:]
    assert roles == [
        ("system", "Anna 已接入，为您服务。"),
        ("agent", "祝您生活愉快！"),
        ("system", "Anna 已结束本次对话。请用 1 到 5 颗星评价本次服务。如果还有其他问题，可以继续询问智能助手。"),
    ]
    assert office.handler(conversation) == "assistant"
    office.says(conversation, "谢谢")
    assert office.record(conversation)[-1].role == "assistant"


def test_place_in_the_queue_and_who_is_typing(office: Office) -> None:
    anna = office.agent("Anna")
    hand_offs = [office.one(office.waiting()) for _ in range(3)]
    ids = [each.conversation_id for each in hand_offs]
    with office.database.read() as session:
        row = session.get_one(KnowledgeBase, office.knowledge_base)
        said = opening.hand_off_reply(session, row, WANTED, "en")
        states = live_state(session, ids)
    assert "There are 3 before you" in said
    assert [states[each]["hand_off"] and states[each]["hand_off"]["position"] for each in ids] == [1, 2, 3]
    agents_work.claim(office.database, anna, hand_offs[0].id)
    agents_work.types(office.database, anna, ids[0])
    customers_work.types(office.database, Scope(), ids[0], role="customer")
    with office.database.read() as session:
        states = live_state(session, ids)
        later = live_state(session, ids, now() + timedelta(minutes=1))
    assert states[ids[0]]["hand_off"] == {"status": "claimed", "agent": "Anna", "position": None}
    assert [(each["role"], each["name"]) for each in states[ids[0]]["typing"]] == [("agent", "Anna"), ("customer", "")]
    assert later[ids[0]]["typing"] == []
    assert states[ids[2]]["hand_off"] == {"status": "queued", "agent": None, "position": 2}
    office.replies(anna, ids[0], "Hello.")
    with office.database.read() as session:
        assert [each["role"] for each in live_state(session, ids)[ids[0]]["typing"]] == ["customer"]


def test_what_is_so_at_the_moment_is_read_in_few_words(office: Office) -> None:
    """Of long conversations no more than of short ones, and nothing at all of none."""
    anna = office.agent("Anna")
    conversation = office.conversation()
    for _ in range(3):
        office.says(conversation, "I want a person", wants="general")
        hand_off = office.hand_off(conversation).id
        agents_work.claim(office.database, anna, hand_off)
        agents_work.resolve(office.database, anna, hand_off)
    office.says(conversation, "I want a person", wants="general")
    statements: list[str] = []
    with office.database.read() as session:
        event.listen(session, "do_orm_execute", lambda run: statements.append(f"{run.statement}"))
        assert live_state(session, []) == {}
        assert statements == []
        told = live_state(session, [new_id(), conversation] + [new_id() for _ in range(1200)])
    assert told == {conversation: {"typing": [], "hand_off": {"status": "queued", "agent": None, "position": 1}}}
    assert statements
    assert not any("summary" in each or "passages" in each for each in statements)


def test_without_anybody_there_the_assistant_goes_on_until_somebody_claims(office: Office) -> None:
    conversation = office.conversation()
    office.says(conversation, "I want a person", wants="general")
    assert (office.handler(conversation), office.hand_off(conversation).status) == ("assistant", "queued")
    office.says(conversation, "And what about descaling?")
    assert office.record(conversation)[-1].text == "About And what about descaling?"
    office.says(conversation, "A person, please", wants="general")
    anna = office.agent("Anna")
    (only,) = inbox_reading.list_inbox(office.database, anna, Box.ALL).hand_offs
    assert (only.handler, only.offered_to) == ("assistant", None)
    agents_work.claim(office.database, anna, only.id)
    office.says(conversation, "Are you there?")
    assert [each.role for each in office.record(conversation)][-2:] == ["system", "customer"]


def test_what_a_flow_waited_for_is_over_when_people_take_over_and_agents_see_how_far_it_was(office: Office) -> None:
    """However they do: else a customer's thanks at the end could be taken for a yes."""
    flow, over = {"name": "return_product", "step": "sure"}, {"flow": None, "failures": 0}
    late = office.conversation()
    office.says(late, "I want a person", wants="general")  # nobody is there: the assistant goes on
    office.waits_in_flow(late)
    later = office.conversation()
    office.says(later, "I want a person", wants="general")
    anna = office.agent("Anna")
    by_button, by_word = office.conversation(), office.conversation()
    for each in (by_button, by_word, later):
        office.waits_in_flow(each)
    agents_work.claim(office.database, anna, office.hand_off(late).id)
    customers_work.ask_for_person(office.database, Scope(), by_button)
    customers_work.ask_for_person(office.database, Scope(), later)
    office.says(by_word, "A person", wants="general")
    for each in (late, by_button, later, by_word):
        assert office.handler(each) == "people"
        assert {name: office.state(each)[name] for name in over} == over
        assert office.hand_off(each).state["flow"] == flow
        assert inbox_reading.inbox_conversation(office.database, anna, each).flow == flow


def test_unanswered_too_long_goes_from_agent_to_agent_and_in_the_end_to_everybody(office: Office) -> None:
    agents = {scope.account.id: scope for scope in (office.agent("Anna"), office.agent("Ben")) if scope.account}
    hand_off = office.waiting()
    first = office.one(hand_off).offered_to
    start = now()
    assert escalate(office.database, start + PATIENCE / 2) == 0
    assert escalate(office.database, start + PATIENCE * 1.1) == 1
    second = office.one(hand_off).offered_to
    assert {first, second} == set(agents)
    assert escalate(office.database, start + PATIENCE * 1.2) == 0
    assert escalate(office.database, start + PATIENCE * 2.2) == 1
    row = office.one(hand_off)
    assert (row.offered_to, row.status) == (None, "queued")
    assert office.handler(row.conversation_id) == "people"
    assert escalate(office.database, start + PATIENCE * 3.3) == 1
    assert office.one(hand_off).offered_to in agents


def test_an_agent_who_does_not_answer_loses_the_conversation_only_to_another(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = agents_work.claim(office.database, anna, office.waiting())
    later = now() + PATIENCE * 1.1
    assert escalate(office.database, later) == 0  # she is alone
    office.replies(anna, conversation, "One moment, please.")
    ben = office.agent("Ben")
    assert escalate(office.database, later) == 0  # nobody waits for an answer
    office.says(conversation, "And now?")
    assert escalate(office.database, later) == 1
    row = office.hand_off(conversation)
    assert ben.account is not None
    assert (row.status, row.agent_id, row.offered_to) == ("queued", None, ben.account.id)
    assert office.told(conversation)[-1] == "I am sorry for the wait. A colleague is being asked to take over."
    with pytest.raises(Conflict, match="claim it first"):
        office.replies(anna, conversation, "I am back.")


def test_who_is_there_keeps_what_only_they_have_taken_though_it_is_of_another_group(office: Office) -> None:
    office.agent("Has left", ["billing"], online=False)
    admin = office.agent("Ada", ["other"], Role.ADMIN)
    conversation = agents_work.claim(office.database, admin, office.waiting(group="billing"))
    office.says(conversation, "Hello?")
    later = now() + PATIENCE * 1.1
    assert escalate(office.database, later) == 0
    assert office.hand_off(conversation).status == "claimed"
    office.leaves(admin)
    assert escalate(office.database, later) == 1
    office.takes_over()
    assert office.record(conversation)[-1].text == "About Hello?"


def test_the_conversation_of_a_deleted_account_goes_to_the_next_agent_at_once(office: Office) -> None:
    anna, ben = office.agent("Anna"), office.agent("Ben")
    conversation = agents_work.claim(office.database, anna, office.waiting())
    office.replies(anna, conversation, "One moment, please.")
    assert anna.account is not None
    assert ben.account is not None
    with office.database.write() as session:
        session.delete(session.get_one(Account, anna.account.id))
    assert escalate(office.database, now()) == 1
    row = office.hand_off(conversation)
    assert (row.status, row.offered_to) == ("queued", ben.account.id)
    assert [each.author for each in office.record(conversation) if each.role == "agent"] == ["Anna"]


def test_a_customer_who_is_silent_after_an_answer_is_let_go_if_that_is_wanted(office: Office) -> None:
    anna = office.agent("Anna")
    answered, waiting = (agents_work.claim(office.database, anna, office.waiting("The lid leaks.")) for _ in range(2))
    office.replies(anna, answered, "Please press the blue lever until it clicks.")
    in_an_hour = now() + timedelta(hours=1, seconds=1)
    assert end_silent(office.database, in_an_hour) == 0
    office.set({"ends_after_silence_s": 3600})
    assert end_silent(office.database, in_an_hour - timedelta(minutes=1)) == 0
    assert sorted(at_once(4, lambda _: end_silent(office.database, in_an_hour)), key=str) == [0, 0, 0, 1]
    assert office.told(answered)[-1].startswith("This conversation with Anna ends here, as nothing has been written")
    assert (office.hand_off(answered).status, office.handler(answered)) == ("resolved", "assistant")
    assert (office.hand_off(waiting).status, office.handler(waiting)) == ("claimed", "people")
    assert len(office.record(answered)) == len(office.record(waiting)) + 2  # Anna's answer, and that it ended
    office.says(answered, "It works now. What does E-07 mean?")
    assert office.record(answered)[-1].text == "About It works now. What does E-07 mean?"


def test_one_whose_settings_cannot_be_read_ends_no_later_than_others(office: Office) -> None:
    anna, damaged = office.agent("Anna"), Office(office.database, name="damaged")
    for each in (damaged, office):
        office.replies(anna, agents_work.claim(office.database, anna, each.waiting()), "Here I am.")
    damaged.set({"ends_after_silence_s": 59})
    office.set({"ends_after_silence_s": 60})
    assert end_silent(office.database, now() + timedelta(minutes=2)) == 1


def test_one_that_cannot_be_looked_after_keeps_no_other_waiting(office: Office) -> None:
    office.agent("Anna")
    damaged = Office(office.database, name="damaged")
    first, second = damaged.waiting(), office.waiting()
    damaged.set({"answer_within_s": "soon"})
    assert escalate(office.database, now() + PATIENCE * 1.1) == 1
    assert office.one(second).passed_over or office.one(second).offered_to is None
    assert office.one(first).status == "queued"


def test_when_everybody_has_left_the_customer_is_told_once_and_the_assistant_goes_on(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = agents_work.claim(office.database, anna, office.waiting())
    office.leaves(anna)
    later = now() + PATIENCE * 1.1
    assert [escalate(office.database, later), escalate(office.database, later + PATIENCE * 2)] == [1, 0]
    assert office.told(conversation)[1:] == [
        "I am sorry: none of our colleagues is here any more. What you wrote is kept for them, and I, the assistant, "
        "go on helping you."
    ]
    assert (office.handler(conversation), office.hand_off(conversation).status) == ("assistant", "queued")


@pytest.mark.parametrize(
    ("at", "language", "said"),
    [
        (datetime(2026, 3, 27, 17, 0, tzinfo=UTC), "en", "We are back on Monday, 30 March, at 09:00 (Europe/Berlin)."),
        (SUNDAY, "zh", "人工客服将于3月30日（星期一）09:00 (Europe/Berlin)上线。"),
        (datetime(2026, 3, 30, 6, 59, tzinfo=UTC), "en", "We are back on Monday, 30 March, at 09:00"),
        (datetime(2026, 3, 30, 7, 0, tzinfo=UTC), "en", "You are next."),
        (datetime(2026, 4, 3, 10, 0, tzinfo=UTC), "en", "We are back on Monday, 6 April, at 09:00"),  # a day off
    ],
)
def test_office_hours_follow_the_clock_on_the_wall(office: Office, at: datetime, language: str, said: str) -> None:
    week = {day: ["09:00", "17:30"] for day in ("mon", "tue", "wed", "thu", "fri")}
    office.set({"office_hours": {"timezone": "Europe/Berlin", "days": week, "closed": ["2026-04-03"]}})
    office.agent("Anna")
    with office.database.read() as session:
        row = session.get_one(KnowledgeBase, office.knowledge_base)
        assert said in opening.hand_off_reply(session, row, WANTED, "zh" if language == "zh" else "en", at)


@given(
    ends=st.lists(st.integers(0, 24 * 60), min_size=2, max_size=8, unique=True).filter(lambda ends: len(ends) % 2 == 0),
    minute=st.integers(0, 24 * 60 - 1),
)
def test_an_office_is_open_in_each_of_a_days_spans_and_tells_when_the_next_begins(ends: list[int], minute: int) -> None:
    ends.sort()
    spans = list(zip(ends[::2], ends[1::2], strict=True))
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    hours = OfficeHours.model_validate({"days": {"mon": [[_clock(begin), _clock(end)] for begin, end in spans]}})
    hours = OfficeHours.model_validate(hours.model_dump(mode="json"))  # as it is kept
    at = monday + timedelta(minutes=minute)
    assert is_open(hours, at) == any(begin <= minute < end for begin, end in spans)
    later = [begin for begin, _ in spans if begin > minute] or [spans[0][0] + 7 * 24 * 60]
    assert next_opening(hours, at) == monday + timedelta(minutes=later[0])


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (["17:30", "09:00"], "ends before it begins"),
        ([["09:00", "12:30"], ["12:00", "18:00"]], "overlap"),
        ([["09:00", "24:00"], ["12:00", "18:00"]], "overlap"),
        (["09:00Z", "17:30Z"], "with an offset"),
        (["09:00"], "valid time|Field required|at least|tuple"),
        ("always", "valid"),
    ],
)
def test_hours_that_cannot_be_are_refused(day: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OfficeHours.model_validate({"days": {"mon": day}})


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def test_customer_asks_for_a_person_and_goes_back(office: Office) -> None:
    anna = office.agent("Anna")
    conversation = office.conversation()
    office.says(conversation, "How do I descale it?")
    for _ in range(2):
        customers_work.ask_for_person(office.database, Scope(), conversation)
    assert len(inbox_reading.list_inbox(office.database, anna, Box.QUEUE).hand_offs) == 1
    assert office.told(conversation) == [
        "I am handing you over to a colleague, who has our conversation so far. You are next.",
        "Your request is with our colleagues already; one of them will be with you.",
    ]
    customers_work.cancel(office.database, Scope(), conversation)
    assert (office.hand_off(conversation).status, office.handler(conversation)) == ("cancelled", "assistant")
    with pytest.raises(Conflict, match="waits for nobody"):
        customers_work.cancel(office.database, Scope(), conversation)
    agents_work.claim(office.database, anna, office.waiting())


def test_the_last_rating_counts_and_agents_see_it(office: Office) -> None:
    anna = office.agent("Anna")
    hand_off = office.waiting()
    conversation = agents_work.claim(office.database, anna, hand_off)
    agents_work.resolve(office.database, anna, hand_off)
    before = office.one(hand_off).change
    at_once(4, lambda place: customers_work.rate(office.database, Scope(), conversation, place + 1))
    customers_work.rate(office.database, Scope(), conversation, 4, "Quick.")
    with pytest.raises(Forbidden):
        customers_work.rate(office.database, anna, conversation, 5)
    newest, (shape,) = inbox_reading.changed_since(office.database, "default", before)
    assert (shape.rating, shape.status, shape.change) == (4, "resolved", newest)
