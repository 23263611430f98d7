"""What operators look at: health, readiness, metrics, the documentation of the API."""

import re
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import update

from app.main import create_app
from app.models import Generation, Job
from model_runtime.errors import EmbedderError
from tests.app.live_app import Script, ScriptedServices, new_conversation, wait_until
from tests.conftest import settings_in


def test_metrics_count_requests_answers_stages_and_jobs(tmp_path: Path) -> None:
    services = ScriptedServices(settings_in(tmp_path), Script())
    with TestClient(create_app(services), base_url="http://localhost") as client:
        conversation = new_conversation(client)
        for _ in range(3):
            client.post(f"{conversation}/messages", json={"text": "How?"})
        client.get("/api/conversations/none")
        knowledge_base = client.get("/api/knowledge-bases/manuals").json()["id"]
        with services.database.write() as session:
            session.add(
                Job(knowledge_base_id=knowledge_base, source_name="a.pdf", source_path="a", external_id="a.pdf")
            )
        lines = client.get("/metrics").text.splitlines()
    message_route = "/api/conversations/{conversation_id}/messages"
    for line in (
        f'answerdesk_requests_total{{method="POST",route="{message_route}",status="200"}} 3.0',
        'answerdesk_requests_total{method="GET",route="/api/conversations/{conversation_id}",status="404"} 1.0',
        'answerdesk_answers_total{answerer="scripted",kind="answer"} 3.0',
        'answerdesk_answer_stage_seconds_count{stage="retrieval"} 3.0',
        'answerdesk_jobs{status="queued"} 1.0',
        'answerdesk_jobs{status="failed"} 0.0',
    ):
        assert line in lines


def test_ready_says_what_is_missing(tmp_path: Path) -> None:
    services = ScriptedServices(settings_in(tmp_path), Script())
    with TestClient(create_app(services), base_url="http://localhost") as client:
        wait_until(lambda: client.get("/ready").status_code == 200)
        assert client.get("/ready").json() == {"status": "ready", "problems": {}, "warnings": {}, "index_checks": {}}

    class Broken(ScriptedServices):
        @property
        def embedder(self):  # type: ignore[no-untyped-def]
            raise EmbedderError("The weights are damaged; delete the cache.")

    broken = Broken(settings_in(tmp_path), Script())
    with TestClient(create_app(broken), base_url="http://localhost") as client:
        assert client.get("/health").status_code == 200
        wait_until(lambda: "damaged" in client.get("/ready").json()["problems"]["embedder"])
        assert client.get("/ready").status_code == 503


def test_a_knowledge_base_of_another_embedder_is_a_warning(tmp_path: Path) -> None:
    services = ScriptedServices(settings_in(tmp_path), Script())
    with TestClient(create_app(services), base_url="http://localhost") as client:
        new_conversation(client, "old")
    with services.database.write() as session:
        session.execute(update(Generation).values(embedder="another"))
    with TestClient(create_app(services), base_url="http://localhost") as client:
        wait_until(lambda: client.get("/ready").status_code == 200)
        assert "another" in client.get("/ready").json()["warnings"]["old"]


def test_every_route_is_documented_with_its_errors(tmp_path: Path) -> None:
    services = ScriptedServices(settings_in(tmp_path), Script())
    with TestClient(create_app(services), base_url="http://localhost") as client:
        described = client.get("/openapi.json").json()
        addresses = client.get("/").json()
        assert client.get(addresses["documentation"]).status_code == 200
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert all(operation["tags"] and operation["description"] for operation in operations)
    assert all("ErrorShape" in str(operation["responses"]["404"]) for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_the_reference_needs_no_internet(tmp_path: Path) -> None:
    services = ScriptedServices(settings_in(tmp_path), Script())
    with TestClient(create_app(services), base_url="http://localhost") as client:
        page = client.get("/docs").text
        assets = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert {asset.split("/")[1] for asset in assets} == {"docs-assets"}
        assert all(client.get(asset).status_code == 200 for asset in assets)
