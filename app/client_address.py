"""Whose request it is, by address: the real client's, also behind proxies; and who comes straight from this machine.

Owns which part of `X-Forwarded-For` is believed: each proxy appends whom it was asked by, so reading from the right,
the first address that is no trusted proxy's is the client's; what stands left of it anybody may have written.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import Scope

from app.settings import Settings

UNKNOWN = "unknown"

_PROXIES_SAY = frozenset(
    (b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip")
)
_LOCAL_NAME = re.compile(r"(?:(?P<name>localhost)|(?P<number>[0-9.]+|\[[0-9a-f:.]+\]))(?::[0-9]{1,5})?")


def client_address(scope: Scope, settings: Settings) -> str:
    """An IP address in its shortest writing; `unknown` where the server was not told one (a Unix socket)."""
    trusted = _networks(settings.server.trusted_proxies)
    client = scope.get("client")
    address = _address(client[0]) if client else None
    if address is None or not _is_trusted(address, trusted):
        return address or UNKNOWN
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for said in reversed(",".join(forwarded).split(",")):
        before = _address(said.strip())
        if before is None:
            break  # the proxy that is next to us was told nothing that can be believed
        address = before
        if not _is_trusted(address, trusted):
            break
    return address


def counted_address(scope: Scope, settings: Settings) -> str:
    """The client's address as limits count it: of IPv6 its /64, as all of that is one household's or one machine's."""
    address = client_address(scope, settings)
    if ":" not in address:
        return address
    return str(ip_network(f"{address.partition('%')[0]}/64", strict=False))


def is_of_this_machine(scope: Scope) -> bool:
    """Whether a request was addressed to this machine as such, and no proxy and no other machine hands it on."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if any(name in _PROXIES_SAY for name, _ in headers):
        return False
    client = scope.get("client")
    peer = _address(client[0]) if client else None
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
    named = _LOCAL_NAME.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if named is None or not (peer is None or ip_address(peer).is_loopback):
        return False
    host = _address(named["number"] or "")
    return bool(named["name"]) or (host is not None and ip_address(host).is_loopback)


def _address(said: str) -> str | None:
    """Also of `[address]:port` and `address:port`, as some proxies write it. IPv4 in IPv6 is IPv4."""
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        said = said.partition(":")[0]
    try:
        address = ip_address(said)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_trusted(address: str, trusted: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(ip_address(address) in network for network in trusted)


@lru_cache(maxsize=8)
def _networks(named: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(name) for name in named)
