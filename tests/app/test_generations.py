"""Another embedder or chunker: built beside, switched at once, and the way back, whatever happens meanwhile."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from typer.testing import CliRunner

from app import generation_build
from app.bootstrap import Services
from app.cli import app as command_line
from app.main import create_app
from app.models import Document, Generation, GenerationDocument, Job, KnowledgeBase, Page, Passage, PassageVectors
from app.settings import IngestionSettings, WorkerSettings
from app.upkeep import Upkeep
from app.worker import run_until_idle
from tests.conftest import settings_in
from tests.generation_processes import OTHER, OtherEmbedder, services_with_two
from tests.installation import Installation

GENERATIONS = "/api/knowledge-bases/manuals/generations"
KETTLE = "# Kettle\n\nPress the red button to boil water.\n"
NEW_KETTLE = "# Kettle\n\nTurn the copper dial to boil water.\n"
LAMP = "# Lamp\n\nThe lamp glows violet when it is charged.\n"


@pytest.fixture
def services(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """As everywhere, with a second embedder, one attempt at a job, and without the pause before a switch."""
    monkeypatch.setattr(generation_build, "OPENED_AFTER", generation_build.OPENED_AFTER * 0)
    monkeypatch.setattr(generation_build, "_BETWEEN_LOOKS_S", 0.0)
    worker = WorkerSettings(max_attempts=1, poll_s=0.05)
    built = services_with_two(settings_in(tmp_path, database_url, worker=worker))
    built.prepare()
    yield built
    built.close()


def build(installation: Installation, **wanted: Any) -> dict[str, Any]:
    made: dict[str, Any] = installation.post(GENERATIONS, json=wanted)
    return made


def generations(installation: Installation) -> dict[int, dict[str, Any]]:
    return {each["number"]: each for each in installation.get(GENERATIONS)["generations"]}


def statuses(installation: Installation) -> dict[int, str]:
    return {number: each["status"] for number, each in generations(installation).items()}


def refused(response: Any, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.json()["error"]["message"]


def in_sql(services: Services, table: Any) -> dict[str, int]:
    """How many rows of each generation."""
    with services.database.read() as session:
        counts = select(table.generation_id, func.count()).group_by(table.generation_id)
        return {row[0]: row[1] for row in session.execute(counts)}


def while_embedding(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, model: str, act: Callable[[], object]
) -> list[str]:
    """`act` is called when the model is first about to embed passages; all texts that it embeds are noted."""
    noted: list[str] = []
    # Of the other model the class: an instance that no generation needs yet may be let go at any moment.
    embedder: Any = OtherEmbedder if model == OTHER else installation.services.embedder
    embed = embedder.embed_passages

    def note(*arguments: Any) -> Any:
        if not noted:
            act()
        noted.extend(arguments[-1])
        return embed(*arguments)

    monkeypatch.setattr(embedder, "embed_passages", note)
    return noted


def test_build_switch_back_and_drop(installation: Installation) -> None:
    services = installation.services
    records = "\n".join(json.dumps({"_id": f"r{n}", "title": f"R{n}", "text": f"Gadget {n} hums."}) for n in range(20))
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP), ("help.jsonl", records))
    installation.work()
    before = installation.get("/api/knowledge-bases/manuals")
    first = before["generation"]
    change = before["change"]

    made = build(installation, embedder=OTHER, chunker={"window_words": 8})
    assert (made["number"], made["status"], made["embedder"]) == (2, "building", "other@1")
    assert (made["documents"], made["documents_total"]) == (0, 22)
    assert installation.listing()["jobs"] == [], "nobody's uploads"
    installation.work()
    second = generations(installation)[2]
    assert (second["status"], second["documents"], second["progress"]) == ("ready", 22, None)
    still = installation.get("/api/knowledge-bases/manuals")
    assert (still["generation"], still["change"]) == (first, change), "readers are not disturbed"
    assert in_sql(services, Passage) == {first: 22, second["id"]: 22}
    with services.database.read() as session:
        query = select(Passage.generation_id, PassageVectors.vectors).join(PassageVectors)
        lengths = {(id_, len(vectors) % 96) for id_, vectors in session.execute(query)}
        assert {id_ for id_, rest in lengths if rest == 0} >= {second["id"]}, "48 numbers of 2 bytes"

    activated = installation.post(f"{GENERATIONS}/2/activate")
    assert (activated["status"], statuses(installation)) == ("active", {1: "retired", 2: "active"})
    after = installation.get("/api/knowledge-bases/manuals")
    assert (after["generation"], after["embedder"]) == (second["id"], "other@1")
    assert after["change"] > change, "answers that are kept are of the other generation"
    assert after["window_count"] == second["windows"]
    assert "red button" in installation.texts("boil water")
    kettle = installation.documents()["kettle.md"]
    listed = installation.get(f"/api/documents/{kettle['id']}/passages")["passages"]
    assert [each["passage_id"] for each in listed] == [installation.search("boil water", top_k=1)[0]["passage_id"]]
    page = installation.client.get(f"/api/documents/{kettle['id']}/pages/1.png")
    assert page.status_code == 200

    refused(installation.client.delete(f"{GENERATIONS}/2"), 409, "let another answer before")
    installation.post(f"{GENERATIONS}/1/activate")
    assert "red button" in installation.texts("boil water")
    assert installation.client.delete(f"{GENERATIONS}/2").status_code == 204
    for table in (Passage, Page, GenerationDocument):
        assert set(in_sql(services, table)) == {first}
    folder = services.settings.index_folder / before["id"]
    assert {path.name for path in folder.iterdir()} == {first}
    assert statuses(installation) == {1: "active"}
    refused(installation.client.post(f"{GENERATIONS}/2/activate"), 404, "no generation '2'")


def test_what_changes_meanwhile_is_in_both_and_never_old(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP), ("gone.md", "# Gone\n\nA rusty hinge."))
    installation.work()

    def change_everything() -> None:
        installation.upload(("kettle.md", NEW_KETTLE), ("new.md", "# New\n\nQuartz sings."))
        installation.client.delete(f"/api/documents/{installation.documents()['gone.md']['id']}")

    while_embedding(installation, monkeypatch, OTHER, change_everything)
    build(installation, embedder=OTHER, switch_when_ready=True)
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}
    for number in (1, 2, 1):
        if statuses(installation)[number] != "active":
            installation.post(f"{GENERATIONS}/{number}/activate")
            installation.work()
        assert statuses(installation)[number] == "active"
        found = "\n".join(installation.texts(words) for words in ("boil water", "rusty hinge", "quartz", "violet lamp"))
        assert [words for words in ("copper dial", "Quartz sings", "violet") if words not in found] == []
        assert "red button" not in found
        assert "hinge" not in found
        documents = {name: (each["status"], each["version"]) for name, each in installation.documents().items()}
        assert documents == {"kettle.md": ("ready", 2), "lamp.md": ("ready", 1), "new.md": ("ready", 1)}

    installation.upload(("lamp.md", LAMP.replace("violet", "amber")))
    installation.work()
    assert "violet" not in installation.texts("lamp")
    with installation.services.database.read() as session:
        assert not [text for text in session.scalars(select(Passage.text)) if "violet" in text], (
            "nor in the retired one"
        )
    waiting = installation.post(f"{GENERATIONS}/2/activate")
    assert (waiting["status"], waiting["switch_when_ready"]) == ("building", True)
    assert "amber" in installation.texts("lamp"), "the other one goes on answering"
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}
    assert "amber" in installation.texts("lamp")


def test_an_upload_that_is_read_during_the_switch_is_read_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of one embedder never get among those of another."""
    installation.upload(("lamp.md", LAMP))
    installation.work()
    build(installation, embedder=OTHER)
    installation.work()
    while_embedding(installation, monkeypatch, "", lambda: installation.post(f"{GENERATIONS}/2/activate"))
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    assert "red button" in installation.texts("boil water")
    with installation.services.database.read() as session:
        query = (
            select(PassageVectors.vectors, Passage.windows, Generation.dimension)
            .join(Passage, Passage.key == PassageVectors.passage_key)
            .join(Generation, Generation.id == Passage.generation_id)
        )
        rows = session.execute(query).all()
    assert len(rows) == 3
    for vectors, windows, dimension in rows:
        assert len(vectors) == 2 * dimension * (1 + len(windows))


def test_what_cannot_be_read_again_keeps_the_generation_from_answering(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP))
    installation.work()
    (file,) = installation.services.settings.files_folder.rglob("kettle.md")
    file.rename(file.with_name("hidden"))
    build(installation, embedder=OTHER, switch_when_ready=True)
    installation.work()
    failed = generations(installation)[2]
    assert (failed["status"], failed["documents"]) == ("failed", 1)
    assert [each["external_id"] for each in failed["failures"]] == ["kettle.md"]
    assert "is missing" in failed["failures"][0]["message"]
    assert "is missing" in failed["message"]
    refused(installation.client.post(f"{GENERATIONS}/2/activate"), 409, "not complete")
    assert installation.documents()["kettle.md"]["status"] == "ready", "it answers as before"

    file.with_name("hidden").rename(file)
    assert installation.post(f"{GENERATIONS}/2/retry")["status"] == "building"
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}

    file.unlink()
    build(installation)
    installation.work()
    assert statuses(installation)[3] == "failed"
    installation.client.delete(f"/api/documents/{installation.documents()['kettle.md']['id']}")
    installation.work()
    Upkeep(installation.services).when_idle()
    run_until_idle(installation.services)
    assert statuses(installation)[3] == "ready", "what could not be read is no longer wanted"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_cannot_work_is_refused_before_anything_is_begun(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    for wanted, status, words in (
        ({"embedder": "/nowhere"}, 400, "'/nowhere' cannot be used: no embedder"),
        *(
            ({"embedder": name}, 400, "cannot be used")
            for name in ("~nobody/x", "x" * 999, "a\0b", "../x", "https://x/y")
        ),
        ({"chunker": {"passage_tokens": 64, "front_tokens": 60}}, 400, "leaves too little"),
        ({"chunker": {"window_words": 1}}, 422, ""),
        ({"embeder": OTHER}, 422, ""),
    ):
        refused(installation.client.post(GENERATIONS, json=wanted), status, words)
    assert statuses(installation) == {1: "active"}
    build(installation, embedder=OTHER)
    refused(installation.client.post(GENERATIONS, json={}), 409, "Generation 2")
    refused(installation.client.post(f"{GENERATIONS}/1/activate"), 409, "answers already")
    assert installation.client.delete(f"{GENERATIONS}/2").status_code == 204, "amid the building"
    with installation.services.database.read() as session:
        assert session.scalars(select(Job).where(Job.generation_id.is_not(None))).all() == []
    installation.work()
    assert statuses(installation) == {1: "active"}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_command_line(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli_verbs.services_for", lambda _: installation.services)
    installation.upload(("kettle.md", KETTLE))
    installation.work()

    def kb(*arguments: str) -> tuple[int, Any]:
        done = CliRunner().invoke(command_line, ["kb", *arguments])
        return done.exit_code, json.loads(done.stdout) if "--json" in arguments else done.output

    cut = ("--chunk-tokens", "128", "--front-tokens", "32")
    code, made = kb("rebuild", "manuals", "--embedder", OTHER, *cut, "--switch", "--wait", "--json")
    assert (code, made["status"], made["number"], made["chunker"]["passage_tokens"]) == (0, "active", 2, 128)
    code, listed = kb("generations", "manuals", "--json")
    assert [(each["number"], each["status"]) for each in listed] == [(2, "active"), (1, "retired")]
    installation.upload(("lamp.md", LAMP))
    installation.work()
    code, said = kb("activate", "manuals", "1", "--wait")
    assert code == 0
    assert "It answers." in said
    assert "violet" in installation.texts("lamp")
    code, said = kb("drop", "manuals", "1", "--yes")
    assert code == 2
    assert "is the one that answers" in " ".join(said.split())
    code, said = kb("rebuild", "manuals", "--embedder", "/nowhere")
    assert code == 2
    assert "Nothing was begun" in " ".join(said.split())
    assert kb("drop", "manuals", "2", "--yes")[0] == 0
    assert statuses(installation) == {1: "active"}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_only_the_chunker_changes_and_known_texts_are_not_embedded_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "# Manual\n\n" + "\n\n".join(
        f"Valve {n} turns lamp {n * 7} on. It hisses for {n} seconds." for n in range(200)
    )
    installation.upload(("manual.md", text))
    installation.work()
    embedded = while_embedding(installation, monkeypatch, "", lambda: None)
    build(installation)
    installation.work()
    assert embedded == [], "nothing is new"
    installation.client.delete(f"{GENERATIONS}/2")
    number = build(installation, chunker={"passage_tokens": 128, "front_tokens": 32})["number"]
    installation.work()
    first, third = (generations(installation)[each] for each in (1, number))
    assert third["passages"] > first["passages"]
    assert third["chunker"]["passage_tokens"] == 128
    assert 0 < len(embedded) < third["passages"] + third["windows"]
    installation.post(f"{GENERATIONS}/{number}/activate")
    installation.upload(("other.md", text.replace("Valve", "Tap")))
    installation.work()
    documents = installation.documents()
    assert documents["other.md"]["passages"] == documents["manual.md"]["passages"] == third["passages"]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_uploads_go_before_a_build_and_nothing_of_it_is_lost(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.generation_sink._BETWEEN_LOOKS_S", 0.0)
    ingestion = IngestionSettings(batch_windows=50)
    services = services_with_two(settings_in(tmp_path, database_url, ingestion=ingestion))
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        installation = Installation(client, services)
        pages = "\f".join(
            f"Chapter {n}\n" + "\n".join(f"Step {n}-{k}: turn valve {n * 60 + k}." for k in range(40))
            for n in range(40)
        )
        installation.upload(("long.txt", pages))
        installation.work()
        noted: list[str] = []
        embed = services.embedder.embed_passages

        def note(texts: Sequence[str]) -> Any:
            noted.append(f"upload {other[-1:]}")
            return embed(texts)

        monkeypatch.setattr(services.embedder, "embed_passages", note)
        other = while_embedding(installation, monkeypatch, OTHER, lambda: installation.upload(("new.md", KETTLE)))
        build(installation, embedder=OTHER)
        installation.work()
        assert statuses(installation)[2] == "ready"
        made = generations(installation)[2]
        assert len(noted) == 1
        assert noted[0] != f"upload {other[-1:]}", "the upload was read amid the build"
        assert len(other) <= made["passages"] + made["windows"] + 2 * ingestion.batch_windows, "one batch at most again"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_done_in_whatever_order_what_answers_is_what_was_uploaded(
    installation: Installation, seed: int
) -> None:
    dice = random.Random(seed)
    names = [f"doc{number}" for number in range(5)]
    uploaded: dict[str, int] = {}
    versions: dict[str, int] = {}

    def upload() -> None:
        name = dice.choice(names)
        uploaded[name] = dice.randrange(1000)
        installation.upload((f"{name}.md", f"# {name}\n\nThe {name} code is k{uploaded[name]}k."))

    def delete() -> None:
        name = dice.choice(names)
        document = installation.documents().get(f"{name}.md")
        if document is not None:
            installation.client.delete(f"/api/documents/{document['id']}")
            uploaded.pop(name), versions.pop(name, None)

    def work() -> None:
        installation.work()
        versions.update(uploaded)

    def begin() -> None:
        kinds: list[dict[str, Any]] = [{"embedder": OTHER}, {"embedder": "multilingual-e5-small"}]
        kinds.append({"chunker": {"front_tokens": 9}})
        wanted = {**dice.choice(kinds), "switch_when_ready": dice.random() < 0.5}
        assert installation.client.post(GENERATIONS, json=wanted).status_code in (202, 409)

    def activate() -> None:
        number = dice.choice(list(statuses(installation)))
        assert installation.client.post(f"{GENERATIONS}/{number}/activate").status_code in (200, 409)

    def drop() -> None:
        number = dice.choice(list(statuses(installation)))
        assert installation.client.delete(f"{GENERATIONS}/{number}").status_code in (204, 409)

    for _ in range(40):
        dice.choice((upload, upload, delete, work, work, begin, activate, drop))()
        for name in names:
            found = {word for word in installation.texts(f"{name} code").split() if word.startswith("k")}
            codes = {f"k{code}k." for code in versions.values()}
            assert found <= codes, "something old answers"
            assert name not in versions or f"k{versions[name]}k." in found
    work()
    with installation.services.database.read() as session:
        generation_ids = set(session.scalars(select(Generation.id)))
        assert session.scalars(select(KnowledgeBase)).one().generation_id in generation_ids
        assert set(session.scalars(select(Passage.generation_id))) <= generation_ids
    for row in (row for row in (each for each in _rows(installation.services))):
        open_ = installation.services.generations
        assert open_.index(row).check(open_.store(row)).sound


def _rows(services: Services) -> list[Generation]:
    with services.database.read() as session:
        return list(session.scalars(select(Generation)))


def test_a_removal_that_was_cut_short_is_finished(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    services = installation.services
    installation.upload(("kettle.md", KETTLE), ("lamp.md", LAMP))
    installation.work()
    build(installation, embedder=OTHER)
    installation.work()
    second = generations(installation)[2]["id"]
    with monkeypatch.context() as patched:
        patched.setattr("app.generations.finish_drop", lambda *_: None)  # as if it had died here
        installation.client.delete(f"{GENERATIONS}/2")
    assert statuses(installation) == {1: "active"}
    (services.settings.index_folder / installation.knowledge_base / "CURRENT").write_text("of an older version")
    Upkeep(services).when_idle()
    with services.database.read() as session:
        assert session.get(Generation, second) is None
        assert session.scalar(select(func.count()).where(Passage.generation_id == second)) == 0
        assert session.scalar(select(func.count()).select_from(Document)) == 2
    folder = services.settings.index_folder / installation.knowledge_base
    assert [path.name for path in folder.iterdir()] == [installation.get("/api/knowledge-bases/manuals")["generation"]]
