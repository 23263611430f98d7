"""The gate under attack: rebound names, foreign pages, missing keys, bodies without end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

import app.auth
from app.main import create_app
from app.settings import ServerSettings
from tests.app.live_app import Script, ScriptedServices
from tests.conftest import settings_in

KEY = "0123456789abcdef-key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def client_of(folder: Path, base_url: str = "http://127.0.0.1:8080", **server: object) -> TestClient:
    settings = settings_in(folder, server=ServerSettings(**server))
    return TestClient(create_app(ScriptedServices(settings, Script())), base_url=base_url)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.0.0.2"])
def test_own_names_are_answered(folder: Path, host: str) -> None:
    with client_of(folder) as client:
        assert client.get("/api/knowledge-bases", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "desk.example"},
        {"Host": "help.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-Host": "help.example"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "127.0.0.1"},
        {"Host": "help.example", "Authorization": "Bearer anything"},
    ],
)
def test_before_there_is_an_account_only_this_machine_is_the_admin(folder: Path, headers: dict[str, str]) -> None:
    """A proxy in front of an installation that nobody has set up must not make admins of the internet."""
    public = {"allowed_hosts": ("desk.example",), "public_url": "https://help.example"}
    with client_of(folder, **public) as client:
        refused = client.get("/api/knowledge-bases", headers=headers)
        assert refused.status_code == 401, refused.text
        assert "account create" in refused.json()["error"]["message"]
        assert client.get("/api/auth/me", headers=headers).json()["role"] is None
        assert client.get("/api/knowledge-bases").status_code == 200
    with client_of(folder, **public, admin_key=KEY) as client:
        with_key = {**headers, "Authorization": f"Bearer {KEY}"}
        assert client.get("/api/knowledge-bases", headers=with_key).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("127.0.0.1.nip.io", 403),
        ("localhost.evil.example:8080", 403),
        ("10.0.0.7:8080", 403),
        ("2130706433", 403),
        ("127.0.0.1@evil.example", 400),
        ("127.0.0.1:8080, evil.example", 400),
        ("localhost:80:80", 400),
        ("", 400),
    ],
)
@pytest.mark.parametrize("path", ["/api/knowledge-bases", "/health", "/", "/nothing", "/v1/models"])
def test_rebound_names_are_refused(folder: Path, host: str, status: int, path: str) -> None:
    with client_of(folder) as client:
        refused = client.get(path, headers={"Host": host})
    assert refused.status_code == status
    assert refused.json()["error"]["code"] == {403: "forbidden", 400: "bad_request"}[status]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost.evil.example"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/knowledge-bases"),
        ("GET", "/api/knowledge-bases"),
        ("OPTIONS", "/api/knowledge-bases"),
        ("GET", "/health"),
        ("POST", "/v1/chat/completions"),
    ],
)
def test_foreign_pages_are_refused_also_for_simple_requests(folder: Path, origin: str, method: str, path: str) -> None:
    with client_of(folder) as client:
        headers = {"Origin": origin, "Content-Type": "text/plain"}
        refused = client.request(
            method, path, headers=headers, content=b'{"name": "stolen"}' if method == "POST" else None
        )
        assert refused.status_code == 403
        assert not any(name.startswith("access-control") for name in refused.headers)
        assert client.get("/api/knowledge-bases").json() == {"knowledge_bases": []}


def test_foreign_page_cannot_load_pictures_but_can_be_left_by_a_link(folder: Path) -> None:
    cross = {"Sec-Fetch-Site": "cross-site"}
    with client_of(folder, allowed_origins=("https://shop.example",)) as client:
        path = "/api/knowledge-bases"
        assert client.get(path, headers={**cross, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
        evil = {**cross, "Sec-Fetch-Mode": "no-cors", "Referer": "https://evil.example/page"}
        assert client.get(path, headers=evil).status_code == 403
        friend = {**cross, "Sec-Fetch-Mode": "no-cors", "Referer": "https://shop.example/"}
        assert client.get(path, headers=friend).status_code == 200
        assert client.get(path, headers={**cross, "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_own_pages_need_nothing_and_allowed_ones_get_cors(folder: Path) -> None:
    with client_of(folder, allowed_origins=("https://shop.example",)) as client:
        own = client.get("/api/knowledge-bases", headers={"Origin": "http://127.0.0.1:8080"})
        assert own.status_code == 200
        assert "access-control-allow-origin" not in own.headers
        shop = {"Origin": "https://shop.example"}
        preflight = client.options("/api/knowledge-bases", headers={**shop, "Access-Control-Request-Method": "POST"})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, shop["Origin"])
        missing = client.get("/api/conversations/none", headers=shop)
        assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, shop["Origin"])
        assert missing.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer \xe4\xf6"],
)
def test_without_the_admin_key_only_health_answers(folder: Path, authorization: str | None) -> None:
    with client_of(folder, admin_key=SecretStr(KEY)) as client:
        headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
        for path in ("/api/knowledge-bases", "/v1/models", "/metrics", "/ready", "/docs", "/openapi.json", "/"):
            refused = client.get(path, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.json()["error"]["code"] == "unauthorized"
        assert client.get("/health", headers=headers).json() == {"status": "ok"}
        assert client.get("/api/knowledge-bases", headers={"Authorization": f"bearer {KEY}"}).status_code == 200


def test_large_bodies_are_refused_announced_or_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.auth, "MAX_JSON_BYTES", 1000)
    with client_of(folder) as client:
        announced = client.post("/api/knowledge-bases", json={"name": "x" * 2000})

        def chunks() -> Iterator[bytes]:
            for _ in range(50):
                yield b" " * 100

        chunked = client.post("/api/knowledge-bases", content=chunks(), headers={"Content-Type": "application/json"})
    for refused in (announced, chunked):
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")


def test_listening_everywhere_allows_numbers_but_no_names(folder: Path) -> None:
    with client_of(folder, host="0.0.0.0", admin_key=SecretStr(KEY)) as client:
        key = {"Authorization": f"Bearer {KEY}"}
        assert client.get("/api/knowledge-bases", headers={**key, "Host": "192.168.1.5:8080"}).status_code == 200
        assert client.get("/api/knowledge-bases", headers={**key, "Host": "evil.example"}).status_code == 403
