"""Another embedder or chunker: built beside, filtered, switched at once, and the way back."""

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from app import generation_build, warm_up
from app.bootstrap import Services
from app.cli import app as command_line
from app.errors import Conflict
from app.models import Generation, GenerationDocument, Job, KnowledgeBase, Page, Passage, PassageVectors
from app.upkeep import Upkeep
from app.worker import run_until_idle
from tests.app.live_app import wait_until
from tests.generation_processes import OTHER, OtherEmbedder
from tests.generation_steps import (
    GENERATIONS,
    KETTLE,
    LAMP,
    build,
    generations,
    in_sql,
    refused,
    services_in_haste,
    statuses,
    while_embedding,
)
from tests.installation import Installation


@pytest.fixture
def services(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with services_in_haste(tmp_path, database_url, monkeypatch) as built:
        yield built


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
    assert statuses(installation) == {1: "active"}
    assert set(in_sql(services, Passage)) == {first, second["id"]}, "a worker removes it"
    Upkeep(services).when_idle()
    for table in (Passage, Page, GenerationDocument):
        assert set(in_sql(services, table)) == {first}
    folder = services.settings.index_folder / before["id"]
    assert {path.name for path in folder.iterdir()} == {first}
    refused(installation.client.post(f"{GENERATIONS}/2/activate"), 404, "no generation '2'")


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

    cut = ("--passage-tokens", "128", "--front-tokens", "32")
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
def test_a_generation_is_filtered_before_it_answers(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("old.md", KETTLE * 3))
    installation.upload(("new.md", KETTLE * 3))
    installation.work()
    wanted = {"settings": {"exclude_duplicate": True}}
    assert installation.client.patch("/api/knowledge-bases/manuals", json=wanted).status_code == 200
    installation.work()

    def excluded() -> list[int]:
        """How many passages of each generation."""
        with installation.services.database.read() as session:
            query = select(func.count(Passage.excluded)).group_by(Passage.generation_id)
            return list(session.scalars(query))

    set_ready = generation_build.set_ready
    then: list[list[int]] = []
    monkeypatch.setattr(generation_build, "set_ready", lambda *of: (then.append(excluded()), set_ready(*of)))
    build(installation, embedder=OTHER, switch_when_ready=True)
    installation.work()
    assert statuses(installation) == {1: "retired", 2: "active"}
    assert then == [[1, 1]]
    build(installation)
    installation.work()
    assert statuses(installation)[3] == "ready"
    wanted = {"settings": {"exclude_duplicate": False}}
    assert installation.client.patch("/api/knowledge-bases/manuals", json=wanted).status_code == 200
    installation.work()
    assert sorted(excluded()) == [0, 0, 1], "also of the one that has yet to answer; the first one rests"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_a_process_cannot_open_it_says_before_it_has_to_answer(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_up, "LOOK_AGAIN_S", 0.02)
    services = installation.services
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    build(installation, embedder=OTHER)
    of = services.embedders.of

    def lost(generation: Generation) -> Any:
        if generation.number == 2:
            raise Conflict("the folder is empty")
        return of(generation)

    def warnings() -> dict[str, str]:
        found: dict[str, str] = installation.get("/ready")["warnings"]
        return found

    with monkeypatch.context() as patched:
        patched.setattr(services.embedders, "of", lost)
        wait_until(lambda: "manuals, generation 2" in warnings(), 60)
        assert "the folder is empty" in warnings()["manuals, generation 2"]
    wait_until(lambda: not warnings(), 60)
    installation.work()
    (damaged,) = services.settings.index_folder.glob(f"*/{generations(installation)[2]['id']}/CURRENT")
    written = damaged.read_text()
    services.generations.close(generations(installation)[2]["id"])
    damaged.write_text("nothing")
    wait_until(lambda: "manuals, generation 2" in warnings(), 60)
    damaged.write_text(written)
    wait_until(lambda: not warnings(), 60)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_how_far_a_build_is(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    records = "\n".join(json.dumps({"_id": f"r{n}", "title": f"R{n}", "text": f"Gadget {n} hums."}) for n in range(9))
    installation.upload(("kettle.md", KETTLE), ("help.jsonl", records), ("lamp.md", LAMP))
    installation.work()
    seen: list[dict[str, Any]] = []
    embed = OtherEmbedder.embed_passages

    def look(*arguments: Any) -> Any:
        seen.append(generations(installation)[2]["progress"])
        return embed(*arguments)

    monkeypatch.setattr(OtherEmbedder, "embed_passages", look)
    windows = [each["windows"] for each in installation.documents().values()]
    build(installation, embedder=OTHER)
    installation.work()
    assert {each["total"] for each in seen} == {sum(windows)}
    done = [each["done"] for each in seen]
    assert done[0] == 0
    assert done == sorted(done)
    assert 0 < done[-1] < sum(windows)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_closed_generation_is_let_go_though_its_retriever_lives(installation: Installation) -> None:
    services = installation.services
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    with services.database.read() as session:
        row = session.scalars(select(KnowledgeBase)).one()
    retriever = services.retriever(row)
    assert retriever.search("boil water").hits
    index = weakref.ref(services.index(row))
    services.generations.keep_only(())
    gc.collect()
    assert index() is None
    assert retriever.search("boil water").hits, "it is opened again"
    index = weakref.ref(services.index(row))
    build(installation, embedder=OTHER)
    installation.work()
    installation.post(f"{GENERATIONS}/2/activate")
    with services.database.read() as session:
        row = session.scalars(select(KnowledgeBase)).one()
    services.forget(row)
    gc.collect()
    assert index() is None, "of all its generations"
