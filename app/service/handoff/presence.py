"""Which agents are there, which groups they take, and whose turn is next.

Owns the rules: an agent is there who has said so, or has the inbox open, and was seen a moment ago; a group that is
nobody's is everybody's. Knows no HTTP.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.scope import AccountIdentity, Role
from app.service.handoff.changes import set_row
from app.service.tables import Account, AgentPresence, HandOff

THERE: Final = timedelta(seconds=60)
"""Who was not seen for so long is not there."""

Status = Literal["online", "away", "offline"]
ONLINE: Final = "online"
AGENT_ROLES = ("agent", "admin")  # see app.scope.Role


def takes(account: Account | AccountIdentity, group: str) -> bool:
    """Whether conversations of this skill group are the account's to take; without groups of its own all are."""
    return not account.groups or group in account.groups


def served_groups(session: Session, workspace_id: str) -> set[str] | None:
    """The groups that accounts have; None: every group, since some agent takes all.

    Admins without groups may take all too, but need never look into the inbox: no group counts as served for that.
    """
    query = select(Account.role, Account.groups).where(
        Account.workspace_id == workspace_id, Account.role.in_(AGENT_ROLES), Account.disabled_at.is_(None)
    )
    served: set[str] = set()
    for role, groups in session.execute(query):
        if not groups and role == Role.AGENT:
            return None
        served.update(groups)
    return served


def is_everybodys(session: Session, workspace_id: str, group: str) -> bool:
    """Whether no enabled account has this group, so that everybody may take its conversations."""
    served = served_groups(session, workspace_id)
    return served is not None and group not in served


def everybody_there(session: Session, workspace_id: str, at: datetime) -> Sequence[Account]:
    """Those who are online."""
    query = (
        select(Account)
        .join(AgentPresence, AgentPresence.account_id == Account.id)
        .where(
            Account.workspace_id == workspace_id,
            Account.role.in_(AGENT_ROLES),
            Account.disabled_at.is_(None),
            AgentPresence.status == ONLINE,
            AgentPresence.seen_at > at - THERE,
        )
        .order_by(Account.id)
    )
    return session.scalars(query).all()


def agents_there(session: Session, workspace_id: str, group: str, at: datetime) -> Sequence[Account]:
    """Those who are online and take this group; all who are, if it is nobody's."""
    there = everybody_there(session, workspace_id, at)
    own = [each for each in there if takes(each, group)]
    return there if len(own) < len(there) and is_everybodys(session, workspace_id, group) else own


def next_agent(
    session: Session, workspace_id: str, group: str, at: datetime, without: Collection[str] = ()
) -> str | None:
    """The account, of those there, that has the fewest conversations and offers; None when there is none left."""
    there = [each.id for each in agents_there(session, workspace_id, group, at) if each.id not in without]
    if not there:
        return None
    busy = dict.fromkeys(there, 0)
    claimed = select(HandOff.agent_id, func.count()).where(HandOff.status == "claimed", HandOff.agent_id.in_(there))
    offered = select(HandOff.offered_to, func.count()).where(HandOff.status == "queued", HandOff.offered_to.in_(there))
    for query in (claimed.group_by(HandOff.agent_id), offered.group_by(HandOff.offered_to)):
        for account_id, number in session.execute(query):
            busy[str(account_id)] += number
    return min(there, key=lambda each: busy[each])  # the first of equals, as `there` is ordered


def seen(session: Session, account_ids: Collection[str], at: datetime) -> None:
    """Notes that these have the inbox open; whoever has said to be away stays away."""
    known = update(AgentPresence).where(AgentPresence.account_id.in_(account_ids)).values(seen_at=at)
    noted = set(session.scalars(known.returning(AgentPresence.account_id)))
    for account_id in sorted(set(account_ids) - noted):
        set_row(session, AgentPresence, {"account_id": account_id}, {"status": ONLINE, "seen_at": at})


def set_status(session: Session, account_id: str, status: str, at: datetime) -> None:
    set_row(session, AgentPresence, {"account_id": account_id}, {"status": status, "seen_at": at})
