"""`runtime bench` against servers whose pace and faults are known: what it asks, what it counts, what it times.

No test depends on how fast this machine is: times are only compared with each other.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from model_runtime.bench.errors import BenchError
from model_runtime.bench.figures import Figures, Round, StreamRecord, figures_of
from model_runtime.bench.http_server import Reply, Request
from model_runtime.bench.load_generator import generator_cost, http_client, serving, stub_process
from model_runtime.bench.measure import Load, measure
from model_runtime.bench.relay import Relay, RelayedAnswer
from model_runtime.bench.streams import openai_stream
from model_runtime.bench.stub_server import PacedStream
from model_runtime.bench.sweep import measure_leg
from model_runtime.bench.targets import AnswerdeskTarget, ModelTarget, inspect_server
from tests.fakes.paced_server import Fault, paced

QUICK = PacedStream((" one", " two", " three"), (0.0, 0.0, 0.0))


def leg(
    paces: Sequence[PacedStream], faults: dict[int, Fault] | None = None, **load: int
) -> tuple[Figures, list[dict[str, Any]]]:
    """Figures of one leg straight at a paced server, and the requests that it got."""

    async def run(address: str) -> Figures:
        async with http_client(address, timeout_s=30) as client:
            found = await inspect_server(client)
            target = ModelTarget(
                client, found.model, found.vocabulary, load.get("prompt", 16), load.get("output", 5), random.Random(3)
            )
            measured = await measure_leg(target, streams=load.get("streams", 2), questions=load.get("questions", 2))
            return figures_of([measured])

    with paced(paces, faults) as server:
        figures = asyncio.run(run(server.address))
        return figures, list(server.bodies)


def test_every_request_has_its_own_prompt_of_exactly_the_wanted_length_and_every_token_is_counted() -> None:
    figures, bodies = leg([QUICK], prompt=37, output=50, streams=3, questions=4)
    assert figures.requests == 12
    assert not figures.errors
    assert (figures.prompt_tokens, figures.output_tokens) == (37, 50)
    assert {len(body["prompt"]) for body in bodies} == {37}
    assert len({tuple(body["prompt"]) for body in bodies}) == 12
    wanted = {"max_tokens": 50, "min_tokens": 50, "ignore_eos": True, "stream": True}
    assert all(body.items() >= wanted.items() for body in bodies)
    assert figures.output_tokens_per_s == pytest.approx(12 * 50 / figures.wall_s)


def test_the_same_seed_asks_the_same() -> None:
    assert leg([QUICK], streams=1)[1] == leg([QUICK], streams=1)[1]


def test_failed_answers_are_counted_by_kind_and_are_in_no_other_figure() -> None:
    faults = {1: Fault.REFUSED, 3: Fault.CUT, 4: Fault.ERROR_EVENT, 6: Fault.SHORT, 7: Fault.REFUSED}
    figures, _ = leg([QUICK], faults, streams=1, questions=10)
    assert figures.requests == 5
    assert sum(figures.errors.values()) == 5
    kinds = Counter(figures.errors)
    assert kinds["HTTP 503: too many requests"] == 2
    assert kinds["engine died"] == 1
    assert kinds["the stream ended without [DONE]"] == 1
    assert sum(count for text, count in kinds.items() if "Error" in text) == 1  # httpx's name for a cut connection
    assert figures.output_tokens == 5


def test_a_server_that_delays_its_first_token_is_seen_to() -> None:
    delay = 250.0
    plain, _ = leg([PacedStream((" a", " b"), (20.0, 1.0))], streams=2)
    delayed, _ = leg([PacedStream((" a", " b"), (20.0 + delay, 1.0))], streams=2)
    assert plain.first_token_ms.p50 is not None
    assert delayed.first_token_ms.p50 is not None
    assert plain.first_token_ms.p50 >= 20.0 * 0.9
    assert delayed.first_token_ms.p50 - plain.first_token_ms.p50 >= delay * 0.9 - max(plain.first_token_ms.p50 - 20, 0)


def test_the_time_between_tokens_is_that_of_the_server() -> None:
    figures, _ = leg([PacedStream((" a", " b", " c"), (0.0, 40.0, 120.0))], output=3, streams=1, questions=3)
    assert figures.inter_token_ms.p50 is not None
    assert figures.inter_token_ms.p99 is not None
    # Half of the gaps are 40 ms, half 120 ms: the median lies between, whatever either suffers here.
    assert figures.inter_token_ms.p50 >= 40 * 0.9
    assert figures.inter_token_ms.p99 >= 120 * 0.9
    assert figures.wall_s >= 3 * 0.160 * 0.9


def test_streams_of_a_leg_run_at_the_same_time() -> None:
    slow = PacedStream((" a", " b"), (300.0, 1.0))
    one_after_another = 6 * 0.3
    figures, _ = leg([slow], output=2, streams=6, questions=1)
    assert figures.requests == 6
    assert figures.wall_s < one_after_another


def test_the_relay_makes_answers_as_long_as_wanted_counts_them_and_changes_nothing_else() -> None:
    async def run(address: str) -> None:
        async with http_client(address) as server:
            relay, sampling = Relay(server, length=40), {"temperature": 0.3, "top_p": 0.9}
            async with serving(relay.handle) as relayed, http_client(relayed) as client:
                asked = {
                    "model": "stub",
                    "messages": [{"role": "user", "content": "How?"}],
                    "max_tokens": 7,
                    "stop": ["b"],
                }
                record = await openai_stream(client, "/v1/chat/completions", {**asked, **sampling})
                assert (record.error, record.output_tokens, len(record.arrivals)) == ("", 40, 40)
                (relayed_answer,) = relay.answers
                assert await relay.answer_to("How?") is relayed_answer
                assert await relay.answer_to("Why?") is None
                counted = (relayed_answer.prompt_tokens, relayed_answer.output_tokens, relayed_answer.was_cut)
                assert counted == (record.prompt_tokens, 40, False)
                assert (
                    "".join(relayed_answer.pieces) == "".join(QUICK.pieces * 14)[: len("".join(relayed_answer.pieces))]
                )
                assert relayed_answer.messages == asked["messages"]

    with paced([QUICK]) as server:
        asyncio.run(run(server.address))
        (body,) = server.bodies
    assert body["temperature"] == 1.0, "so that it does not repeat itself and is cut off for it"
    assert body["top_p"] == 0.9
    assert "stop" not in body
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"]) == (40, 40, True)


def test_the_relay_passes_refusals_on_and_breaks_off_where_the_server_does() -> None:
    async def run(address: str) -> list[str]:
        async with (
            http_client(address) as server,
            serving(Relay(server).handle) as relayed,
            http_client(relayed) as client,
        ):
            asked = {"model": "stub", "messages": [{"role": "user", "content": "How?"}]}
            return [(await openai_stream(client, "/v1/chat/completions", asked)).error for _ in range(3)]

    with paced([QUICK], {0: Fault.REFUSED, 1: Fault.CUT}) as server:
        refused, cut, fine = asyncio.run(run(server.address))
    assert refused == "HTTP 503: too many requests"
    assert cut
    assert fine == ""


def test_what_is_counted_is_there_before_its_reader_can_ask_and_failed_answers_count_for_nothing() -> None:
    """Answers are asked for in the very moment in which their last event is read."""
    questions = [f"Question ({number})?" for number in range(4)]

    async def run(address: str) -> list[StreamRecord]:
        async with (
            http_client(address) as server,
            serving((relay := Relay(server, length=6)).handle) as relayed,
            http_client(relayed) as client,
        ):
            records = []
            for question in questions:
                asked = {"model": "stub", "messages": [{"role": "user", "content": question}]}
                record = await openai_stream(client, "/v1/chat/completions", asked)
                target = AnswerdeskTarget(client, "manuals", [question], relay)
                records += await target.counted([replace(record, prompt_tokens=0, output_tokens=0)])
            return records

    with paced([QUICK], {1: Fault.CUT, 2: Fault.REFUSED}) as server:
        records = asyncio.run(run(server.address))
    assert [bool(record.error) for record in records] == [False, True, True, False]
    figures = figures_of([Round(tuple(records), 1.0)])
    assert (figures.requests, figures.cut, figures.output_tokens, figures.output_tokens_per_s) == (2, 0, 6, 12)


def test_an_answer_that_its_reader_leaves_has_the_pieces_that_came() -> None:
    async def run(address: str) -> RelayedAnswer:
        async with (
            http_client(address) as server,
            serving((relay := Relay(server)).handle) as relayed,
            http_client(relayed) as client,
        ):
            asked = {"model": "stub", "messages": [{"role": "user", "content": "How?"}], "stream": True}
            async with client.stream("POST", "/v1/chat/completions", json=asked) as response:
                async for _ in response.aiter_bytes():
                    break
        (answer,) = relay.answers
        return answer

    with paced([PacedStream((" one", " two"), (0.0, 60_000.0))]) as server:
        answer = asyncio.run(run(server.address))
    assert (answer.was_cut, answer.prompt_tokens, answer.output_tokens) == (True, 0, 1)


def test_a_server_that_is_gone_is_told_by_the_relay() -> None:
    async def run(address: str) -> list[int]:
        async with (
            http_client(address) as server,
            serving(Relay(server).handle) as relayed,
            http_client(relayed, timeout_s=10) as client,
        ):
            asked = {"model": "stub", "messages": [{"role": "user", "content": "How?"}], "stream": True}
            answers = [await client.get("/v1/models"), await client.post("/v1/chat/completions", json=asked)]
            return [answer.status_code for answer in answers]

    with paced([QUICK]) as server:
        address = server.address
    assert asyncio.run(run(address)) == [502, 502]


def test_a_handler_that_fails_keeps_nobody_waiting() -> None:
    async def broken(request: Request, reply: Reply) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with serving(broken) as address, http_client(address, timeout_s=10) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")

    asyncio.run(run())


def test_a_stub_of_its_own_process_ends_with_the_context() -> None:
    with stub_process() as address:
        assert asyncio.run(_model_at(address)) == "stub"
    with pytest.raises(BenchError, match="no vLLM answers"):
        asyncio.run(_model_at(address))


async def _model_at(address: str) -> str:
    async with http_client(address, timeout_s=5) as client:
        return (await inspect_server(client)).model


def test_the_cost_of_the_generator_is_measured() -> None:
    cost = asyncio.run(generator_cost())
    assert cost.token_us > 0
    assert cost.share_of_core(1000, relayed=False) == pytest.approx(cost.token_us / 1000)


def test_a_model_that_is_not_served_is_named_with_those_that_are() -> None:
    async def run(address: str) -> None:
        async with http_client(address) as client:
            await inspect_server(client, "other")

    with paced([QUICK]) as server, pytest.raises(BenchError, match="'other', but: stub"):
        asyncio.run(run(server.address))


def test_without_answerdesk_the_sweep_measures_every_cell_at_the_server_alone() -> None:
    load = Load(streams=(1, 3), prompt_tokens=(8, 16), output_tokens=4, rounds=2)

    async def run(address: str) -> None:
        async with http_client(address) as client:
            cells = await measure(load, client, await inspect_server(client), None)
            assert [(cell.prompt_tokens, cell.streams) for cell in cells] == [(8, 1), (8, 3), (16, 1), (16, 3)]
            assert [cell.figures["model"].requests for cell in cells] == [2, 6, 2, 6]
            assert all(list(cell.figures) == ["model"] for cell in cells)

    with paced([QUICK]) as server:
        asyncio.run(run(server.address))


def test_more_than_the_server_reads_is_refused_before_anything_is_measured() -> None:
    async def run(address: str) -> None:
        async with http_client(address) as client:
            await measure(Load(prompt_tokens=(2_000_000,)), client, await inspect_server(client), None)

    with paced([QUICK]) as server:
        with pytest.raises(BenchError, match="context of 1000000"):
            asyncio.run(run(server.address))
        assert not server.bodies
