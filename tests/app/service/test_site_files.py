"""What an admin does with sites, and the widget's own files as the pages of sites load them."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.service.widget_shop import (
    FOREIGN,
    Shop,
    shop,
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


def test_what_an_admin_does_with_sites_needs_no_more_than_it_says(opened: Shop) -> None:
    made = opened.new_site(name="forms", settings={"title": "Help", "greeting": {"zh": "你好"}})
    assert opened.client.get("/api/sites/forms").json() == made
    changed = opened.client.patch("/api/sites/forms", json={"settings": {"language": "zh"}, "name": "form"}).json()
    assert changed["settings"]["title"] == "Help"
    assert changed["settings"]["language"] == "zh"
    assert f'data-site="{made["id"]}"' in changed["snippet"]
    assert "/widget.js" in changed["snippet"]
    assert opened.client.post("/api/sites", json={"name": "form", "knowledge_base": "manuals"}).status_code == 409
    assert opened.client.post("/api/sites", json={"name": "x", "knowledge_base": "none"}).status_code == 404
    for wrong in (
        {"origins": ["http://shop.example"]},
        {"origins": ["*"]},
        {"identity": {"algorithm": "none", "key": "x"}},
        {"settings": {"theme": {"--answerdesk-accent": "url(//evil)"}}},
        {"settings": {"per_minute": 0}},
        {"name": ""},
        {"more": 1},
    ):
        assert opened.client.patch("/api/sites/form", json=wrong).status_code == 422, wrong
    assert "form" in {each["name"] for each in opened.client.get("/api/sites").json()["sites"]}
    assert opened.client.delete("/api/sites/form").status_code == 204
    assert opened.client.get("/api/sites/form").status_code == 404
    for path in ("/widget/../app.py", "/widget/%2e%2e%2fapp.py", "/widget/.env", "/widget/x.py", "/widget/none.js"):
        assert opened.client.get(path).status_code == 404


def test_the_widgets_own_files_may_be_loaded_by_any_page_and_are_what_they_say(opened: Shop) -> None:
    loader = opened.client.get("/widget.js", headers={"Origin": FOREIGN})
    assert loader.headers["content-type"] == "text/javascript; charset=utf-8"
    assert loader.headers["x-content-type-options"] == "nosniff"
    assert loader.headers["access-control-allow-origin"] == "*"
    again = opened.client.get("/widget.js", headers={"If-None-Match": loader.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert opened.client.get("/widget/session.js").status_code == 200


def test_the_widgets_files_go_compressed_to_whom_takes_it(opened: Shop) -> None:
    def get(accepted: str, **headers: str) -> httpx.Response:
        return opened.client.get("/widget/chat.js", headers={"Accept-Encoding": accepted, **headers})

    plain, small = get("identity"), get("br, gzip")
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.content == plain.content  # which the client has decompressed
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert small.headers["etag"] != plain.headers["etag"]
    for each in (plain, small):
        assert each.headers["vary"] == "Accept-Encoding"
    for accepted, own in (("gzip", small), ("identity", plain)):
        again = get(accepted, **{"If-None-Match": own.headers["etag"]})
        assert (again.status_code, again.content, again.headers["vary"]) == (304, b"", "Accept-Encoding")
    assert get("identity", **{"If-None-Match": small.headers["etag"]}).content == plain.content
    for accepted in ("", "identity", "gzip;q=0", "br", "*;q=0", "gzip;q=0, *", "gzipped", "gzip;q=x"):
        assert "content-encoding" not in get(accepted).headers, accepted
    for accepted in ("gzip", "GZIP;q=0.5", "*", "br;q=1.0, gzip; q=0.8, *;q=0.1", "deflate,gzip"):
        assert get(accepted).headers["content-encoding"] == "gzip", accepted


def test_whatever_a_page_may_set_is_documented() -> None:
    folder = Path(__file__).parents[3]
    guide = (folder / "docs" / "widget.md").read_text()
    sources = "".join(each.read_text() for each in (folder / "ui" / "widget").glob("*.js"))
    variables = set(re.findall(r"var\((--answerdesk-[a-z-]+)", sources))
    attributes = {f"data-{name}" for name in re.findall(r"script\.dataset\.([a-z]+)", sources)}
    assert variables
    assert attributes
    assert {each for each in variables | attributes if f"| `{each}` |" not in guide} == set()
