"""Calls: to the declared address only, everything a customer wrote encoded, secrets nowhere, and bounds on all."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from app.service.flows import calls
from app.service.flows.calls import Outcome, make, new_client
from app.service.flows.schema import Api, Call
from tests.app.live_app import live

SECRET = "s3cret-/+value"
HOSTILE = [
    "../../admin",
    "..",
    ".",
    "a/b",
    "a%2Fb",
    "a\\b",
    "a?x=1",
    "a#b",
    "a;b",
    "\r\nX-Evil: 1",
    "@evil.example",
    "//evil.example/",
    "http://evil.example/",
    "a\0b",
    "",
    "   ",
    "x" * 5000,
    "\u202e",
    "{customer}",
    "${secret.TOKEN}",
]


def api(**more: Any) -> Api:
    headers = {"Authorization": "Bearer ${secret.TOKEN}"}
    return Api(url="http://shop.example:81/base", **{"retries": 0, "headers": headers, **more})


def step(**more: Any) -> Call:
    return Call(id="look", kind="call", api="shop", failed="end", **{"path": "/orders/{value}", **more})


def secret(name: str) -> str | None:
    return SECRET if name == "TOKEN" else None


def called(
    answer: Callable[[httpx.Request], httpx.Response], step: Call, api: Api, value: Any = "A1", **more: Any
) -> tuple[Outcome, list[httpx.Request]]:
    """What came of a call, and what was sent."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer(request)

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        given_values = {"values": {"value": value}, "key": "message-1:it.look", "secret": secret, **more}
        return make(step, api, base_url=api.url, client=client, **given_values), sent


def fine(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"fine": True})


def stays_home(request: httpx.Request) -> bool:
    return (request.url.scheme, request.url.host, request.url.port) == ("http", "shop.example", 81)


@given(st.one_of(st.text(max_size=300), st.sampled_from(HOSTILE)))
def test_whatever_a_customer_writes_stays_one_part_of_the_path(text: str) -> None:
    outcome, sent = called(fine, step(), api(), text)
    assert bool(sent) == (outcome.status == 200)
    for request in sent:
        assert stays_home(request)
        raw = request.url.raw_path.decode()
        assert raw.startswith("/base/orders/")
        assert raw.count("/") == 3
        assert not set("?#;\\").intersection(raw)
        assert request.url.path == f"/base/orders/{text}"
    if not sent:
        assert outcome.problem


@given(st.one_of(st.text(max_size=300), st.sampled_from(HOSTILE)))
def test_whatever_a_customer_writes_stays_one_value_of_query_and_body(text: str) -> None:
    wanted = step(
        path="/search", method="POST", query={"q": "{value}", "fixed": "1"}, body={"a": ["<{value}>"], "b": "{value}"}
    )
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    _, (request,) = called(fine, wanted, api(), text)
    assert stays_home(request)
    assert request.url.path == "/base/search"
    assert list(request.url.params.multi_items()) == [("q", text), ("fixed", "1")]
    assert json.loads(request.content) == {"a": [f"<{text}>"], "b": text}
    assert request.headers["host"] == "shop.example:81"
    assert [name for name, _ in request.headers.multi_items() if "evil" in name.lower()] == []


def test_values_keep_their_types_in_a_body() -> None:
    wanted = step(path="/x", method="PUT", body={"n": "{value}", "t": "n={value}", "fixed": [1, None, True]})
    for value, text in ((3, "n=3"), (2.5, "n=2.5"), (True, "n=true"), ({"a": 1}, 'n={"a": 1}'), (None, "n=")):
        _, (request,) = called(fine, wanted, api(), value)
        assert json.loads(request.content) == {"n": value, "t": text, "fixed": [1, None, True]}


def test_a_secret_goes_into_its_header_and_comes_back_from_nowhere() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"]
        return httpx.Response(200, json={"said": [token, {token: 1}], "quoted": "s3cret-%2F%2Bvalue"})

    outcome, (request,) = called(echo, step(), api())
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert outcome.data == {"said": ["Bearer [secret]", {"Bearer [secret]": 1}], "quoted": "[secret]"}

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no way with {request.headers['authorization']}")

    assert SECRET not in called(broken, step(), api())[0].problem


@pytest.mark.parametrize("value", [None, "", "line\nbreak", "naïve"])
def test_a_secret_that_cannot_be_sent_stops_the_call(value: str | None) -> None:
    outcome, sent = called(fine, step(), api(), secret=lambda _: value)
    assert (sent, outcome.attempts) == ([], 0)
    assert "TOKEN" in outcome.problem
    assert "naïve" not in outcome.problem


@pytest.mark.parametrize(
    ("method", "honours", "attempts"),
    [
        ("GET", False, 3),
        ("PUT", False, 3),
        ("DELETE", False, 3),
        ("POST", False, 1),
        ("PATCH", False, 1),
        ("POST", True, 3),
    ],
)
def test_only_what_may_be_done_twice_is_sent_again(method: str, honours: bool, attempts: int) -> None:
    def busy(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503)

    def slow(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow")

    wanted = step(method=method, **({"body": {}} if method in ("POST", "PUT", "PATCH") else {}))
    for answer in (busy, slow):
        outcome, sent = called(answer, wanted, api(retries=2, honours_key=honours))
        assert len(sent) == outcome.attempts == attempts
        keys = {request.headers.get("idempotency-key") for request in sent}
        assert keys == {None if method == "GET" else "message-1:it.look"}


def test_what_is_final_is_not_asked_again() -> None:
    for status in (200, 201, 204, 301, 400, 401, 404, 409, 500):
        outcome, sent = called(lambda _, status=status: httpx.Response(status), step(), api(retries=3))  # type: ignore[misc]
        assert len(sent) == 1
        assert outcome.status == (None if status in (200, 201, 301) else status)


def test_a_second_try_may_succeed() -> None:
    answers = [httpx.Response(502), httpx.Response(200, json={"a": 1})]
    outcome, _ = called(lambda _: answers.pop(0), step(), api(retries=1))
    assert outcome == Outcome(200, {"a": 1}, "", 2)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b'{"a": NaN}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a": 1'],
)
def test_malformed_responses_are_failures_with_a_reason(body: bytes) -> None:
    outcome, _ = called(lambda _: httpx.Response(200, content=body), step(), api())
    assert outcome.status is None
    assert "is no JSON" in outcome.problem


async def _trickle(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(2000):
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(parts())


async def _endless(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    return StreamingResponse(parts())


async def _bomb(request: Request) -> Response:
    return Response(gzip.compress(b"0" * 10_000_000), headers={"content-encoding": "gzip"})


async def _away(request: Request) -> Response:
    return RedirectResponse("/seen")


async def _cookie(request: Request) -> Response:
    response = JSONResponse({"cookies": dict(request.cookies)})
    response.set_cookie("who", "anna")
    return response


@contextmanager
def hostile_server() -> Iterator[str]:
    routes = [Route(f"/{each.__name__[1:]}", each) for each in (_trickle, _endless, _bomb, _away, _cookie)]
    with live(FastAPI(routes=routes)) as client:
        yield str(client.base_url).rstrip("/")


def test_a_real_server_that_means_harm() -> None:
    with hostile_server() as url, new_client() as client:

        def call(path: str) -> Outcome:
            wanted = Api(url=url, timeout_s=0.5, retries=0, largest_kb=64)
            return make(step(path=path), wanted, base_url=url, values={}, key="k", client=client, secret=secret)

        started = time.monotonic()
        assert "too long" in call("/trickle").problem
        assert "larger than 64 KiB" in call("/endless").problem
        assert time.monotonic() - started < 60  # and not the hundred seconds of the trickle, or for ever
        assert "compressed" in call("/bomb").problem
        assert "redirects are not followed" in call("/away").problem
        for _ in range(2):
            assert call("/cookie").data == {"cookies": {}}
        assert calls.make(
            *(step(path="/x"), Api(url="http://127.0.0.1:9", retries=0)),
            base_url="http://127.0.0.1:9",
            values={},
            key="k",
            client=client,
            secret=secret,
        ).problem.startswith("ConnectError")


def test_the_environment_sends_no_call_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with hostile_server() as url, new_client() as client:
        outcome = make(
            *(step(path="/cookie"), Api(url=url)), base_url=url, values={}, key="k", client=client, secret=secret
        )
        assert outcome.status == 200
