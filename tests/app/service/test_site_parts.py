"""The parts that a site's safety rests on: origins, themes, the secret, identities, limits."""

import base64
import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.errors import RateLimited, Unauthorized, Unavailable
from app.models import now
from app.service.sites.identity import IdentityKey, customer_of
from app.service.sites.rate_limits import OpenStreams, RateLimit
from app.service.sites.secret import FILE, installation_secret
from app.service.sites.settings import SiteSettings, as_origin
from app.settings import ServerSettings
from tests.conftest import settings_in

SITE = "0190c2d4-0000-7000-8000-000000000001"
SECRET = "a secret that only the shop's backend knows"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example:443/", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, origin: str) -> None:
    assert as_origin(given) == origin


@pytest.mark.parametrize(
    "given",
    [
        "http://shop.example",
        "https://*.example",
        "*",
        "null",
        "https://shop.example/path",
        "https://shop.example?x",
        "https://user@shop.example",
        "https://shop.example:99999",
        "https://shop.example:0",
        "ftp://shop.example",
        "file:///etc",
        "https://",
        "https://shop.example\r\nX: y",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_single_safe_origin_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"origin|https"):
        as_origin(given)


@given(st.text(max_size=60))
def test_whatever_is_taken_for_an_origin_is_one_and_stays_it(text: str) -> None:
    try:
        origin = as_origin(text)
    except ValueError:
        return
    assert as_origin(origin) == origin
    assert origin.isascii()
    assert not set(origin) & set("*@?# \r\n<>\"'")


@pytest.mark.parametrize(
    "theme",
    [
        {"--answerdesk-accent": "url(https://evil.example/x)"},
        {"--answerdesk-accent": "red; background: blue"},
        {"--answerdesk-accent": "expression(alert(1))"},
        {"--answerdesk-accent": "image-set('//evil.example')"},
        {"--answerdesk-accent": "red}"},
        {"color": "red"},
        {"--other": "red"},
    ],
)
def test_a_theme_holds_colours_and_lengths_and_nothing_that_loads_or_breaks_out(theme: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SiteSettings(theme=theme)
    assert SiteSettings(theme={"--answerdesk-accent": "rgb(0 10 20 / 50%)", "--answerdesk-radius": "0.5rem"})


def test_the_secret_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: installation_secret(settings), range(32)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 32
    path = settings.home_folder / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [FILE]
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="chmod 600"):
        installation_secret(settings)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(Unavailable, match="damaged"):
        installation_secret(settings)


def test_several_machines_share_the_secret_of_the_settings(tmp_path: Path) -> None:
    server = ServerSettings(token_secret=SecretStr("s" * 32))
    assert installation_secret(settings_in(tmp_path, server=server)) == b"s" * 32
    with pytest.raises(ValidationError):
        ServerSettings(token_secret=SecretStr("short"))


def pems(key: Any) -> tuple[str, str]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return private, public


KEYS = {
    "EdDSA": pems(ed25519.Ed25519PrivateKey.generate()),
    "ES256": pems(ec.generate_private_key(ec.SECP256R1())),
    "RS256": pems(rsa.generate_private_key(65537, 2048)),
    "HS256": (SECRET, SECRET),
}


def claims(**other: Any) -> dict[str, Any]:
    at = int(now().timestamp())
    all_of_them = {"sub": "c-17", "name": "Ada", "aud": SITE, "iat": at, "exp": at + 600, **other}
    return {name: value for name, value in all_of_them.items() if value is not None}


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_customer_is_whom_the_sites_own_key_has_signed(algorithm: str) -> None:
    private, public = KEYS[algorithm]
    identity = {"algorithm": algorithm, "key": public}
    signed = jwt.encode(claims(role="admin", attributes={"tier": "gold"}), private, algorithm=algorithm)
    assert customer_of(signed, SITE, identity) == {"id": "c-17", "name": "Ada", "attributes": {"tier": "gold"}}
    for other in KEYS.keys() - {algorithm}:
        with pytest.raises(Unauthorized):
            customer_of(jwt.encode(claims(), KEYS[other][0], algorithm=other), SITE, identity)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"exp": 1_600_000_000, "iat": 1_599_999_000}, "expired"),
        ({"exp": None}, "needs the claims"),
        ({"iat": None}, "needs the claims"),
        ({"sub": None}, "needs the claims"),
        ({"aud": None}, "needs the claims"),
        ({"aud": "another site"}, "audience"),
        ({"aud": [SITE, "another site"]}, "audience"),
        ({"exp": 9_999_999_999}, "24 hours"),
        ({"nbf": 9_999_999_999}, "not valid yet"),
        ({"iat": 9_999_999_000, "exp": 9_999_999_999}, "not valid yet"),
        ({"sub": ""}, "claims are not valid: sub"),
        ({"sub": "x" * 300}, "claims are not valid: sub"),
        ({"name": "a\nb"}, "claims are not valid: name"),
        ({"attributes": {str(n): n for n in range(30)}}, "claims are not valid: attributes"),
        ({"attributes": {"deep": {"er": 1}}}, "claims are not valid: attributes"),
    ],
)
def test_a_signed_identity_that_does_not_hold_is_refused(wrong: dict[str, Any], told: str) -> None:
    signed = jwt.encode(claims(**wrong), SECRET, algorithm="HS256")
    with pytest.raises(Unauthorized, match=told):
        customer_of(signed, SITE, {"algorithm": "HS256", "key": SECRET})


def unsigned(header: dict[str, str], body: dict[str, Any], signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (header, body)]
    return ".".join((*parts, signature))


def test_no_header_talks_anyone_into_another_algorithm() -> None:
    _, public = KEYS["RS256"]
    identity = {"algorithm": "RS256", "key": public}
    confused = jwt.utils.base64url_encode(
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            unsigned({"alg": "HS256", "typ": "JWT"}, claims())[:-1].encode(), public.encode()
        )
    ).decode()
    for token in (
        unsigned({"alg": "none", "typ": "JWT"}, claims()),
        unsigned({"alg": "None"}, claims(), "AAAA"),
        unsigned({"alg": "HS256", "typ": "JWT"}, claims(), confused),
        "a.b.c",
        "",
        "....",
    ):
        with pytest.raises(Unauthorized):
            customer_of(token, SITE, identity)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("HS256", "short"),
        ("HS256", KEYS["RS256"][1]),
        ("RS256", SECRET),
        ("RS256", KEYS["RS256"][0]),
        ("RS256", KEYS["ES256"][1]),
        ("RS256", pems(rsa.generate_private_key(65537, 1024))[1]),
        ("ES256", pems(ec.generate_private_key(ec.SECP384R1()))[1]),
        ("EdDSA", KEYS["ES256"][1]),
        ("none", SECRET),
        ("HS512", SECRET),
    ],
)
def test_a_key_that_is_weak_private_or_of_another_kind_is_refused(algorithm: str, key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        IdentityKey.model_validate({"algorithm": algorithm, "key": key})
    assert len(key) < 20 or key not in str(refused.value)


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from("ab")), min_size=1, max_size=200),
)
def test_a_rate_holds_over_every_stretch_of_time(per_minute: int, arrivals: list[tuple[float, str]]) -> None:
    at = 0.0
    limit = RateLimit(clock=lambda: at)
    let_in: list[float] = []
    for wait, key in arrivals:
        at += wait
        try:
            limit.take(key, per_minute)
        except RateLimited as error:
            refused_at, at = at, at + int(error.headers["Retry-After"])
            if key == "a":
                limit.take(key, per_minute)  # waiting as told is enough
                let_in.append(at)
            at = max(at, refused_at)
            continue
        if key == "a":
            let_in.append(at)
    for first, begin in enumerate(let_in):
        for last in range(first, len(let_in)):
            assert last - first + 1 <= per_minute + (let_in[last] - begin) * per_minute / 60 + 1e-6


def test_a_flood_of_addresses_takes_no_more_than_its_share_of_memory() -> None:
    limit = RateLimit(most_keys=100)
    for number in range(10_000):
        limit.take(str(number), 1)
    assert len(limit._left) == 100


def test_streams_are_counted_for_all_keys_or_none() -> None:
    streams = OpenStreams()
    leave = streams.enter(("visitor", 1), ("address", 2))
    with pytest.raises(RateLimited):
        streams.enter(("address", 2), ("visitor", 1))
    streams.enter(("address", 2), ("other", 1))
    with pytest.raises(RateLimited):
        streams.enter(("address", 2), ("third", 1))
    leave()
    streams.enter(("address", 2), ("visitor", 1))


def test_the_documented_example_signs_what_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "docs" / "widget.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    private, public = KEYS["EdDSA"]
    (tmp_path / "answerdesk.pem").write_text(private)
    monkeypatch.chdir(tmp_path)
    defined: dict[str, Any] = {}
    exec(example.replace("SITE_ID", SITE), defined)
    signed = defined["identity"](SimpleNamespace(id=17, name="Ada", email="ada@shop.example"))
    believed = customer_of(signed, SITE, {"algorithm": "EdDSA", "key": public})
    assert believed == {"id": "17", "name": "Ada", "email": "ada@shop.example"}
