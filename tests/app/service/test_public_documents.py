"""Which documents are public: those that an admin said are, whatever they say themselves."""

import io
import json
import zipfile
from typing import Any

import pytest

from tests.installation import Installation

TEXT = "The orange lever opens the valve. Turn it until it clicks and wait for the green lamp."


def public(installation: Installation) -> dict[str, bool]:
    return {name: each["is_public"] for name, each in installation.documents().items()}


def found(installation: Installation) -> set[str]:
    """What somebody finds who may see public documents only."""
    return {hit["external_id"] for hit in installation.search("orange lever valve", {"is_public": True})}


def archive(members: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


def mark(installation: Installation, name: str, **change: Any) -> Any:
    return installation.client.patch(f"/api/documents/{installation.documents()[name]['id']}", json=change)


def test_no_document_makes_itself_public(installation: Installation) -> None:
    said = {"is_public": True, "public": "yes"}
    record = {"_id": "record", "title": "Record", "text": TEXT, "metadata": said, **said}
    page = (
        f'<html><head><meta name="is_public" content="true"><title>Page</title></head><body><p>{TEXT}</p></body></html>'
    )
    front = f"---\nis_public: true\n---\n# Notes\n\n{TEXT}"
    installation.upload(("records.jsonl", json.dumps(record)), ("page.html", page), ("notes.md", front))
    installation.work()
    assert public(installation) == {"record": False, "page.html": False, "notes.md": False}
    assert found(installation) == set()
    assert mark(installation, "page.html", facets={"is_public": True}).status_code == 400
    form: dict[str, Any] = {"files": [("files", ("a.txt", b"x"))], "data": {"facets": '{"is_public": true}'}}
    assert installation.client.post("/api/knowledge-bases/manuals/documents", **form).status_code == 400
    form["data"] = {"is_public": "perhaps"}
    assert installation.client.post("/api/knowledge-bases/manuals/documents", **form).status_code == 400
    assert found(installation) == set()


def test_an_admin_says_so_and_answers_follow_at_once(installation: Installation) -> None:
    installation.upload(("a.txt", TEXT), ("b.txt", TEXT + " Then close it."))
    installation.work()
    assert found(installation) == set()
    assert mark(installation, "a.txt", is_public=True).json()["is_public"] is True
    assert found(installation) == {"a.txt"}
    installation.upload(("a.txt", TEXT + " A new version."))
    installation.work()
    assert found(installation) == {"a.txt"}  # the mark stays with the document
    mark(installation, "a.txt", is_public=False)
    assert found(installation) == set()
    whole = "/api/knowledge-bases/manuals/public"
    assert installation.client.put(whole, json={"is_public": True}).json() == {"is_public": True, "changed": 2}
    assert found(installation) == {"a.txt", "b.txt"}
    installation.upload(("c.txt", TEXT + " Later."))
    installation.work()
    assert public(installation)["c.txt"] is False
    assert installation.client.put(whole, json={"is_public": False}).json()["changed"] == 2
    assert found(installation) == set()


def test_an_upload_says_so_for_its_documents_when_they_are_stored(installation: Installation) -> None:
    installation.upload(("secret.txt", TEXT + " The price is 7."))
    installation.work()
    installation.upload(("secret.txt", TEXT), is_public="true")
    assert public(installation) == {"secret.txt": False}  # the old version is not for visitors, the new one is not read
    installation.work()
    assert found(installation) == {"secret.txt"}
    installation.upload(("secret.txt", TEXT + " The price is 8."), is_public="false")
    assert found(installation) == set()  # nobody waits for a worker to hide something
    installation.work()
    installation.upload(("secret.txt", TEXT + " The price is 8."), is_public="true")
    assert found(installation) == {"secret.txt"}  # the same content: nothing is to be read
    installation.upload(("secret.txt", TEXT + " The price is 8."))
    assert found(installation) == {"secret.txt"}  # an upload that says nothing changes nothing


@pytest.mark.parametrize("suffix", ["zip", "jsonl"])
def test_the_documents_of_an_archive_follow_it_changed_or_not(installation: Installation, suffix: str) -> None:
    texts = {f"{number}.txt": f"{TEXT} Number {number}." for number in range(3)}
    records = "\n".join(json.dumps({"_id": name, "title": name, "text": text}) for name, text in texts.items())
    name, content = f"all.{suffix}", archive(texts) if suffix == "zip" else records
    installation.upload((name, content))
    installation.work()
    assert set(public(installation).values()) == {False}
    installation.upload((name, content), is_public="true")
    installation.work()
    assert found(installation) == set(public(installation))
    assert len(found(installation)) == 3
    installation.upload((name, content), is_public="false")
    assert found(installation) == set()


def test_a_public_text_gives_way_to_no_internal_one(installation: Installation) -> None:
    long = " ".join(f"{TEXT} Step {number} of the orange valve." for number in range(30))
    installation.upload(("public.txt", long), is_public="true")
    installation.work()
    installation.upload(("internal.txt", long))  # the newer of two is the one that stays
    installation.work()
    installation.client.patch(
        "/api/knowledge-bases/manuals", json={"settings": {"exclude_duplicate": True}}
    ).raise_for_status()
    installation.work()
    assert found(installation) == {"public.txt"}
