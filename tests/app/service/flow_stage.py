"""A conversation with a flow, without the desk around it: what is said goes in, what comes back is checked.

Everything but what lies behind `FlowTools` is real. State goes through JSON between turns, as it does in SQL.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from app.db import Database
from app.errors import NotFound
from app.service.flows.calls import new_client
from app.service.flows.checks import checked
from app.service.flows.flows import STATE, Expectation, Flows, FlowTurn
from app.service.turn import HandOffWanted, ServiceAnswer
from rag.language import Language, language_of
from rag.types import Answer, AnswerKind, Citation, Cited, Finished, Question, Span, Token

SAMPLES = Path(__file__).parents[3] / "app/sample/shop/flows"
AT = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)  # a Sunday
TOKEN = "shop-token-7f3a91"


@dataclass(frozen=True)
class FakeDecision:
    table: str
    result: object
    inputs: Mapping[str, Any]
    score: float | None = 12.0
    version: str = "1"
    fired: Sequence[Any] = ("rule 3",)


def citation(marker: int, quote: str) -> Citation:
    return Citation(marker, f"p{marker}", "d", 1, "manual.pdf", "Manual", (), (Span(4, 0, 10),), "4", quote)


@dataclass
class FakeTools:
    """Answers, products and decisions as a test wants them; `asked` is what was asked of them."""

    client: httpx.Client = field(default_factory=new_client)
    secrets: dict[str, str] = field(default_factory=lambda: {"SHOP_TOKEN": TOKEN})
    products: list[dict[str, Any]] = field(default_factory=list)
    compared: list[tuple[object, ...]] = field(default_factory=list)
    decide_as: Callable[[Mapping[str, Any]], object] = lambda features: "approve"
    answer_kind: AnswerKind = AnswerKind.ANSWER
    asked: list[Any] = field(default_factory=list)
    zone: ZoneInfo | None = field(default_factory=lambda: ZoneInfo("UTC"))

    def answer(self, question: str) -> Answer:
        self.asked.append(question)
        if self.answer_kind is not AnswerKind.ANSWER:
            return Answer(self.answer_kind, "Nothing found.", (), (), question, "fake", None)
        cited = (citation(1, "Empty the pipes."), citation(2, "Pack it upright."))
        return Answer(self.answer_kind, "Empty the pipes [1]. Pack it upright [2].", cited, (), question, "fake", None)

    def search_products(self, text: str, *, limit: int, language: Language) -> Sequence[Mapping[str, Any]]:
        self.asked.append(text)
        return self.products

    def compare_products(self, text: str, *, language: Language) -> Sequence[Sequence[object]]:
        return self.compared

    def decide(self, table: str, features: Mapping[str, Any]) -> FakeDecision:
        self.asked.append((table, dict(features)))
        if table == "missing":
            raise NotFound("There is no table 'missing'.")
        return FakeDecision(table, self.decide_as(features), dict(features))

    def http(self) -> httpx.Client:
        return self.client

    def secret(self, name: str) -> str | None:
        return self.secrets.get(name)

    def timezone(self) -> ZoneInfo | None:
        return self.zone


@dataclass(frozen=True)
class Reply:
    """What a turn came to."""

    text: str
    kind: AnswerKind
    choices: list[str]
    is_over: bool
    hand_off: HandOffWanted | None
    citations: tuple[Citation, ...]
    details: dict[str, Any]

    @property
    def flow(self) -> dict[str, Any]:
        return dict(self.details[STATE])

    @property
    def slots(self) -> dict[str, Any]:
        return dict(self.flow["slots"])


class Stage:
    """One conversation with the flows of a folder."""

    def __init__(self, folder: Path, database: Database, tools: FakeTools | None = None, **api_urls: str) -> None:
        self.folder = folder
        self.flows = Flows(folder, database, api_urls)
        self.tools = tools or FakeTools()
        self.state: dict[str, Any] | None = None
        self.turns = 0

    def write(self, name: str, source: str, *, is_good: bool = True) -> None:
        if is_good:
            checked(f"{name}.yaml", source)
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{name}.yaml").write_text(source, encoding="utf-8")

    def turn(self, text: str, **more: Any) -> FlowTurn:
        given = {"message_id": f"message-{self.turns}", "language": language_of(text), "at": AT, **more}
        return FlowTurn(text=text, question=Question(text), tools=self.tools, **given)

    def begin(self, name: str, text: str = "hello there", **more: Any) -> Reply:
        self.turns += 1
        return self._reply(self.flows.begin(name, self.turn(text, **more)))

    def say(self, text: str, **more: Any) -> Reply:
        """A further message; the flow must still be going."""
        assert self.state is not None, "the flow is over"
        self.turns += 1
        return self._reply(self.flows.go_on(self.state, self.turn(text, **more)))

    def expects(self, text: str) -> Expectation:
        assert self.state is not None
        return self.flows.expects(self.state, self.turn(text))

    def _reply(self, events: Any) -> Reply:
        told, cited = "", []
        for event in events:
            match event:
                case Token(text):
                    told += text
                case Cited(each):
                    cited.append(each)
                case Finished(answer):
                    assert isinstance(answer, ServiceAnswer)
                    assert told == answer.text, "what was streamed is what is kept"
                    assert tuple(cited) == answer.citations
                    kept = json.loads(json.dumps({"state": answer.state[STATE], "details": answer.details}))
                    self.state = kept["state"]
                    flow = kept["details"][STATE]
                    assert flow["is_over"] == (self.state is None)
                    return Reply(
                        text=answer.text,
                        kind=answer.kind,
                        choices=flow.get("choices", []),
                        is_over=flow["is_over"],
                        hand_off=answer.hand_off,
                        citations=answer.citations,
                        details=kept["details"],
                    )
        raise AssertionError("no answer came")


def flow_of(*steps: str, slots: str = "", apis: str = "") -> str:
    """A flow's source from its steps, each indented like a list item."""
    parts = ["title: {en: Test, zh: 测试}"]
    parts += [f"apis:\n{apis}"] if apis else []
    parts += [f"slots:\n{slots}"] if slots else []
    return "\n".join((*parts, "steps:", *steps)) + "\n"


def say(id_: str, text: str, next_: str = "") -> str:
    following = f", next: {next_}" if next_ else ""
    return f'  - {{id: {id_}, kind: say, text: {{en: "{text}", zh: "{text}"}}{following}}}'


def collect(slot: str, more: str = "otherwise: end") -> str:
    ask = f"{{en: 'What {slot}?', zh: '什么{slot}？'}}"
    return f"  - {{id: ask_{slot}, kind: collect, slot: {slot}, ask: {ask}, {more}}}"
