"""A catalogue as admins and agents meet it: uploaded, replaced, searched and compared over HTTP."""

import gzip
import io
import json
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from openpyxl import Workbook

from app.errors import Conflict
from app.scope import Scope
from app.service.catalogue.fresh import FreshFigures
from tests.installation import Installation

CATALOGUE = "/api/knowledge-bases/manuals/catalogue"
LAMPS = "sku,name,price,currency,stock,weight\nL1,Desk lamp,40,EUR,3,1.2 kg\nL2,Floor lamp,90,EUR,0,4000 g\n"


def put(installation: Installation, name: str, content: str | bytes) -> Any:
    files = [("files", (name, content.encode() if isinstance(content, str) else content))]
    return installation.client.put(CATALOGUE, files=files)


def skus(installation: Installation, question: str) -> list[str]:
    found = installation.get(f"{CATALOGUE}/search", q=question)
    return [each["sku"] for each in found["products"]]


def test_only_what_a_new_file_changes_is_written_and_only_changed_texts_are_embedded(
    installation: Installation,
) -> None:
    first = put(installation, "lamps.csv", LAMPS).json()
    cheaper = LAMPS.replace("L1,Desk lamp,40", "L1,Desk lamp,35").replace("L2,Floor lamp,90,EUR,0,4000 g\n", "")
    second = put(installation, "lamps.csv", cheaper + "L3,Wall lamp,20,EUR,,300 g\n").json()

    assert (first["new"], first["embedded"]) == (2, 2)
    counts = {name: second[name] for name in ("products", "new", "changed", "removed", "unchanged", "embedded")}
    assert counts == {"products": 2, "new": 1, "changed": 1, "removed": 1, "unchanged": 0, "embedded": 1}
    listed = installation.get(CATALOGUE)
    assert [(each["sku"], each["price"], each["source"]) for each in listed["products"]] == [
        ("L1", 35.0, "file"),
        ("L3", 20.0, "file"),
    ]
    assert skus(installation, "lamp under 30") == ["L3"]
    assert installation.client.delete(CATALOGUE).status_code == 204
    assert installation.client.get(CATALOGUE).status_code == 404


def test_the_three_formats_hold_the_same_products(installation: Installation) -> None:
    rows = [line.split(",") for line in LAMPS.splitlines()]
    sheet = Workbook()
    for row in rows:
        sheet.active.append([float(cell) if cell.isdigit() else cell for cell in row])  # type: ignore[union-attr]
    workbook = io.BytesIO()
    sheet.save(workbook)
    lines = "\n".join(
        json.dumps({"sku": row[0], "name": row[1], "price": float(row[2]), "currency": row[3], "stock": int(row[4]),
                    "attributes": {"weight": row[5]}}) for row in rows[1:]
    )  # fmt: skip

    listed = []
    for name, content in (("lamps.csv", LAMPS), ("lamps.xlsx", workbook.getvalue()), ("lamps.jsonl", lines)):
        assert put(installation, name, content).status_code == 200
        listed.append([{**each, "as_of": ""} for each in installation.get(CATALOGUE)["products"]])

    assert listed[0] == listed[1] == listed[2]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "sku,name\nA,Lamp\nA,Lamp\n", "row 3, sku: 'A' is also in row 2"),
        ("a.csv", "sku,name,price\nA,Lamp,NaN\n", "row 2, price: 'NaN' is not a price"),
        ("a.csv", "sku,name,price\nA,Lamp,-3\n", "row 2, price: '-3' is not a price"),
        ("a.csv", "sku,name\nA,=HYPERLINK(1)\n", "row 2, name: holds a formula"),
        ("a.csv", "sku,name\n,Lamp\n", "row 2, sku: is missing"),
        ("a.csv", "sku,name\nA,Lamp,9\n", "row 2: '9' stands in a column without a name"),
        ("a.csv", "sku,name,stock\nA,Lamp,1.5\n", "row 2, stock: '1.5' is not a whole number"),
        (
            "a.csv",
            "sku,name,url\nA,Lamp,javascript:alert(1)\n",
            "row 2, url: 'javascript:alert(1)' is not a web address",
        ),
        ("a.csv", "sku,name\n", "has no products"),
        ("a.csv", "sku,sku,name\nA,B,C\n", "two columns have this name"),
        ("a.csv", b"sku,name\nA,\x00\x01\x02\xff\xfe\n", "a.csv"),
        ("a.jsonl", '{"sku": "A", "name": "Lamp", "price": NaN}', "row 1: is not JSON"),
        ("a.jsonl", "[" * 50_000, "row 1: is not JSON"),
        ("a.jsonl", '{"sku": "A", "name": "\\ud800"}', "row 1, name: holds half a character"),
        ("a.xlsx", b"no workbook", "a.xlsx"),
        ("a.pdf", b"%PDF-1.4", "CSV, JSONL or XLSX"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_row_and_nothing_changes(
    installation: Installation, name: str, content: str | bytes, told: str
) -> None:
    put(installation, "lamps.csv", LAMPS).raise_for_status()

    refused = put(installation, name, content)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_catalogue")
    assert told in refused.json()["error"]["message"]
    assert sorted(skus(installation, "lamp")) == ["L1", "L2"]


def test_the_shipped_catalogue_answers_in_both_languages_and_compares(installation: Installation) -> None:
    shipped = resources.files("app.sample.shop").joinpath("catalogue.csv").read_bytes()
    put(installation, "catalogue.csv", shipped).raise_for_status()

    chinese = installation.get(f"{CATALOGUE}/search", q="防水 200 元以下")
    compared = installation.get(f"{CATALOGUE}/compare", a="LT-300", b="lt-300s coffee machine")

    assert {each["sku"] for each in chinese["products"]} == {"SC-2", "TH-1"}
    assert {each["words"] for each in chinese["understood"]} == {"waterproof ✓", "price ≤ 200 EUR"}
    assert all(each["name"][-1] >= "一" for each in chinese["products"])
    rows = {row["attribute"]: row for row in compared["rows"]}
    assert (rows["capacity"]["difference"], rows["capacity"]["unit"]) == (0.6, "l")
    assert [rows[name]["is_different"] for name in ("category", "colour", "grinder")] == [False, True, False]
    missing = installation.client.get(f"{CATALOGUE}/compare", params={"a": "LT-300", "b": "none"})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Compare the Desk lamp with the Floor lamp, please", ["L1", "L2"]),
        ("What is the difference between L2 and L1?", ["L2", "L1"]),
        ("Floor lamp vs desk lamp XL", ["L2", "L1X"]),  # not the desk lamp within its name
        ("L1和L2有什么区别？", ["L1", "L2"]),
        ("Is there a desk lamp or a floor lamp or an L1X?", None),  # three
        ("I like the desk lamp and the floor lamp", None),
        ("Which lamp is better?", None),
        ("L1 or XL2?", None),
    ],
)
def test_two_products_that_a_question_names_are_compared(
    installation: Installation, asked: str, found: list[str] | None
) -> None:
    put(installation, "lamps.csv", LAMPS + "L1X,Desk lamp XL,60,EUR,3,2 kg\n").raise_for_status()
    services = installation.services
    with services.database.read() as session:
        catalogue = services.catalogues.of(Scope().knowledge_base(session, "manuals"))
    compared = catalogue.comparison_in(asked)
    assert (compared and [compared.a.sku, compared.b.sku]) == found


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=gzip.compress(b'{"price": 1}'), headers={"content-encoding": "gzip"}),
        httpx.Response(200, content=b"[" * 200_000),
        httpx.Response(200, content=b" " * 1_000_001),
        httpx.Response(200, content=b'{"price": NaN}'),
        httpx.Response(302, headers={"location": "http://127.0.0.1/"}),
    ],
)
def test_what_a_shops_api_says_that_cannot_be_used_leaves_the_files_figures(
    installation: Installation, answer: httpx.Response
) -> None:
    put(installation, "lamps.csv", LAMPS).raise_for_status()
    file = installation.services.settings.home_folder / "catalogue.yaml"
    file.write_text('manuals: {url: "https://shop.test/p/{sku}"}')
    asked: list[httpx.Request] = []
    figures = FreshFigures(file, lambda _: None, httpx.MockTransport(lambda given: (asked.append(given), answer)[1]))
    installation.services.catalogues._fresh = figures
    products = installation.get(f"{CATALOGUE}/search", q="lamp")["products"]
    assert {each["source"] for each in products} == {"file"}
    assert asked[0].headers["accept-encoding"] == "identity"
    figures.close()


@pytest.mark.parametrize(
    "written",
    [
        'manuals: {url: "https://shop.test/p/{sku}", headers: {Authorization: "Bearer t0ken", Authorization',
        'manuals: {url: "https://shop.test/p/{sku}", headers: {Authorization: ["Bearer t0ken"]}}',
        "manuals: " + "[" * 3000,
    ],
)
def test_a_mistake_in_the_file_of_sources_is_told_without_its_secrets(tmp_path: Path, written: str) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(written)
    with pytest.raises(Conflict) as refused:
        FreshFigures(file, lambda _: None).source_of("manuals")
    assert "catalogue.yaml" in str(refused.value)
    assert "t0ken" not in str(refused.value)


def test_fresh_figures_come_from_the_api_and_else_from_the_file_with_its_age(installation: Installation) -> None:
    put(installation, "lamps.csv", LAMPS).raise_for_status()
    file = installation.services.settings.home_folder / "catalogue.yaml"
    file.write_text(
        'manuals: {url: "https://shop.test/p/{sku}", headers: {Authorization: "Bearer ${secret.SHOP}"}, '
        "price: offer.price, stock: stock}"
    )
    seen: list[str] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.url} {request.headers['authorization']}")
        if request.url.path.endswith("L2"):
            return httpx.Response(503)
        return httpx.Response(200, json={"offer": {"price": 37.5}, "stock": 8})

    figures = FreshFigures(file, lambda name: f"secret of {name}", httpx.MockTransport(api))
    installation.services.catalogues._fresh = figures

    products = {each["sku"]: each for each in installation.get(f"{CATALOGUE}/search", q="lamp")["products"]}

    assert sorted(seen)[0] == "https://shop.test/p/L1 Bearer secret of SHOP"
    assert [products["L1"][name] for name in ("price", "stock", "source")] == [37.5, 8, "api"]
    assert [products["L2"][name] for name in ("price", "stock", "source")] == [90.0, 0, "file"]
    listed = installation.get(CATALOGUE)
    assert products["L2"]["as_of"] == listed["uploaded_at"] < products["L1"]["as_of"]
    figures.close()
