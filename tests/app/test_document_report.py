"""The report on documents and its filters, as an admin uses them: what is told, what is found, and what comes back."""

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app import document_filters, document_report
from app.document_filters import FilterKeeper
from app.document_findings import Found, find
from app.models import DocumentReport, KnowledgeBase
from app.upkeep import check_index
from tests.app.live_app import wait_until
from tests.installation import Installation

NOTICE = "This manual is protected by copyright and no part of it may be copied without written permission. " * 6
FILTERS = ("exclude_unreadable", "exclude_duplicate", "exclude_boilerplate")


def prose(seed: int, words: int = 130) -> str:
    """Sentences that have nothing in common with those of another seed."""
    chosen = random.Random(seed)
    made = ("".join(chosen.choices("bcdfgaeiou", k=chosen.randint(4, 9))) for _ in range(words))
    return " ".join(f"{word}." if number % 11 == 10 else word for number, word in enumerate(made))


def manual(*sections: str) -> str:
    return "\n\n".join(f"# Chapter {number}\n\n{text}" for number, text in enumerate(sections))


def turn(installation: Installation, **wanted: bool) -> None:
    response = installation.client.patch("/api/knowledge-bases/manuals", json={"settings": wanted})
    assert response.status_code == 200, response.text
    installation.work()


def report(installation: Installation) -> dict[str, Any]:
    found: dict[str, Any] = installation.get("/api/knowledge-bases/manuals/report")
    return found


def filter_of(installation: Installation, name: str) -> dict[str, Any]:
    (found,) = [each for each in report(installation)["filters"] if each["name"] == name]
    return found  # type: ignore[no-any-return]


def found_in(installation: Installation, query: str) -> set[str]:
    """The documents in which the text of the query stands, among what a search finds."""
    start = " ".join(query.split()[:8])
    hits = [hit for hit in installation.search(query, top_k=50) if start in " ".join(hit["text"].split())]
    ids = {hit["document_id"] for hit in hits} | {place["document_id"] for hit in hits for place in hit["also_at"]}
    return {name for name, document in installation.documents().items() if document["id"] in ids}


def reasons(installation: Installation, external_id: str) -> list[str | None]:
    document = installation.documents()[external_id]["id"]
    return [each["excluded"] for each in installation.get(f"/api/documents/{document}/passages")["passages"]]


def assert_sound(installation: Installation) -> None:
    with installation.services.database.read() as session:
        row = session.scalars(select(KnowledgeBase)).one()
    assert check_index(installation.services, row).is_sound


def test_a_duplicate_is_found_in_the_newest_only_and_what_it_alone_says_stays(installation: Installation) -> None:
    installation.upload(("old.md", manual(*(prose(each) for each in range(8)), prose(20))))
    installation.upload(("other.md", manual(prose(30), prose(31))))
    installation.work()
    installation.upload(("new.md", manual(*(prose(each) for each in range(8)), prose(21))))
    installation.work()

    (group,) = report(installation)["duplicates"]
    assert (group["kind"], group["count"]) == ("duplicate", 2)
    assert [each["external_id"] for each in group["documents"]] == ["new.md", "old.md"]
    assert 0.7 < group["share"] == group["documents"][1]["share"] < 0.95
    before = filter_of(installation, "duplicate")
    assert (before["on"], before["excluded"], before["documents"]) == (False, 0, 1)
    assert len(before["examples"]) == 3
    assert found_in(installation, prose(3)) == {"old.md", "new.md"}

    turn(installation, exclude_duplicate=True)
    assert report(installation)["applied"]
    after = filter_of(installation, "duplicate")
    assert after == {**before, "on": True, "excluded": before["passages"]}
    assert found_in(installation, prose(3)) == {"new.md"}
    assert found_in(installation, prose(20)) == {"old.md"}
    assert set(reasons(installation, "old.md")) == {"duplicate", None}
    assert set(reasons(installation, "new.md") + reasons(installation, "other.md")) == {None}
    assert_sound(installation)

    newest = installation.documents()["new.md"]["id"]
    assert installation.client.delete(f"/api/documents/{newest}").status_code == 204
    installation.work()
    assert found_in(installation, prose(3)) == {"old.md"}
    assert_sound(installation)


def test_filters_hold_for_what_comes_later_and_give_back_what_they_took(installation: Installation) -> None:
    turn(installation, **dict.fromkeys(FILTERS, True))
    installation.upload(("first.md", manual(prose(1), prose(2))))
    installation.upload(("again.md", manual(prose(1), prose(2))))
    installation.upload(("dump.txt", "\n\n".join("4f 00 1c 9e " * 40 for _ in range(3))))
    installation.work()
    assert found_in(installation, prose(1)) == {"again.md"}
    assert set(reasons(installation, "dump.txt")) == {"unreadable"}
    (dump,) = report(installation)["unreadable"]
    assert (dump["external_id"], dump["passages"]) == ("dump.txt", len(reasons(installation, "dump.txt")))

    turn(installation, exclude_unreadable=False)
    assert set(reasons(installation, "dump.txt")) == {None}
    assert any("4f 00" in hit["text"] for hit in installation.search("4f 00 1c 9e"))
    assert found_in(installation, prose(1)) == {"again.md"}
    turn(installation, exclude_duplicate=False, exclude_boilerplate=False)
    assert found_in(installation, prose(1)) == {"first.md", "again.md"}
    assert_sound(installation)
    installation.upload(("first.md", manual(prose(1), prose(5))))
    installation.work()
    assert found_in(installation, prose(2)) == {"again.md"}
    assert_sound(installation)


def test_excluded_passages_go_with_their_document(installation: Installation) -> None:
    installation.upload(("old.md", manual(prose(1), prose(2))))
    installation.upload(("new.md", manual(prose(1), prose(2))))
    installation.work()
    turn(installation, exclude_duplicate=True)
    installation.upload(("old.md", manual(prose(8), prose(9))))
    installation.work()
    assert found_in(installation, prose(8)) == {"old.md"}
    assert found_in(installation, prose(1)) == {"new.md"}
    for document in installation.documents().values():
        assert installation.client.delete(f"/api/documents/{document['id']}").status_code == 204
    installation.work()
    assert report(installation)["passages"] == 0
    assert_sound(installation)


def test_boilerplate_stays_in_one_place_of_each_product(installation: Installation) -> None:
    for place, product in enumerate(("LT-300", "LT-310")):
        for number in range(5):
            file = (f"{product}-{number}.md", manual(prose(10 * place + number), NOTICE))
            installation.upload(file, facets=f'{{"product": "{product}"}}')
    installation.work()
    (text,) = [each for each in report(installation)["boilerplate"] if "copyright" in each["text"]]
    assert (text["count"], text["documents"]) == (10, 10)
    assert len(text["places"]) == 10
    assert len(found_in(installation, NOTICE)) == 10

    turn(installation, exclude_boilerplate=True)
    assert filter_of(installation, "boilerplate")["excluded"] == 8
    assert found_in(installation, NOTICE) == {"LT-300-0.md", "LT-310-0.md"}
    for product in ("LT-300", "LT-310"):
        assert "copyright" in installation.search(NOTICE, {"product": product})[0]["text"]
    assert_sound(installation)


def test_siblings_are_told_and_left_alone(installation: Installation) -> None:
    text = manual(prose(1), prose(2))
    installation.upload(("s9.md", text), facets='{"product": "S9"}')
    installation.upload(("s10.md", text), facets='{"product": "S10"}')
    installation.work()
    turn(installation, **dict.fromkeys(FILTERS, True))
    (group,) = report(installation)["duplicates"]
    assert (group["kind"], group["share"]) == ("siblings", 1.0)
    assert filter_of(installation, "duplicate")["passages"] == 0
    assert found_in(installation, prose(1)) == {"s9.md", "s10.md"}

    document = installation.documents()["s10.md"]["id"]
    said = installation.client.patch(f"/api/documents/{document}", json={"facets": {"product": "S9"}})
    assert said.status_code == 200
    installation.work()
    assert report(installation)["duplicates"][0]["kind"] == "duplicate"
    assert found_in(installation, prose(1)) == {"s10.md"}


def test_records_with_titles_of_their_own_are_not_duplicates(installation: Installation) -> None:
    answer = prose(1, 40)
    lines = [f'{{"_id": "{number}", "title": "{prose(50 + number, 9)}", "text": "{answer}"}}' for number in range(7)]
    installation.upload(("faq.jsonl", "\n".join(lines)))
    installation.work()
    turn(installation, **dict.fromkeys(FILTERS, True))
    assert [each["passages"] for each in report(installation)["filters"]] == [0, 0, 0]
    assert len(found_in(installation, answer)) == 7


def test_a_report_is_of_now(installation: Installation) -> None:
    assert report(installation)["documents"] == 0
    installation.upload(("en.md", "# Start\n\nPress the button and wait for the light to turn on before you go."))
    installation.upload(("de.md", "# Start\n\nDrücken Sie die Taste und warten Sie, bis die Anzeige nicht blinkt."))
    installation.work()
    first = report(installation)
    assert {each["language"]: each["documents"] for each in first["languages"]} == {"en": 1, "de": 1}
    assert report(installation) == first
    assert set(installation.documents(language="de")) == {"de.md"}
    assert installation.listing()["languages"] == {"de": 1, "en": 1}
    assert installation.client.get("/api/knowledge-bases/nothing/report").status_code == 404


def test_a_filter_that_fails_half_way_has_done_nothing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(("old.md", manual(prose(1), prose(2))))
    installation.upload(("new.md", manual(prose(1), prose(2))))
    installation.work()
    change = installation.get("/api/knowledge-bases/manuals")["change"]

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(document_filters, "_give_reason", fail)
        turn(installation, exclude_duplicate=True)
    assert installation.get("/api/knowledge-bases/manuals")["change"] == change
    told = report(installation)
    assert (told["applied"], "the disk is full" in told["message"]) == (False, True)
    assert found_in(installation, prose(1)) == {"old.md", "new.md"}
    turn(installation)
    told = report(installation)
    assert (told["applied"], told["message"]) == (True, "")
    assert found_in(installation, prose(1)) == {"new.md"}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_failed_for_a_moment_is_tried_again_though_nothing_changes(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    services = installation.services
    installation.upload(("a.md", manual(prose(1))))
    installation.work()
    installation.client.patch("/api/knowledge-bases/manuals", json={"settings": {"exclude_duplicate": True}})
    tried: list[str] = []

    def fail(_: object, knowledge_base_id: str, __: str) -> bool:
        tried.append(knowledge_base_id)
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    keeper = FilterKeeper(services)
    with monkeypatch.context() as patched:
        patched.setattr(document_filters, "apply_filters", fail)
        keeper.apply_due()
        keeper.apply_due()
        assert len(tried) == 1, "not at once"
        patched.setattr(document_filters, "_SHORTEST_PAUSE_S", 0.0)
        installation.client.patch("/api/knowledge-bases/manuals", json={"settings": {"exclude_unreadable": True}})
        keeper.apply_due()
        assert len(tried) == 2, "the filters are others"
    assert "database is locked" in report(installation)["message"]
    off = {"exclude_unreadable": False, "exclude_duplicate": False}
    installation.client.patch("/api/knowledge-bases/manuals", json={"settings": off})
    without = report(installation)
    assert (without["applied"], without["message"]) == (True, ""), "nothing is left that could not be applied"
    installation.client.patch("/api/knowledge-bases/manuals", json={"settings": dict.fromkeys(off, True)})
    keeper.apply_due()
    assert report(installation)["applied"]

    caplog.clear()
    installation.client.patch("/api/knowledge-bases/manuals", json={"settings": {"exclude_duplicate": False}})
    find = document_filters.find

    def delete_first(*arguments: Any) -> Any:
        installation.client.delete("/api/knowledge-bases/manuals")
        return find(*arguments)

    monkeypatch.setattr(document_filters, "find", delete_first)
    keeper.apply_due()
    assert installation.get("/api/knowledge-bases")["knowledge_bases"] == []
    assert "could not be" not in caplog.text


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_text_is_read_once_a_change_and_not_while_uploads_are_read(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    may_look = Event()

    def look(*arguments: Any) -> Found:
        looks.append(1)
        assert may_look.wait(30)
        return find(*arguments)

    monkeypatch.setattr(document_report, "find", look)
    installation.upload(("a.md", manual(prose(1))))
    installation.work()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(report, installation) for _ in range(4)]
        wait_until(lambda: bool(looks), 30)
        may_look.set()
        assert len({each.result()["made_at"] for each in asked}) == 1
    assert len(looks) == 1

    installation.upload(("b.md", manual(prose(2))))
    installation.client.delete(f"/api/documents/{installation.documents()['a.md']['id']}")
    old = report(installation)
    assert (old["documents"], len(looks)) == (1, 1), "of before, while an upload waits"
    assert old["change"] < installation.get("/api/knowledge-bases/manuals")["change"]
    installation.work()
    new = report(installation)
    assert (new["documents"], new["change"], len(looks)) == (
        1,
        installation.get("/api/knowledge-bases/manuals")["change"],
        2,
    )


@pytest.mark.parametrize("kept", [{}, {"documents": "many"}, {"effects": {}}])
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_findings_of_another_version_are_found_again(installation: Installation, kept: dict[str, Any]) -> None:
    installation.upload(("a.md", manual(prose(1))))
    installation.work()
    first = report(installation)
    with installation.services.database.write() as session:
        row = session.scalars(select(DocumentReport)).one()
        row.findings = {**row.findings, **kept} if kept else {}
    again = report(installation)
    assert again == {**first, "made_at": again["made_at"]}
    assert report(installation) == again
