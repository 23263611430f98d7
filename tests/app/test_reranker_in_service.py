"""The configured reranker in a running service: it is loaded at the start, used, and its failure shown."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.bootstrap import build_services
from app.main import create_app
from app.settings import RetrievalSettings
from model_runtime.cross_encoder import load_cross_encoder
from model_runtime.fakes import HashingEmbedder
from tests.app.live_app import wait_until
from tests.conftest import settings_in
from tests.installation import Installation
from tests.tiny_cross_encoder import tiny_cross_encoder

TEXTS = {
    "a.txt": "Rinse the filter under water.",
    "b.txt": "Descale the pump, then clean the filter.",
    "c.txt": "How do I clean it under the pump?",
}
QUESTION = "how do i clean the filter"


def ready(client: TestClient) -> Callable[[], bool]:
    return lambda: client.get("/ready").status_code == 200


def test_the_model_that_is_named_orders_what_is_found(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "model")
    settings = settings_in(tmp_path, retrieval=RetrievalSettings(reranker=str(folder)))
    services = build_services(settings, embedder=HashingEmbedder())
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        wait_until(ready(client), 60)
        installation = Installation(client, services)
        installation.upload(*TEXTS.items())
        installation.work()
        hits = installation.search(QUESTION)
    scores = load_cross_encoder(str(folder), tmp_path).scores(QUESTION, [f"{h['title']}\n{h['text']}" for h in hits])
    assert len(hits) == len(TEXTS)
    assert [hit["signals"]["reranker"] for hit in hits] == pytest.approx(scores.tolist(), abs=1e-3)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)


def test_one_that_cannot_be_loaded_is_never_passed_over(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, retrieval=RetrievalSettings(reranker="nobody/has-this"))
    services = build_services(settings, embedder=HashingEmbedder())
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        wait_until(lambda: "cannot be loaded" in client.get("/ready").json()["problems"].get("reranker", ""), 60)
        problem = client.get("/ready").json()["problems"]["reranker"]
        assert client.get("/ready").status_code == 503
        client.post("/api/knowledge-bases", json={"name": "manuals"}).raise_for_status()
        refused = client.post("/api/knowledge-bases/manuals/search", json={"query": QUESTION})
    assert refused.status_code == 409
    assert refused.json()["error"]["message"] == problem
    assert "nobody/has-this" in problem
    assert "ANSWERDESK_RETRIEVAL__RERANKER" in problem
