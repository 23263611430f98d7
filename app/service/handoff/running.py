"""What runs beside the routes as long as the process does: the agents' streams, and the look at who waits too long.

Owns their start and stop. Lives on the event loop.
"""

from app.db import Database
from app.service.handoff.escalation import Escalation
from app.service.handoff.feed import InboxFeed


class People:
    """Started and stopped with the application."""

    def __init__(self, database: Database) -> None:
        self.feed = InboxFeed(database)
        self._escalation = Escalation(database)

    def start(self) -> None:
        self.feed.start()
        self._escalation.start()

    async def stop(self) -> None:
        await self.feed.stop()
        await self._escalation.stop()
