"""The dictionary in a running service: prepared at the start, used by search and answer, and its damage shown."""

from pathlib import Path

from fastapi.testclient import TestClient

from app.bootstrap import build_services
from app.main import create_app
from model_runtime.fakes import HashingEmbedder
from tests.app.live_app import wait_until
from tests.conftest import settings_in
from tests.installation import Installation

TEXTS = {
    "care.txt": "Care of the machine. Rinse the strainer once a month. Dry it with a soft cloth. Store it upright.",
    "power.txt": "The battery charger is in the drawer. Charge for two hours before the first use.",
    "other.txt": "Thank you for your purchase. This machine was made with care.",
}


def test_a_chinese_question_finds_and_quotes_the_english_words(tmp_path: Path) -> None:
    services = build_services(settings_in(tmp_path, retrieval={"dictionary": True}), embedder=HashingEmbedder())
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        wait_until(lambda: client.get("/ready").status_code == 200, 120)
        installation = Installation(client, services)
        installation.upload(*TEXTS.items())
        installation.work()
        # The tests' embedder knows nothing of languages: words alone lead there.
        first, *_ = installation.search("充电器在哪个抽屉里？")
        assert first["external_id"] == "power.txt"
        assert first["signals"]["lexical"] > 0

        conversation = installation.post("/api/conversations", json={"knowledge_base": "manuals"})["id"]
        answer = installation.post(f"/api/conversations/{conversation}/messages", json={"text": "过滤器怎么冲洗？"})
        assert answer["kind"] in ("uncertain", "not_in_manuals")  # never sure across languages
        assert answer["citations"][0]["title"] == "care"

        damaged = next((tmp_path / "cache").glob("dictionary-*.sqlite"))
        damaged.write_bytes(b"no database" * 100)
        refused = client.post("/api/knowledge-bases/manuals/search", json={"query": "充电器在哪个抽屉里？"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "dictionary_unusable")
        assert str(damaged) in refused.json()["error"]["message"]
        assert installation.search("battery charger")[0]["external_id"] == "power.txt"
