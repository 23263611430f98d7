"""Pages are drawn in a process of their own: the same pictures, and hostile ones cost themselves alone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from ingestion.confined import sandbox_process
from ingestion.errors import BrokenFile, IngestionError, ParserFailed, TransientError
from ingestion.shown import page_drawer
from ingestion.shown.page_drawer import DrawingLimits, PageDrawer
from ingestion.shown.page_image import boxes_for, render_page
from ingestion.shown.page_request import PDF, PageSource
from tests.ingestion.pdf_making import SENTENCES, make_pdf, parse, void, write


@pytest.fixture
def drawer() -> Iterator[PageDrawer]:
    drawer = PageDrawer(DrawingLimits())
    yield drawer
    drawer.close()


@pytest.fixture
def page(tmp_path: Path) -> PageSource:
    path = make_pdf(tmp_path / "a.pdf", [lambda canvas: void(write(canvas, SENTENCES))])
    [parsed] = parse(path)[1]
    return PageSource(path, PDF, 1, parsed.source_map)


def test_threads_that_come_and_go_get_what_would_be_drawn_here(drawer: PageDrawer, page: PageSource) -> None:
    """The process outlives the threads that ask: on Linux it would die with the thread that started it."""
    marked, around = ((0, 10),), ((0, 40),)
    expected = render_page(page, marked, scale=1.5, passage_spans=around)
    for _ in range(3):
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(drawer.picture, page, marked, scale=1.5, around=around) for _ in range(8)]
            assert {each.result() for each in asked} == {expected}
            assert list(threads.submit(drawer.boxes, page, marked).result()) == boxes_for(page, marked)


def test_what_cannot_be_shown_says_why_and_the_next_page_comes(drawer: PageDrawer, page: PageSource) -> None:
    page.file.with_name("b.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00garbage" * 50)
    broken = PageSource(page.file.with_name("b.pdf"), PDF, 1)
    with pytest.raises(BrokenFile, match="damaged"):
        drawer.picture(broken, (), scale=1.0)
    with pytest.raises(IngestionError, match="there is no page 7"):
        drawer.picture(PageSource(page.file, PDF, 7), (), scale=1.0)
    assert drawer.picture(page, (), scale=1.0) == render_page(page, (), scale=1.0)


@pytest.mark.parametrize(
    ("what", "says"),
    [("crash", "crashed"), ("hang", "more than 2 seconds"), ("eat", "more than 512 MB"), ("raise", "out of luck")],
)
def test_a_hostile_page_costs_its_own_picture(
    monkeypatch: pytest.MonkeyPatch, page: PageSource, what: str, says: str
) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_drawer")
    drawer = PageDrawer(DrawingLimits(memory_mb=512, picture_s=2.0))
    try:
        with pytest.raises(ParserFailed, match=says):
            drawer.picture(PageSource(Path(what), PDF, 1), (), scale=1.0)
        assert drawer.picture(page, (), scale=1.0) == b"drawn"
    finally:
        drawer.close()


def test_who_waits_too_long_for_a_turn_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch, page: PageSource) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_drawer")
    monkeypatch.setattr(page_drawer, "_MOST_WAITING", 3)
    drawer = PageDrawer(DrawingLimits(picture_s=4.0, turn_s=0.5))
    try:
        drawer.picture(page, (), scale=1.0)
        with ThreadPoolExecutor(10) as threads:
            hanging = threads.submit(drawer.picture, PageSource(Path("hang"), PDF, 1), (), scale=1.0)
            while drawer._kept.process is not None and drawer._kept.process.files < 2:
                time.sleep(0.01)
            asked = [threads.submit(drawer.picture, page, (), scale=1.0) for _ in range(8)]
            boxes = threads.submit(drawer.boxes, page, ())
            assert {type(each.exception()) for each in asked} == {TransientError}
            assert not hanging.done(), "nobody waited for the page that hangs"
            assert boxes.result() == (), "boxes take no place and wait for as long as it takes"
            assert isinstance(hanging.exception(), ParserFailed)
        assert drawer.picture(page, (), scale=1.0) == b"drawn"
    finally:
        drawer.close()


def test_closing_sends_away_who_waits(monkeypatch: pytest.MonkeyPatch, page: PageSource) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_drawer")
    drawer = PageDrawer(DrawingLimits(picture_s=4.0))
    with ThreadPoolExecutor(5) as threads:
        hanging = threads.submit(drawer.picture, PageSource(Path("hang"), PDF, 1), (), scale=1.0)
        while drawer._kept.process is None or not drawer._kept.process.files:
            time.sleep(0.01)
        asked = [threads.submit(drawer.picture, page, (), scale=1.0) for _ in range(3)]
        while drawer._thread is not None and drawer._thread._work_queue.qsize() < 3:
            time.sleep(0.01)
        closing = threads.submit(drawer.close)
        assert {type(each.exception()) for each in asked} == {TransientError}
        with pytest.raises(TransientError, match="stopping"):
            drawer.picture(page, (), scale=1.0)
        assert not hanging.done(), "who asks while it closes does not wait until it has"
        closing.result()
        assert isinstance(hanging.exception(), ParserFailed)
    with pytest.raises(TransientError, match="stopping"):
        drawer.boxes(page, ())
    assert drawer._kept.process is None, "nothing was begun that nobody ends"


def test_a_process_that_has_eaten_too_much_is_not_kept(monkeypatch: pytest.MonkeyPatch, page: PageSource) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_drawer")
    drawer = PageDrawer(DrawingLimits(memory_mb=512))
    try:
        for what in ("eat", "grow"):
            assert drawer.picture(page, (), scale=1.0) == b"drawn"
            assert drawer._kept.process is not None
            with suppress(ParserFailed):
                drawer.picture(PageSource(Path(what), PDF, 1), (), scale=1.0)
            assert drawer._kept.process is None
    finally:
        drawer.close()


def test_a_process_that_is_killed_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox_process, "CHILD", "tests.ingestion.hostile_drawer")
    drawer = PageDrawer(DrawingLimits(picture_s=20.0))
    try:
        assert drawer.picture(PageSource(tmp_path / "die once", PDF, 1), (), scale=1.0) == b"drawn"
        with pytest.raises(ParserFailed, match="killed from outside"):
            drawer.picture(PageSource(tmp_path / "die", PDF, 1), (), scale=1.0)
    finally:
        drawer.close()
