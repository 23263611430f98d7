"""Pictures with a question: real ones reach the model, everything else is refused in a sentence."""

import base64
import contextlib
import io
import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.errors import BadImage
from app.images import MOST_BYTES, MOST_BYTES_TOGETHER, MOST_IMAGES, MOST_PIXELS, checked_images, digest_of
from app.settings import WhenUnavailable
from tests.app.answering_desk import ANSWER, GOOD, QUESTION, desk
from tests.app.live_app import wait_until
from tests.fakes.openai_server import OpenAIServer, Reply


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def picture(format: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, format)
    return buffer.getvalue()


def huge_header() -> bytes:
    """A PNG of a few bytes that promises 100,000 x 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(b"\0" * 100)
    body = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return b"\x89PNG\r\n\x1a\n" + chunk + body


PNG = data_url(picture())


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_of_each_kind_pass_unchanged(format: str) -> None:
    address = data_url(picture(format), f"image/{format.lower()}")
    assert checked_images([address, PNG]) == (address, PNG)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://example.org/a.png", "never fetched"),
        ("HTTP://127.0.0.1/", "never fetched"),
        ("file:///etc/passwd", "not a data URL"),
        ("", "not a data URL"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "not a data URL"),
        ("data:image/png,abc", "not a data URL"),
        ("data:image/png;base64,####", "not a data URL"),
        ("data:image/png;base64,abc", "base64"),
        (data_url(b"<svg/>"), "not a PNG picture"),
        (data_url(picture("GIF")), "not a PNG picture"),
        (data_url(picture()[:48]), "damaged"),
        (data_url(huge_header()), "pixels"),
        (data_url(b"\0" * (MOST_BYTES + 1)), "larger than"),
    ],
)
def test_anything_else_is_refused_with_the_reason(address: str, said: str) -> None:
    with pytest.raises(BadImage, match="Picture 2") as refused:
        checked_images([PNG, address])
    assert said in refused.value.message
    assert len(refused.value.message) < 200  # what was sent is not repeated


def test_a_picture_is_hashed_once_and_knows_itself_again() -> None:
    (first,) = checked_images([PNG])
    (other,) = checked_images([data_url(picture(size=(8, 7)))])
    assert (first, digest_of(first)) == (PNG, digest_of(PNG))
    assert digest_of(first) != digest_of(other)
    assert json.loads(json.dumps([first])) == [PNG]


def test_no_more_than_a_few() -> None:
    with pytest.raises(BadImage, match=str(MOST_IMAGES)):
        checked_images([PNG] * (MOST_IMAGES + 1))
    wide = data_url(picture(size=(MOST_PIXELS // 1000 + 1, 1000)))
    with pytest.raises(BadImage, match="pixels"):
        checked_images([wide])


def padded(size: int) -> bytes:
    """A whole picture of so many bytes: a decoder stops at its end."""
    whole = picture()
    return whole + b"\0" * (size - len(whole))


def test_the_largest_question_with_pictures_goes_through(tmp_path: Path) -> None:
    sizes = [MOST_BYTES, *[(MOST_BYTES_TOGETHER - MOST_BYTES) // (MOST_IMAGES - 1)] * (MOST_IMAGES - 1)]
    largest = [data_url(padded(size)) for size in sizes]
    one_more = [*largest[:-1], data_url(padded(sizes[-1] + MOST_IMAGES))]
    with OpenAIServer(GOOD) as server, desk(tmp_path, server.base_url, chat_reads_images=True) as opened:
        assert opened.ask(text="a" * 4000, images=largest).json()["status"] == "answered"
        refused = opened.ask(images=one_more)
    assert refused.status_code == 400
    assert "5.25" in refused.json()["error"]["message"]


@given(st.binary(max_size=200), st.integers(0, 60), st.sampled_from(["png", "jpeg", "webp", "gif"]))
def test_damage_anywhere_is_a_refusal_and_never_a_crash(noise: bytes, place: int, kind: str) -> None:
    whole = picture(kind.upper())
    damaged = whole[:place] + noise + whole[place + len(noise) :]
    with contextlib.suppress(BadImage):
        checked_images([data_url(damaged, f"image/{kind}")])


def test_pictures_reach_a_model_that_looks_at_them_and_survive_a_restart_of_the_answer(tmp_path: Path) -> None:
    slow = Reply((ANSWER[0], *["."] * 200), pause=0.1)
    with OpenAIServer(slow) as server, desk(tmp_path, server.base_url, chat_reads_images=True) as opened:
        conversation = opened.conversation()
        body = {"text": QUESTION, "images": [PNG], "client_message_id": "p"}
        headers = {"Accept": "text/event-stream"}
        with opened.client.stream("POST", f"{conversation}/messages", json=body, headers=headers):
            wait_until(lambda: server.requests)
        wait_until(lambda: opened.client.get(conversation).json()["messages"][1]["status"] == "stopped")
        server.reply = GOOD
        assert opened.client.post(f"{conversation}/messages", json=body).json()["status"] == "answered"
        parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]
        assert opened.complete(content=parts).status_code == 200
        for request in server.requests:
            assert PNG in str(request["messages"][-1]["content"])
        kept = len(server.requests)
        assert opened.complete(content=parts).json()["cached"] is True
        assert opened.complete(content=parts[:1]).json()["cached"] is False  # another question without the picture
        assert len(server.requests) == kept + 1
        refused = opened.complete(content=[*parts, {"type": "image_url", "image_url": {"url": "http://x.org/a.png"}}])
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_image")


def test_pictures_are_refused_where_nobody_looks_at_them(tmp_path: Path) -> None:
    with (
        OpenAIServer(Reply(status=503)) as server,
        desk(tmp_path, server.base_url, when_unavailable=WhenUnavailable.EXTRACTIVE) as opened,
    ):
        opened.knowledge_base("quoted", answerer="extractive")
        for name in ("manuals", "quoted"):
            refused = opened.ask(name, images=[PNG])
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_image")
            image = {"type": "image_url", "image_url": {"url": PNG}}
            assert opened.complete(name, [{"type": "text", "text": "What is it?"}, image]).status_code == 400
        conversation = opened.conversation("quoted")
        opened.client.post(f"{conversation}/messages", json={"text": QUESTION, "images": [PNG]})
        assert opened.client.get(conversation).json()["messages"] == []


def test_a_quote_never_stands_for_an_answer_about_a_picture(tmp_path: Path) -> None:
    with (
        OpenAIServer(Reply(status=503)) as server,
        desk(tmp_path, server.base_url, chat_reads_images=True, when_unavailable=WhenUnavailable.EXTRACTIVE) as opened,
    ):
        assert opened.ask().json()["fallback"] == "runtime_down"
        assert opened.ask(images=[PNG]).json()["error"]["code"] == "runtime_down"
