"""Which addresses of the internet may be fetched from: the rule that keeps a list of URLs out of the own network.

Owns the check of a URL's form and of the numeric address that a connection will go to. Resolves no names and opens no
connections: `app.sync.fetch` connects to the very address that was checked here, so that a name cannot change in
between.
Registries: https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from app.settings import FetchSettings

_LONGEST = 990  # an external id has room for 1,000

_NAT64 = IPv6Network("64:ff9b::/96")
# IPv6 networks whose addresses carry an IPv4 address, and its place as bits from the right. RFC 6052, 3056, 4291.
_CARRIERS: tuple[tuple[IPv6Network, int], ...] = (
    (_NAT64, 0),
    (IPv6Network("2002::/16"), 80),
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
)
_LOCAL_TRANSLATION = IPv6Network("64:ff9b:1::/48")  # RFC 8215: whatever a site translates it to
_NEVER: tuple[IPv4Network | IPv6Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/24",
            "fe80::/10",
            "fd00:ec2::/32",  # Amazon
            "168.63.129.16/32",  # Azure
            "100.100.100.200/32",  # Alibaba Cloud
        ),
    )
)
"""Not even on an intranet: this host, link-local, protocol assignments, and clouds' metadata servers."""


class FetchRefused(Exception):
    """The address may not be fetched. The message says why and, where there is one, which setting would allow it."""


def checked_url(text: str, settings: FetchSettings) -> httpx.URL:
    """The URL without its fragment. Raises `FetchRefused` for what is not a plain web address."""
    try:
        url = httpx.URL(text.strip()).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchRefused(f"not a web address ({error})") from error
    if url.scheme not in ("http", "https"):
        raise FetchRefused("not a web address: it must begin with http:// or https://")
    if not url.host:
        raise FetchRefused("it names no host")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise FetchRefused("it holds a user name or password, which would be kept as the document's name")
    if len(str(url)) > _LONGEST:
        raise FetchRefused(f"it is longer than {_LONGEST} characters")
    port = url.port or (443 if url.scheme == "https" else 80)
    if port not in settings.ports:
        raise FetchRefused(f"port {port} is not among ANSWERDESK_FETCH__PORTS")
    return url


def require_allowed(address: str, settings: FetchSettings) -> None:
    """Raises `FetchRefused` unless a connection to this numeric address is allowed."""
    number = ip_address(address)
    for each in _all_in(number):
        _require_allowed(each, settings)


def _all_in(number: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address, and those that routers may take it for."""
    found: list[IPv4Address | IPv6Address] = [number]
    if isinstance(number, IPv6Address):
        carried = [IPv4Address(int(number) >> shift & 0xFFFFFFFF) for net, shift in _CARRIERS if number in net]
        found += carried if int(number) > 1 else []  # :: and ::1 carry nothing
        found += list(number.teredo or ())
        if number.ipv4_mapped is not None or number in _NAT64:
            found.remove(number)  # it is nothing but the IPv4 address
    return found


def _require_allowed(number: IPv4Address | IPv6Address, settings: FetchSettings) -> None:
    is_never = any(number.version == net.version and number in net for net in _NEVER)
    loopback = number.is_loopback
    if is_never or number.is_multicast or number.is_unspecified or (number.is_reserved and not loopback):
        raise FetchRefused(f"{number} is no address that pages are fetched from")
    if isinstance(number, IPv6Address) and number in _LOCAL_TRANSLATION:
        raise FetchRefused(f"{number} is no address that pages are fetched from")
    is_private = not number.is_global or (isinstance(number, IPv6Address) and number.is_site_local)
    if is_private and not settings.allow_private:
        raise FetchRefused(f"{number} is a private address; ANSWERDESK_FETCH__ALLOW_PRIVATE=true allows the intranet")
