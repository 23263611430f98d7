"""Uploading, listing and deleting documents over HTTP, with hostile input, on both databases."""

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import BadRequest, ServiceError, TooLargeRequest
from app.models import new_id
from app.uploads import checked_name, received
from tests.installation import Installation, form

PATH = "/api/knowledge-bases/manuals/documents"
KETTLE = "# Kettle\n\nPress the red button to boil water.\n"
NEW_KETTLE = "# Kettle\n\nTurn the copper dial to boil water.\n"


def test_an_uploaded_document_is_found_and_listed(installation: Installation) -> None:
    answer = installation.upload(("guides/kettle.md", KETTLE), facets='{"product": "K-1"}')
    (document,), (job,) = answer["documents"], answer["jobs"]
    assert (document["external_id"], document["status"], document["version"]) == ("guides/kettle.md", "queued", 0)
    assert document["progress"] == {"stage": "queued", "done": 0, "total": None, "seconds_left": None}
    assert installation.listing()["jobs"] == [job]
    installation.work()

    (hit,) = installation.search("red button", {"product": "K-1"})
    assert (hit["external_id"], hit["title"], hit["document_id"]) == ("guides/kettle.md", "Kettle", document["id"])
    assert installation.search("red button", {"product": "K-2"}) == []
    ready = installation.get(f"/api/documents/{document['id']}")
    assert (ready["status"], ready["version"], ready["passages"], ready["facets"]) == (
        "ready",
        1,
        1,
        {"product": "K-1"},
    )
    assert ready["progress"]["seconds_left"] == 0
    (passage,) = installation.get(f"/api/documents/{document['id']}/passages")["passages"]
    assert passage == hit | {"score": None, "signals": {}}
    knowledge_base = installation.get("/api/knowledge-bases/manuals")
    assert (knowledge_base["document_count"], knowledge_base["passage_count"]) == (1, 1)
    assert installation.get(f"/api/jobs/{job['id']}")["status"] == "done"
    assert installation.listing()["jobs"] == []


def test_a_batch_goes_on_when_files_are_refused(installation: Installation) -> None:
    answer = installation.upload(
        ("good.md", KETTLE),
        ("empty.txt", ""),
        ("program.exe", "MZ"),
        ("picture.pdf", b"\x89PNG\r\n\x1a\n"),
        ("../up.md", KETTLE),
        ("also good.txt", "The kettle holds two litres."),
    )
    assert [each["external_id"] for each in answer["documents"]] == ["good.md", "also good.txt"]
    refused = {each["name"]: each["error"] for each in answer["rejected"]}
    assert {name: error["code"] for name, error in refused.items()} == {
        "empty.txt": "empty_file",
        "program.exe": "unsupported_type",
        "picture.pdf": "wrong_type",
        "../up.md": "bad_name",
    }
    assert refused["picture.pdf"]["message"].startswith("picture.pdf ")
    installation.work()
    assert {each["status"] for each in installation.documents().values()} == {"ready"}
    assert installation.stored_files() == ["also good.txt", "good.md"]


def test_what_is_broken_inside_fails_alone_with_a_reason(installation: Installation) -> None:
    installation.upload(("good.md", KETTLE), ("broken.pdf", b"%PDF-1.7\nthis is not one"), ("blank.md", " \n\n"))
    installation.work()
    documents = installation.documents()
    assert {name: each["status"] for name, each in documents.items()} == {
        "good.md": "ready",
        "broken.pdf": "failed",
        "blank.md": "failed",
    }
    assert "damaged" in documents["broken.pdf"]["message"]
    assert {each["external_id"] for each in installation.listing(status="failed")["documents"]} == {
        "broken.pdf",
        "blank.md",
    }
    assert {each["external_id"] for each in installation.listing()["jobs"]} == {"broken.pdf", "blank.md"}

    again = installation.post(f"/api/documents/{documents['broken.pdf']['id']}/retry")
    assert (again["status"], again["message"]) == ("queued", "")
    installation.work()
    assert installation.documents()["broken.pdf"]["status"] == "failed"


@pytest.mark.parametrize(
    ("files", "fields", "status", "code"),
    [
        ([("a.exe", "x")], {}, 415, "unsupported_type"),
        ([("a.md", "")], {}, 400, "bad_request"),
        ([("a.md", "x" * (1024 * 1024 + 1))], {}, 413, "too_large"),
        ([], {"facets": "{}"}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": "{"}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": "[1]"}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": '{"a": {"b": 1}}'}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": '{"a": NaN}'}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": '{"a": "\\u0000"}'}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": '{"a": "\\ud800"}'}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facets": "[" * 100_000}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"external_id": "/etc/passwd"}, 400, "bad_request"),
        ([("a.md", KETTLE), ("b.md", KETTLE)], {"external_id": "x"}, 400, "bad_request"),
        ([("a.md", KETTLE)], {"facet": "{}"}, 400, "bad_request"),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"])
def test_uploads_that_cannot_be_right_leave_nothing(
    installation: Installation, files: list[tuple[str, str]], fields: dict[str, str], status: int, code: str
) -> None:
    from app.settings import IngestionSettings

    small = installation.services.settings.model_copy(update={"ingestion": IngestionSettings(max_file_mb=1)})
    installation.services.settings = small
    parts: Any = [*form(files), *((name, (None, value)) for name, value in fields.items())]
    response = installation.client.post(PATH, files=parts)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    assert response.json()["error"]["message"]
    assert installation.listing()["documents"] == []
    assert installation.stored_files() == []


def test_the_same_content_again_is_no_work(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE))
    assert len(installation.upload(("kettle.md", KETTLE))["jobs"]) == 1  # that which waits already
    installation.work()
    before = installation.documents()["kettle.md"]
    answer = installation.upload(("kettle.md", KETTLE))
    assert (answer["documents"], answer["jobs"]) == ([before], [])
    assert installation.get("/api/knowledge-bases/manuals")["change"] == 1


def test_the_old_version_answers_until_the_new_one_is_ready(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    old = installation.documents()["kettle.md"]
    installation.upload(("kettle.md", NEW_KETTLE))
    assert "red button" in installation.texts("boil water")
    assert installation.documents()["kettle.md"]["status"] == "queued"
    installation.work()
    assert "red button" not in installation.texts("boil water")
    assert "copper dial" in installation.texts("boil water")
    new = installation.documents()["kettle.md"]
    assert (new["id"], new["version"], new["status"]) == (old["id"], 2, "ready")
    assert len(installation.stored_files()) == 1


def test_a_broken_new_version_leaves_the_old_one_answering(installation: Installation) -> None:
    installation.upload(("manual.md", KETTLE))
    installation.work()
    installation.upload(("manual.md", "\n \n"))
    installation.work()
    document = installation.documents()["manual.md"]
    assert (document["status"], document["version"]) == ("failed", 1)
    assert document["message"].endswith("Version 1 goes on answering.")
    assert "red button" in installation.texts("boil water")

    answer = installation.upload(("manual.md", KETTLE))  # back to what is there: no work, and no failure any more
    assert (answer["documents"][0]["status"], answer["jobs"]) == ("ready", [])
    assert installation.listing()["jobs"] == []
    assert len(installation.stored_files()) == 1


def test_a_cancelled_new_version_leaves_the_old_one_ready(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    document = installation.upload(("kettle.md", NEW_KETTLE))["documents"][0]
    cancelled = installation.post(f"/api/documents/{document['id']}/cancel")
    assert (cancelled["status"], cancelled["version"]) == ("ready", 1)
    installation.work()
    assert "red button" in installation.texts("boil water")
    assert installation.client.post(f"/api/documents/{document['id']}/cancel").status_code == 409
    installation.post(f"/api/documents/{document['id']}/retry")
    installation.work()
    assert "copper dial" in installation.texts("boil water")


def test_a_deleted_document_is_gone_at_once(installation: Installation) -> None:
    installation.upload(("kettle.md", KETTLE), ("copy.md", KETTLE), ("waiting.md", "Soon."))
    installation.work()
    documents = installation.documents()
    for name in ("kettle.md", "waiting.md"):
        assert installation.client.delete(f"/api/documents/{documents[name]['id']}").status_code == 204
        assert installation.client.get(f"/api/documents/{documents[name]['id']}").status_code == 404
    assert {hit["external_id"] for hit in installation.search("red button")} == {"copy.md"}
    assert installation.stored_files() == ["copy.md"]
    installation.upload(("kettle.md", KETTLE))
    installation.work()
    assert installation.documents()["kettle.md"]["version"] == 1


def test_records_are_documents_and_bad_ones_are_named(installation: Installation) -> None:
    records = [
        {"_id": "q1", "title": "Boiling", "text": "Press the red button.", "product": "K-1"},
        {"_id": "q2", "title": "Cleaning", "text": "Use vinegar.", "product": "K-2"},
    ]
    lines = [json.dumps(record) for record in records]
    answer = installation.upload(("faq.jsonl", "\n".join([*lines, "{not json"])), facets='{"audience": "all"}')
    assert (answer["documents"], len(answer["jobs"])) == ([], 1)
    installation.work()
    documents = installation.documents()
    assert {name: each["status"] for name, each in documents.items()} == {
        "q1": "ready",
        "q2": "ready",
        "faq.jsonl#3": "failed",
    }
    assert documents["q1"]["facets"] == {"product": "K-1", "audience": "all"}
    assert [hit["external_id"] for hit in installation.search("vinegar", {"product": "K-2"})] == ["q2"]
    job = installation.get(f"/api/jobs/{answer['jobs'][0]['id']}")
    assert (job["status"], job["message"][:37]) == ("done", "1 of 3 records could not be read. The")

    change = installation.get("/api/knowledge-bases/manuals")["change"]
    lines[1] = lines[1].replace("vinegar", "lemon juice")
    installation.upload(("faq.jsonl", "\n".join(lines)))
    installation.work()
    documents = installation.documents()
    assert (documents["q1"]["version"], documents["q2"]["version"]) == (1, 2)
    assert installation.get("/api/knowledge-bases/manuals")["change"] == change + 1
    for name in ("q1", "q2"):
        installation.client.delete(f"/api/documents/{documents[name]['id']}")
    assert installation.search("lemon juice") == []


def test_lists_come_in_pages(installation: Installation) -> None:
    installation.upload(*((f"{number}.txt", f"Text number {number}.") for number in range(5)))
    seen: list[str] = []
    cursor = None
    while True:
        page = installation.listing(limit=2, **({"cursor": cursor} if cursor else {}))
        assert page["total"] == 5
        seen += [each["external_id"] for each in page["documents"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_passages_of_a_page_and_in_pages(installation: Installation) -> None:
    installation.upload(("long.txt", "\n\n".join(f"Paragraph {n}. " + "water " * 150 for n in range(12))))
    installation.work()
    path = f"/api/documents/{installation.documents()['long.txt']['id']}/passages"
    whole = installation.get(path)["passages"]
    assert len(whole) > 3
    first = installation.get(path, limit=2)
    rest = installation.get(path, cursor=first["next_cursor"])
    assert first["passages"] + rest["passages"] == whole
    assert rest["next_cursor"] is None
    assert installation.get(path, page=7)["passages"] == []


@given(st.text(max_size=60))
def test_an_accepted_name_stays_inside_its_folder(name: str) -> None:
    try:
        accepted = checked_name(name)
    except ValueError:
        return
    place = Path("/folder/inside") / accepted
    assert place.is_relative_to("/folder/inside")
    assert ".." not in place.parts
    assert accepted.encode().isascii() or accepted.isprintable() or accepted.strip()
    assert not any(ord(character) < 32 for character in accepted)


@pytest.mark.parametrize(
    "name",
    ["", " ", "/a", "\\a", "C:/a", "c:\\a", "a/../b", "..", "a//b", "a\0b", "a\nb", "a\x7f", "\ud800", "a" * 1001],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        checked_name(name)


def _read(body: list[bytes], folder: Path, file_bytes: int = 100, request_bytes: int = 100_000) -> dict[str, Any]:
    """What `received` makes of a body that arrives in these pieces."""
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    pieces.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return pieces.pop(0)

    async def read() -> dict[str, Any]:
        scope = {"type": "http", "headers": [(b"content-type", b"multipart/form-data; boundary=XX")]}
        async with received(Request(scope, receive), folder, file_bytes, request_bytes) as upload:
            files = [(f.name, f.path.read_bytes() if f.error is None else f.error[0]) for f in upload.files]
            return {"files": files, "fields": upload.fields}

    try:
        return asyncio.run(read())
    finally:
        assert list(folder.iterdir()) == []


_BODY = (
    b'--XX\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nfirst\r\n--X \r\n'
    b'--XX\r\nContent-Disposition: form-data; name="files"; filename="b/\xe4\xb8\xad\xe6\x96\x87.txt"\r\n\r\n'
    + bytes(range(256))[:99]
    + b'\r\n--XX\r\nContent-Disposition: form-data; name="facets"\r\n\r\n{}\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="files"; filename="big.txt"\r\n\r\n' + b"x" * 101 + b"\r\n--XX--\r\n"
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(_BODY)), max_size=8))
def test_a_form_reads_the_same_however_it_arrives(cuts: list[int], tmp_path: Path) -> None:
    borders = [0, *sorted(cuts), len(_BODY)]
    pieces = [_BODY[start:end] for start, end in itertools.pairwise(borders)]
    (folder := tmp_path / new_id()).mkdir()
    assert _read(pieces, folder) == {
        "files": [("a.txt", b"first\r\n--X "), ("b/中文.txt", bytes(range(99))), ("big.txt", "too_large")],
        "fields": {"facets": "{}"},
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(_BODY) - 9), noise=st.binary(max_size=20))
def test_a_form_that_breaks_off_or_is_none_is_refused_and_leaves_nothing(
    cut: int, noise: bytes, tmp_path: Path
) -> None:
    (folder := tmp_path / new_id()).mkdir()
    with pytest.raises(ServiceError) as raised:
        _read([_BODY[:cut], noise], folder)
    assert raised.type in (BadRequest, TooLargeRequest)


def test_a_request_beyond_its_limit_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(TooLargeRequest):
        _read([_BODY], tmp_path, request_bytes=200)
