"""What is true: for each document the states in which it may be found, as the requests and answers so far allow.

Owns the rules. A state is the set of marks that can be found of a document, the empty one when it is not there. A
request that was sent adds a state behind the others; one that was confirmed says which states may be the last; what
was seen rules out everything before it, for nothing ever goes back. Knows no HTTP.
"""

from collections.abc import Iterable

from tests.crash.documents import DOCUMENTS, MARK, marks

State = frozenset[str]
GONE: State = frozenset()


class Untrue(AssertionError):
    """The product has shown what cannot be, or has not shown what must."""


class Reference:
    """`possible`: the states of each document, oldest first; `final`: those it may be in when nothing is under way.

    `latest` is what was sent last of each document that was ever sent, deleted or not.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._owner: dict[str, str] = {}
        self.latest: dict[str, State] = {}
        self.possible: dict[str, list[State]] = {document: [GONE] for document in DOCUMENTS}
        self.final: dict[str, set[State]] = {document: {GONE} for document in DOCUMENTS}

    def state(self, document: str, version: int) -> State:
        state = frozenset(marks(self._seed, document, version))
        self._owner |= dict.fromkeys(state, document)
        self.latest[document] = state
        return state

    def sent(self, document: str, state: State) -> None:
        """A request went out that brings the document into this state, now, later or never."""
        if self.possible[document][-1] != state:
            self.possible[document].append(state)
        self.final[document].add(state)

    def accepted(self, document: str, state: State) -> None:
        """The request was confirmed: sooner or later the document will be in this state."""
        self.final[document] = {state}

    def deleted(self, document: str) -> None:
        """The deletion was confirmed: from now on nothing may be found."""
        self.possible[document] = [GONE]
        self.final[document] = {GONE}

    def called_off(self, document: str) -> None:
        """What was under way was cancelled: wherever it had come to is the end."""
        self.final[document] |= set(self.possible[document])

    def saw_everything(self, texts: Iterable[str]) -> None:
        """A search for everything gave these texts: each document must be in exactly one of its states."""
        seen: dict[str, set[str]] = {document: set() for document in DOCUMENTS}
        for mark in self._marks_in(texts):
            seen[self._owner[mark]].add(mark)
        for document, found in seen.items():
            self._is_in(document, frozenset(found))

    def saw_some(self, texts: Iterable[str]) -> None:
        """Something gave these texts, perhaps among others: each mark must belong to a state that may be."""
        for mark in self._marks_in(texts):
            document = self._owner[mark]
            after = [number for number, state in enumerate(self.possible[document]) if mark in state]
            if not after:
                raise Untrue(f"{document}: {mark} was found, of {self._of(mark)}; {self._told(document)}")
            del self.possible[document][: after[0]]

    def settled(self) -> None:
        """Nothing is under way, and everything was seen: what was seen is what must stay."""
        for document, possible in self.possible.items():
            state = possible[0]
            if state not in self.final[document]:
                raise Untrue(f"{document} has ended as {sorted(state)}, not as {self._names(self.final[document])}")
            self.possible[document] = [state]
            self.final[document] = {state}

    def present(self) -> dict[str, State]:
        """What is there, after `settled`."""
        return {document: states[0] for document, states in self.possible.items() if states[0]}

    def past_marks(self) -> list[str]:
        """Every mark that was ever sent and must not be found, after `settled`."""
        present = frozenset().union(*self.present().values())
        return sorted(set(self._owner) - present)

    def _is_in(self, document: str, state: State) -> None:
        possible = self.possible[document]
        if state not in possible:
            found = f"found are {sorted(state)}" if state else "nothing is found"
            raise Untrue(f"{document}: {found}; {self._told(document)}")
        del possible[: possible.index(state)]

    def _marks_in(self, texts: Iterable[str]) -> list[str]:
        found = sorted({mark for text in texts for mark in MARK.findall(text)})
        for mark in found:
            if mark not in self._owner:
                raise Untrue(f"{mark} was found, which nobody has ever uploaded")
        return found

    def _told(self, document: str) -> str:
        return f"it may be {self._names(self.possible[document])}"

    def _names(self, states: Iterable[State]) -> str:
        return " or ".join(str(sorted(state)) if state else "gone" for state in states)

    def _of(self, mark: str) -> str:
        return f"an earlier state of {self._owner[mark]}"
