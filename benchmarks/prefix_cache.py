"""What the order of a prompt is worth: prefix-cache hits and time to first token over a conversation.

    python -m benchmarks.prefix_cache --url http://127.0.0.1:8000/v1 --model smollm2-moe

Holds the same conversation with a served model in three orders, a turn of each in alternation: ours (rules, history
that goes in blocks, passages, question), the same with a sliding history (the oldest turns go at every turn), and
passages-first (rules, passages, history, question). Every turn has other passages; the answers in the history are the
same for all. Reads vLLM's counters of its prefix cache, so nobody else should use the server meanwhile.
"""

import argparse
import re
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage

from model_runtime.chat.client import ChatClient
from rag.answerers.generative.history import HistoryLimits
from rag.answerers.generative.prompt import messages_for
from rag.types import Hit, Passage, Question, Span, Turn

ORDERS = ("ours", "sliding history", "passages-first")
PASSAGES = 3
SLIDING_TURNS = 6
MANUALS = Path(__file__).parent.parent / "docs"


@dataclass(slots=True)
class Side:
    """One order's conversation so far, and what each turn cost: tokens, tokens found in the cache, milliseconds."""

    order: str
    pool: list[Hit]
    turns: list[Turn] = field(default_factory=list)
    queried: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    first_token_ms: list[float] = field(default_factory=list)

    def ask(self, model: ChatClient, url: str) -> None:
        turn = len(self.turns) // 2
        hits = [self.pool[(turn * PASSAGES + number) % len(self.pool)] for number in range(PASSAGES)]
        question = f"What does {hits[0].passage.title} say about this, in its point {turn + 1}?"
        queried, found = _counters(url)
        self.first_token_ms.append(_first_token_ms(model, self.prompt(question, hits)))
        queried_after, found_after = _counters(url)
        self.queried.append(queried_after - queried)
        self.found.append(found_after - found)
        answer = " ".join(hits[0].passage.text.split()[:50])
        self.turns += [Turn("customer", question), Turn("assistant", answer)]

    def prompt(self, question: str, hits: Sequence[Hit]) -> list[BaseMessage]:
        turns = self.turns[-SLIDING_TURNS:] if self.order == "sliding history" else self.turns
        rules, *history, last = messages_for(Question(question, tuple(turns)), hits, HistoryLimits(), images=False)
        if self.order != "passages-first":
            return [rules, *history, last]
        passages, delimiter, asked = last.text.partition("<question>")
        return [SystemMessage(f"{rules.text}\n\n{passages}"), *history, HumanMessage(delimiter + asked)]


def main() -> None:
    arguments = _arguments()
    model = ChatClient(
        model=arguments.model,
        base_url=arguments.url,
        temperature=0.0,
        max_tokens=4,
        first_token_timeout_s=600,
        between_tokens_timeout_s=600,
        timeout=600,
    )
    _first_token_ms(model, [HumanMessage("Hello")])
    runs = [
        _conversation(model, arguments.url, arguments.turns, arguments.passage_characters)
        for _ in range(arguments.repeats)
    ]
    _print(runs)


def _conversation(model: ChatClient, url: str, turns: int, passage_characters: int) -> list[Side]:
    sides = [Side(order, _pool(passage_characters)) for order in ORDERS]
    for turn in range(turns):
        start = turn % len(sides)
        for side in sides[start:] + sides[:start]:
            side.ask(model, url)
        done = "  ".join(f"{side.order} {side.found[-1]:.0f}/{side.queried[-1]:.0f}" for side in sides)
        print(f"turn {turn + 1}: cached {done}", file=sys.stderr, flush=True)
    return sides


def _pool(characters: int) -> list[Hit]:
    """Passages under a title of their own, so that no conversation profits from another beyond the rules."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MANUALS.glob("*.md")))
    title = f"manual {uuid.uuid4().hex[:8]}"
    starts = range(0, len(text) - characters, characters)
    return [_hit(title, number, text[start : start + characters]) for number, start in enumerate(starts)]


def _hit(title: str, number: int, text: str) -> Hit:
    passage = Passage(
        key=number,
        id=str(number),
        document_key=1,
        document_id="1",
        document_version=1,
        external_id=title,
        title=title,
        heading_path=(),
        spans=(Span(number + 1, 0, len(text)),),
        page_label=None,
        text=text,
        windows=(),
    )
    return Hit(passage, 1.0, {})


def _first_token_ms(model: ChatClient, messages: Sequence[BaseMessage]) -> float:
    """Until the first word; the rest is read too, so that the server is free for the next."""
    started = time.perf_counter()
    first: float | None = None
    for chunk in model.stream(list(messages)):
        if first is None and isinstance(chunk, AIMessageChunk) and chunk.text:
            first = (time.perf_counter() - started) * 1000
    if first is None:
        raise SystemExit("The model said nothing; a random one may do so. Try another --model.")
    return first


def _counters(url: str) -> tuple[float, float]:
    """Tokens that vLLM has looked up in its prefix cache since its start, and those it found there."""
    text = httpx.get(url.removesuffix("/").removesuffix("/v1") + "/metrics", timeout=60).text
    values = [
        sum(float(value) for value in re.findall(rf"(?m)^vllm:prefix_cache_{name}(?:_total)?{{[^}}]*}} (\S+)$", text))
        for name in ("queries", "hits")
    ]
    if not values[0]:
        raise SystemExit("The server's /metrics count no prefix cache; is it vLLM, with --enable-prefix-caching?")
    return values[0], values[1]


def _print(runs: Sequence[Sequence[Side]]) -> None:
    sides = {order: [run[number] for run in runs] for number, order in enumerate(ORDERS)}
    print("turn  " + "".join(f"{order:>34}" for order in ORDERS))
    print("      " + f"{'tokens':>12}{'cached':>9}{'ttft ms':>13}" * len(ORDERS))
    for turn in range(len(runs[0][0].queried)):
        row = [
            f"{statistics.median(side.queried[turn] for side in sides[order]):>12.0f}"
            f"{statistics.median(side.found[turn] for side in sides[order]):>9.0f}"
            f"{statistics.median(side.first_token_ms[turn] for side in sides[order]):>13.0f}"
            for order in ORDERS
        ]
        print(f"{turn + 1:>4}  " + "".join(row))
    for order in ORDERS:
        queried = sum(sum(side.queried) for side in sides[order])
        found = sum(sum(side.found) for side in sides[order])
        later = [ms for side in sides[order] for ms in side.first_token_ms[1:]]
        print(
            f"{order}: hit rate {found / queried:.3f}, median time to first token from turn 2 on "
            f"{statistics.median(later):.0f} ms, mean {statistics.mean(later):.0f} ms"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prefix-cache hits and time to first token by the order of a prompt.")
    parser.add_argument("--url", required=True, help="address of the server, ending in /v1")
    parser.add_argument("--model", required=True, help="served name of the model")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--passage-characters", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
