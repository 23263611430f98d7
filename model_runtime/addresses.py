"""What a host to listen on means: who can reach it, and how our own programs do. Knows no settings."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than localhost counts as reachable from elsewhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def as_reached(host: str) -> str:
    """A host as it stands in an address; one that means every interface is reached over loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
