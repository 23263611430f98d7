"""What processes that died between the rows and the files have left is removed by the next idle worker, and no more."""

import pytest

from app import files
from app.bundle.staging import STAGING
from app.models import KnowledgeBase, new_id
from app.upkeep import Upkeep
from tests.installation import Installation, form, new_knowledge_base


def test_an_idle_worker_removes_what_the_dead_left(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    services = installation.services
    stored, indexes = services.settings.files_folder, services.settings.index_folder
    installation.upload(("kept.md", "# Kept\n\nLamp."), ("deleted.md", "# Deleted\n\nKettle."))
    other = installation.post("/api/knowledge-bases", json={"name": "other"})["id"]
    installation.post("/api/knowledge-bases/other/documents", files=form([("other.md", "# Other\n\nPump.")]))
    installation.work()
    installation.upload(("waiting.md", "# Waiting\n\nFan."))
    importing = new_knowledge_base(services.database, "importing")
    with services.database.write() as session:
        session.get_one(KnowledgeBase, importing).workspace_id = STAGING
    for unknown, name in ((importing, "imported.md"), (new_id(), "of-another-database.md")):
        (stored / unknown / "hash").mkdir(parents=True)
        (stored / unknown / "hash" / name).touch()
    (indexes / new_id()).mkdir()

    with monkeypatch.context() as dying:
        dying.setattr(files, "release", lambda *_: None)
        dying.setattr(files, "remove_folders", lambda *_: None)
        document = installation.documents()["deleted.md"]["id"]
        assert installation.client.delete(f"/api/documents/{document}").status_code == 204
        assert installation.client.delete("/api/knowledge-bases/other").status_code == 204
    assert {"deleted.md", "other.md"} < set(installation.stored_files())
    assert (indexes / other).is_dir()

    Upkeep(services).when_idle()
    expected = {"kept.md", "waiting.md", "imported.md", "of-another-database.md"}
    assert set(installation.stored_files()) == expected
    assert not (stored / other).exists()
    assert [path.name for path in indexes.iterdir()] == [installation.knowledge_base]
    installation.work()
    assert set(installation.stored_files()) == expected
    assert "Fan." in installation.texts("fan")
