"""The flows of an installation, as the desk uses them: begin one, go on with one, ask what one waits for.

Owns that a conversation goes on with the version it began with. What a turn does is `engine`, what files there are is
`library`. Writes nothing of a conversation: what a turn changes is in its answer.
"""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from app.db import Database
from app.service.flows import engine
from app.service.flows.library import Library
from app.service.flows.turn import Expectation, FlowTools, FlowTurn
from rag.language import Language
from rag.types import AnswerEvent

__all__ = ["STATE", "Expectation", "FlowTools", "FlowTurn", "Flows"]

STATE = engine.STATE
"""The key of a conversation's state under which a flow keeps its own; None when it is over."""


class Flows:
    """Safe for threads. `state` is what `conversation.state["flow"]` holds, as an earlier turn's answer gave it."""

    def __init__(self, folder: Path, database: Database, api_urls: Mapping[str, str] | None = None) -> None:
        """`api_urls` are addresses that go before those that the files give, by the API's name."""
        self.library = Library(folder, database)
        self._api_urls = dict(api_urls or {})

    def names(self) -> tuple[str, ...]:
        """The flows that can be begun now, in alphabetical order."""
        return self.library.names()

    def begin(self, name: str, turn: FlowTurn) -> Generator[AnswerEvent]:
        """The first turn: `Token`, `Cited` and `Waiting` as it comes, then `Finished` with a `ServiceAnswer`.

        Raises `NotFound` when there is no flow of that name. Whatever fails within a step is the flow's to say.
        """
        return engine.begin(self.library.current(name), turn, self._api_urls)

    def go_on(self, state: Mapping[str, Any], turn: FlowTurn) -> Generator[AnswerEvent]:
        """A further turn: what was waited for, a wrong answer, or that the task is cancelled.

        A flow whose version can no longer be read ends with an apology, and a person is called.
        """
        version = self.library.version(state)
        if version is None:
            return engine.lost(state, turn)
        return engine.go_on(version, state, turn, self._api_urls)

    def expects(self, state: Mapping[str, Any], turn: FlowTurn) -> Expectation:
        """How the message stands to what the flow waits for. Calls nothing."""
        version = self.library.version(state)
        return Expectation.FITS if version is None else engine.expects(version, state, turn)

    def reminder(self, state: Mapping[str, Any], language: Language) -> str:
        """What the flow still waits for, as it is said after an interruption; "" when it cannot be told."""
        version = self.library.version(state)
        return "" if version is None else engine.reminder(version, state, language)

    def choices(self, state: Mapping[str, Any], language: Language) -> list[str]:
        """What the customer may choose from now; empty where anything may be said."""
        version = self.library.version(state)
        return [] if version is None else engine.choices(version, state, language)
