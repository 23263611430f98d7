"""Whose request it is, behind proxies and behind those who only say that they are one."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.cli_run import serve
from app.client_address import UNKNOWN, client_address, counted_address
from app.settings import ServerSettings, Settings
from tests.conftest import settings_in

PROXIES = ("10.0.0.0/8", "2001:db8::/32")


def address(peer: str | None, *forwarded: str, proxies: tuple[str, ...] = PROXIES) -> str:
    settings = settings_in(Path("nowhere"), server=ServerSettings(trusted_proxies=proxies))
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    return client_address({"client": (peer, 1) if peer else None, "headers": headers}, settings)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: it may say what it likes
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the left one was sent by the client itself
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.2.3.4"], "198.51.100.1"),  # two headers, two proxies
        ("10.0.0.1", ["198.51.100.1, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:470::1]:4711"], "2001:470::1"),
        ("2001:db8::5", ["2001:470:0:0::1"], "2001:470::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # somebody inside
        (None, ["198.51.100.1"], UNKNOWN),
    ],
)
def test_the_client_is_whom_the_last_trusted_proxy_names(peer: str | None, forwarded: list[str], found: str) -> None:
    assert address(peer, *forwarded) == found


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_nobody_chooses_the_own_address_by_what_it_sends(sent: str) -> None:
    """What a client writes stands left of what the proxy appends, whatever it is."""
    assert address("10.0.0.1", f"{sent}, 198.51.100.1") == "198.51.100.1"
    assert address("203.0.113.9", sent) == "203.0.113.9"


@given(st.ip_addresses(), st.ip_addresses())
def test_without_trusted_proxies_it_is_the_peer(peer: object, said: object) -> None:
    assert address(str(peer), str(said), proxies=()) == address(str(peer), proxies=())


def test_a_proxy_that_is_no_address_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="neither an address nor a network"):
        Settings(_env_file=None, server=ServerSettings(trusted_proxies=("proxy.example.com",)))


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:470:1:2:3::4", "2001:470:1:2::/64"),
        ("2001:470:1:2:ffff::9", "2001:470:1:2::/64"),
        ("2001:470:1:3::4", "2001:470:1:3::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        (None, UNKNOWN),
    ],
)
def test_who_has_a_network_counts_as_one(client: str | None, counted: str) -> None:
    settings = settings_in(Path("nowhere"))
    assert counted_address({"client": (client, 1) if client else None, "headers": []}, settings) == counted


def test_the_server_believes_no_header_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn would take a client's own X-Forwarded-For for its address when a proxy on this machine hands it on."""
    started: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda application, **options: started.update(options))
    serve(settings_in(tmp_path, server=ServerSettings(processes=2)))
    assert started["proxy_headers"] is False
