"""What documents are about: read from files, given at uploads, said by admins; and filters by it."""

import io
import json
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.facets import described, language_code
from ingestion.parsers.stated import stated_facets
from tests.installation import Installation

TEXT = "Press the button for five seconds and wait until the light is green, then let it go."


def page(head: str, text: str = TEXT) -> str:
    return f"<html><head><title>Manual</title>{head}</head><body><h1>Start</h1><p>{text}</p></body></html>"


def word(core: str, custom: str = "") -> bytes:
    """A .docx of one paragraph with these properties."""
    office = "http://schemas.openxmlformats.org/officeDocument/2006"
    kinds = f"{office}/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{kinds}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="r2" Type="{package}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        f'<Relationship Id="r3" Type="{kinds}/custom-properties" Target="docProps/custom.xml"/></Relationships>',
        "word/document.xml": '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body><w:p><w:r><w:t>{TEXT}</w:t></w:r></w:p></w:body></w:document>",
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{package}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{core}</cp:coreProperties>',
        "docProps/custom.xml": f'<Properties xmlns="{office}/custom-properties" xmlns:vt="{office}/docPropsVTypes">'
        f"{custom}</Properties>",
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


def pdf(**information: str) -> bytes:
    """A PDF of one line of text with these entries in its information dictionary."""
    content = f"BT /F1 12 Tf 72 720 Td ({TEXT}) Tj ET".encode()
    entries = "".join(f"/{name} ({value}) " for name, value in information.items())
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        f"<< {entries}>>".encode(),
    ]
    made, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer << /Size 6 /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(made)
    return made + b"xref\n0 6\n0000000000 65535 f \n" + table + trailer


def change(installation: Installation, external_id: str, **body: Any) -> dict[str, Any]:
    document = installation.documents()[external_id]["id"]
    response = installation.client.patch(f"/api/documents/{document}", json=body)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    assert changed == installation.documents()[external_id]
    return changed


def test_facets_are_read_where_files_state_them_and_never_from_their_text(installation: Installation) -> None:
    custom = (
        '<property fmtid="{D5CDD505}" pid="2" name="Product"><vt:lpwstr>LT-340</vt:lpwstr></property>'
        '<property fmtid="{D5CDD505}" pid="3" name="Checked by"><vt:lpwstr>Kim</vt:lpwstr></property>'
    )
    prose = "This is the manual. Product: Toaster 9. Version: 4.4. Audience: all of you."
    installation.upload(
        ("meta.html", page('<meta name="product" content=" LT-300 "><meta name="version" content="2.1">')),
        ("keywords.html", page('<meta name="keywords" content="coffee; product: LT-310; audience: service">')),
        ("prose.html", page(f'<meta name="description" content="{prose}">', prose)),
        ("core.docx", word("<cp:version>3.0</cp:version><cp:keywords>产品：LT-330；读者：维修人员</cp:keywords>")),
        ("custom.docx", word("<dc:subject>version=7</dc:subject>", custom)),
        ("info.pdf", pdf(Title="Manual", Product="LT-350", Keywords="Version: 2.1, printing", Subject="Product: no")),
        ("plain.pdf", pdf(Title="LT-360 User Manual 2.0", Subject="How to use the product", Keywords="manual, LT-360")),
        ("records.jsonl", json.dumps({"_id": "r1", "text": TEXT, "product": "LT-370", "language": "en-GB"})),
    )
    installation.work()
    found = {name: document["facets"] for name, document in installation.documents().items()}
    assert found == {
        "meta.html": {"product": "LT-300", "version": "2.1"},
        "keywords.html": {"product": "LT-310", "audience": "service"},
        "prose.html": {},
        "core.docx": {"version": "3.0", "product": "LT-330", "audience": "维修人员"},
        "custom.docx": {"product": "LT-340", "version": "7"},
        "info.pdf": {"product": "LT-350", "version": "2.1"},
        "plain.pdf": {},
        "r1": {"product": "LT-370"},
    }
    assert {document["language"] for document in installation.documents().values()} == {"en"}


def test_an_upload_goes_before_the_file(installation: Installation) -> None:
    file = ("a.html", page('<meta name="product" content="LT-300"><meta name="version" content="2.1">'))
    installation.upload(file, facets='{"product": "LT-301", "language": "de"}')
    installation.work()
    document = installation.documents()["a.html"]
    assert (document["facets"], document["language"]) == ({"product": "LT-301", "version": "2.1"}, "de")


def test_what_an_admin_says_is_searched_by_at_once_and_outlives_new_versions(installation: Installation) -> None:
    other = page("", "Turn the valve to the left, and the water runs.")
    installation.upload(("a.html", page('<meta name="product" content="LT-300">')), ("b.html", other))
    installation.work()
    assert [hit["external_id"] for hit in installation.search(TEXT, {"product": "LT-300"})] == ["a.html"]

    facets = {"product": ["S9", "S10"], "year": 2024}
    said = change(installation, "a.html", title="锅炉手册", language="zh_TW", facets=facets)
    assert (said["title"], said["language"]) == ("锅炉手册", "zh-Hant")
    assert said["facets"] == facets
    change(installation, "b.html", facets={"product": "S10", "audience": "service"})
    assert installation.search(TEXT, {"product": "LT-300"}) == []
    assert {hit["external_id"] for hit in installation.search(TEXT, {"product": "S10"})} == {"a.html", "b.html"}
    (hit,) = installation.search(TEXT, {"product": "S10", "language": "zh-Hant"})
    assert hit["external_id"] == "a.html"
    assert installation.search(TEXT, {"audience": "service", "year": 2024}) == []
    assert installation.search("锅炉")[0]["title"] == "锅炉手册"

    installation.upload(("a.html", page('<meta name="product" content="LT-300">', TEXT + " New.")))
    installation.work()
    again = installation.documents()["a.html"]
    assert (again["version"], again["title"]) == (2, "锅炉手册")
    assert (again["language"], again["facets"]) == ("zh-Hant", facets)
    assert "New." in installation.search(TEXT, {"product": "S9"})[0]["text"]

    change(installation, "a.html", title=None, facets={"year": None})
    installation.upload(("a.html", page("", TEXT + " Newer.")), facets='{"product": "LT-300"}')
    installation.work()
    last = installation.documents()["a.html"]
    assert (last["title"], last["facets"]) == ("Manual", {"product": "LT-300"})


@pytest.mark.parametrize(
    "body",
    [
        {"language": "english, mostly"},
        {"language": ""},
        {"facets": {"language": 7}},
        {"facets": {"product": {"name": "x"}}},
        {"facets": {"product": [["x"]]}},
        {"facets": {"product": "a\u0000b"}},
        {"facets": {"a\u2028b": "x"}},
        {"facets": {"": "x"}},
        {"facets": {"x" * 200: "x"}},
        {"facets": {f"f{number}": number for number in range(99)}},
        {"facets": [1]},
        {"title": ""},
        {"title": "a\u0000b"},
        {"title": "x" * 1001},
        {"version": 3},
    ],
)
def test_what_cannot_be_said_is_refused_and_changes_nothing(installation: Installation, body: dict[str, Any]) -> None:
    installation.upload(("a.html", page("")))
    installation.work()
    before = installation.documents()["a.html"]
    change_number = installation.get("/api/knowledge-bases/manuals")["change"]
    response = installation.client.patch(f"/api/documents/{before['id']}", json=body)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]
    assert installation.documents()["a.html"] == before
    assert installation.get("/api/knowledge-bases/manuals")["change"] == change_number
    assert installation.client.patch("/api/documents/nothing", json={"title": "x"}).status_code == 404


@given(st.text(max_size=30), st.text(max_size=300))
def test_stated_facets_are_short_lines(name: str, value: str) -> None:
    for facet, text in stated_facets({"Product": value, name: value}, [f"product: {value}", name]).items():
        assert facet in ("product", "version", "audience")
        assert text == " ".join(text.split())
        assert 0 < len(text) <= 200


@given(st.dictionaries(st.sampled_from("abc"), st.integers()), st.dictionaries(st.sampled_from("abc"), st.integers()))
def test_an_upload_goes_before_an_admin_who_goes_before_the_file(read: dict[str, int], given_: dict[str, int]) -> None:
    made = described({"facets": {"a": 1000, "b": None}}, "T", "en", read, given_)
    assert made["facets"].get("a") == given_.get("a", 1000)
    assert made["facets"].get("b") == given_.get("b")
    assert made["facets"].get("c") == given_.get("c", read.get("c"))
    assert made["edits"].get("facets", {}) == {
        name: value for name, value in {"a": 1000, "b": None}.items() if name not in given_
    }


def test_language_codes() -> None:
    codes = {
        each: language_code(each) for each in ("en", "EN-us", "zh", "zh_CN", "zh-Hans", "zh-TW", "zh_Hant_HK", "x", "")
    }
    assert list(codes.values()) == ["en", "en", "zh", "zh", "zh", "zh-Hant", "zh-Hant", None, None]
