"""Calls to the APIs that a flow declares: what is sent, to where, how often, and what is taken of the response.

Owns that a call goes to the declared address and nowhere else, that what customers wrote is encoded wherever it stands,
that secrets appear in headers only and in nothing that comes back, and the bounds of time and size. Knows no steps.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import httpx

from app.db import storable_text
from app.service.flows import texts
from app.service.flows.schema import SECRET, Api, Call

_LOG = logging.getLogger(__name__)

_AGAIN = frozenset((429, 502, 503, 504))
_FIRST_PAUSE_S = 0.1
_LONGEST_IN_PATH = 200
REDACTED = "[secret]"

Secrets = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call. `status` is None where nothing came, `problem` says why it failed; `data` is the JSON.

    Neither `problem` nor `data` holds a secret.
    """

    status: int | None
    data: Any = None
    problem: str = ""
    attempts: int = 1


class _CannotCall(Exception):
    """The call was not sent. The message is for admins."""


class _Failed(Exception):
    """The call was sent and nothing good came back."""


def new_client() -> httpx.Client:
    """The client for all calls: keeps no cookies, follows no redirects, and takes nothing from the environment."""
    return httpx.Client(
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
    )


def make(
    step: Call,
    api: Api,
    *,
    base_url: str,
    values: Mapping[str, Any],
    key: str,
    client: httpx.Client,
    secret: Secrets,
) -> Outcome:
    """The outcome of a step's call with these values; never raises for what the other side, or a customer, does.

    `key` is the Idempotency-Key (`app.service.flows.progress.Progress.key`). A call is repeated only when doing it
    twice is the same as once.
    """
    used: dict[str, str] = {}
    try:
        headers = {name: _with_secrets(value, secret, used) for name, value in api.headers.items()}
        url = _url(step, base_url, values)
        body = None if step.body is None else json.dumps(filled_body(step.body, values)).encode()
    except _CannotCall as error:
        return Outcome(None, problem=redacted(str(error), used.values()), attempts=0)
    headers |= {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Answerdesk"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if step.method != "GET":
        headers["Idempotency-Key"] = key
    attempts = 1 + (api.retries if step.method in ("GET", "PUT", "DELETE") or api.honours_key else 0)
    outcome = Outcome(None)
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            time.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 2))
        try:
            status, data, problem = _once(client, step.method, url, headers, body, api)
            outcome = Outcome(status, redacted(data, used.values()), problem, attempt)
            if status not in _AGAIN:
                return outcome
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, _Failed) as error:
            said = redacted(f"{type(error).__name__.lstrip('_')}: {error}", used.values())
            outcome = Outcome(None, problem=said, attempts=attempt)
            _LOG.warning("A flow's call to %s failed: %s", step.api, said)
            if isinstance(error, _Failed) or not isinstance(error, httpx.TransportError):
                return outcome
    return outcome


def filled_body(part: Any, values: Mapping[str, Any]) -> Any:
    """JSON with values in place of names: a text that is one name becomes the value as it is, of its own type."""
    match part:
        case str() if whole := texts.PLACEHOLDER.fullmatch(part):
            return texts.value_of(whole[1], values)
        case str():
            return texts.filled(part, values, _plain)
        case Mapping():
            return {name: filled_body(each, values) for name, each in part.items()}
        case list():
            return [filled_body(each, values) for each in part]
        case _:
            return part


def redacted(value: Any, secrets: Any) -> Any:
    """The value, a text or JSON, without any of these secrets anywhere in it."""
    match value:
        case str():
            for secret in secrets:
                for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                    value = value.replace(form, REDACTED)
            return value
        case Mapping():
            return {redacted(name, secrets): redacted(each, secrets) for name, each in value.items()}
        case list() | tuple():
            return [redacted(each, secrets) for each in value]
        case _:
            return value


def _with_secrets(value: str, secret: Secrets, used: dict[str, str]) -> str:
    for name in SECRET.findall(value):
        known = secret(name)
        if not known:
            raise _CannotCall(f"the secret {name} is not set: ANSWERDESK_SECRET_{name} in the environment")
        if not known.isascii() or not known.isprintable():
            raise _CannotCall(f"the secret {name} holds characters that no header can have")
        used[name] = known
    return SECRET.sub(lambda found: used[found[1]], value)


def _url(step: Call, base_url: str, values: Mapping[str, Any]) -> httpx.URL:
    """The address, which is surely beneath the declared one."""
    base = httpx.URL(base_url)
    path = texts.filled(step.path, values, _path_part)
    url = base.copy_with(raw_path=(base.path.rstrip("/") + path).encode("ascii"))
    if step.query:
        url = url.copy_with(params={name: texts.filled(text, values, _plain) for name, text in step.query.items()})
    if (url.scheme, url.host, url.port, url.userinfo) != (base.scheme, base.host, base.port, base.userinfo):
        raise _CannotCall("the address would lead to another host")
    return url


def _path_part(value: Any) -> str:
    """A value as one part of a path. Some servers take %2F for a slash: so there is none, encoded or not."""
    text = _plain(value)
    if not text or len(text) > _LONGEST_IN_PATH or text.strip(".") == "" or not text.isprintable():
        raise _CannotCall("a value cannot stand in a path: it is empty, too long, or only dots")
    if any(sign in text for sign in "/\\%?#;"):
        raise _CannotCall("a value cannot stand in a path: it holds a sign that has a meaning there")
    return quote(text, safe="")


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str() | int() | float():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _once(
    client: httpx.Client, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None, api: Api
) -> tuple[int, Any, str]:
    """Status, JSON and problem of one request. Raises `httpx.HTTPError`, or `_Failed` for what is too much or no JSON.

    httpx bounds each silence; the whole is bounded here, so that a trickle does not go on for ever.
    """
    deadline = time.monotonic() + api.timeout_s
    largest = api.largest_kb * 1024
    received = bytearray()
    with client.stream(
        *(method, url), headers=headers, content=body, timeout=httpx.Timeout(api.timeout_s), follow_redirects=False
    ) as response:
        if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise _Failed("the response is compressed, which was not asked for")
        for part in response.iter_bytes():  # as it comes: parts of a size would be waited for
            received += part
            if len(received) > largest:
                raise _Failed(f"the response is larger than {api.largest_kb} KiB")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the response took too long")
    if response.is_redirect:
        raise _Failed(f"it answered {response.status_code}: redirects are not followed")
    if not received and (response.status_code == 204 or not response.is_success):
        return response.status_code, None, ""
    try:
        return response.status_code, _json(bytes(received)), ""
    except (ValueError, RecursionError) as error:
        if response.is_success:
            raise _Failed("the response is no JSON") from error
        return response.status_code, None, "the response is no JSON"


def _json(received: bytes) -> Any:
    """JSON as it can be kept: no NaN, no NUL, no halves of characters."""
    data = json.loads(received.decode("utf-8"), parse_constant=_no_constant)
    storable_text(json.dumps(data, ensure_ascii=False).replace("\\u0000", "\0"))
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
