"""Flows over HTTP: listed with what is wrong, checked, written, removed; for admins only."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.bootstrap import build_services
from app.main import create_app
from app.scope import Role, Scope, caller_scope
from model_runtime.fakes import HashingEmbedder
from tests.app.service.flow_stage import SAMPLES
from tests.conftest import settings_in

GOOD = (SAMPLES / "order_status.yaml").read_text(encoding="utf-8")
BROKEN = GOOD.replace("otherwise: no_number", "otherwise: nobody")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    services = build_services(settings_in(tmp_path), embedder=HashingEmbedder())
    with TestClient(create_app(services), base_url="http://127.0.0.1") as opened:
        yield opened


def test_a_flow_from_its_check_to_its_end(client: TestClient, tmp_path: Path) -> None:
    listed = client.get("/api/flows").json()
    assert listed == {"folder": str(tmp_path / "home/flows"), "flows": []}
    assert client.post("/api/flows/check", json={"source": GOOD}).json() == {"problems": []}
    assert client.get("/api/flows").json()["flows"] == []  # a check keeps nothing

    written = client.put("/api/flows/order_status", json={"source": GOOD})
    assert written.status_code == 200
    assert written.json()["title"] == {"en": "Order status", "zh": "订单状态"}
    assert written.json()["slots"] == ["order"]
    assert written.json()["steps"][:2] == ["ask_order", "look_up"]
    assert (tmp_path / "home/flows/order_status.yaml").read_text(encoding="utf-8") == GOOD

    got = client.get("/api/flows/order_status").json()
    assert got["source"] == GOOD
    assert [each["digest"] for each in got["versions"]] == [written.json()["digest"]]

    assert client.delete("/api/flows/order_status").status_code == 204
    assert client.get("/api/flows/order_status").status_code == 404
    assert client.delete("/api/flows/order_status").status_code == 404


def test_a_file_with_a_mistake_is_refused_with_file_line_and_reason(client: TestClient, tmp_path: Path) -> None:
    client.put("/api/flows/order_status", json={"source": GOOD})
    refused = client.put("/api/flows/order_status", json={"source": BROKEN})
    line = BROKEN.splitlines().index("    otherwise: no_number".replace("no_number", "nobody")) + 1
    problem = {
        "file": "order_status.yaml",
        "line": line,
        "place": "steps.0.otherwise",
        "reason": "there is no step 'nobody'",
    }
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["code"] == "bad_flow"
    assert problem in error["details"]["problems"]
    assert f"order_status.yaml:{line}: " in error["message"]
    assert client.get("/api/flows/order_status").json()["source"] == GOOD
    checked = client.post("/api/flows/check", json={"source": BROKEN}).json()
    assert {**problem, "file": "flow.yaml"} in checked["problems"]

    # Broken by hand, in the folder: reported, and the version before answers.
    digest = client.get("/api/flows").json()["flows"][0]["digest"]
    (tmp_path / "home/flows/order_status.yaml").write_text(BROKEN, encoding="utf-8")
    (flow,) = client.get("/api/flows").json()["flows"]
    assert flow["digest"] == digest
    assert problem in flow["problems"]


@pytest.mark.parametrize("name", ["Order", "a-b", "..%2Fx", "x" * 61, "a.b"])
def test_a_name_is_no_way_out_of_the_folder(client: TestClient, name: str, tmp_path: Path) -> None:
    for answer in (
        client.put(f"/api/flows/{name}", json={"source": GOOD}),
        client.get(f"/api/flows/{name}"),
        client.delete(f"/api/flows/{name}"),
    ):
        assert answer.status_code in (400, 404, 405)
    assert list(tmp_path.rglob("*.yaml")) == []


def test_what_is_no_source_is_refused(client: TestClient) -> None:
    assert client.put("/api/flows/it", json={"source": "x" * 300_000}).status_code == 422
    assert client.put("/api/flows/it", json={}).status_code == 422
    assert client.put("/api/flows/it", json={"source": "steps: ["}).status_code == 400
    assert client.post("/api/flows/check", json={"source": "\0"}).json()["problems"][0]["line"] == 1


@pytest.mark.parametrize("role", [Role.AGENT, Role.CUSTOMER])
def test_flows_are_for_admins(client: TestClient, role: Role) -> None:
    client.app.dependency_overrides[caller_scope] = lambda: Scope(role=role)  # type: ignore[attr-defined]
    for answer in (
        client.get("/api/flows"),
        client.get("/api/flows/it"),
        client.post("/api/flows/check", json={"source": GOOD}),
        client.put("/api/flows/it", json={"source": GOOD}),
        client.delete("/api/flows/it"),
    ):
        assert answer.status_code == 403
