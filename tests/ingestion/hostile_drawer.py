"""A drawing process that does what the name of the file says. Run in the place of `ingestion.confined.child`."""

from ingestion.confined import child
from ingestion.shown import page_image
from ingestion.shown.page_request import Drawn, DrawRequest
from tests.ingestion.hostile_child import act


def draw(request: DrawRequest) -> Drawn:
    what, _, once = request.page.file.name.partition(" ")
    mark = request.page.file.with_name("mark")
    if not (once and mark.exists()):
        if once:
            mark.touch()
        act(what)
    return Drawn(b"drawn", ())


if __name__ == "__main__":
    page_image.draw = draw
    child.main()
