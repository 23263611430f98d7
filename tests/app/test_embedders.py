"""Which model serves which generation: the very one it was made with, loaded once, let go when nobody needs it."""

from collections import Counter

import pytest

from app.embedders import Embedders
from app.errors import BadRequest, Conflict
from app.models import Generation
from model_runtime.embedder import Embedder
from model_runtime.errors import ModelUnavailable
from model_runtime.fakes import HashingEmbedder


class Shelf:
    """Models by name; counts how often each is loaded."""

    def __init__(self, **identities: str) -> None:
        self.identities = {"": "default@1", **identities}
        self.loaded: Counter[str] = Counter()

    def load(self, model: str) -> Embedder:
        if model not in self.identities:
            raise ModelUnavailable(f"no embedder {model!r}")
        self.loaded[model] += 1
        embedder = HashingEmbedder()
        embedder.identity = self.identities[model]
        return embedder


def made_with(embedder: str, model: str = "", dimension: int = 64) -> Generation:
    return Generation(embedder=embedder, embedder_model=model, dimension=dimension)


def test_each_generation_gets_the_model_that_it_was_made_with() -> None:
    shelf = Shelf(own="own@1", other="other@1")
    embedders = Embedders("own", shelf.load)
    assert shelf.loaded == {}, "nothing is loaded before it is wanted"
    assert embedders.of(made_with("other@1", "other")).identity == "other@1"
    assert embedders.of(made_with("default@1")).identity == "default@1"
    assert embedders.of(made_with("own@1")) is embedders.own, "nobody noted its name, but it is the installation's"
    assert embedders.of(made_with("other@1", "moved elsewhere")) is embedders.named("other")
    assert set(shelf.loaded.values()) == {1}

    embedders.keep_only({"default@1"})
    assert embedders.of(made_with("default@1"))
    assert shelf.loaded[""] == 1
    assert embedders.own
    assert shelf.loaded["own"] == 1
    assert embedders.named("other")
    assert shelf.loaded["other"] == 2


@pytest.mark.parametrize(
    "generation",
    [
        made_with("other@0", "other"),  # the folder has another content now
        made_with("other@1", "other", dimension=32),
        made_with("lost@1", "lost"),
        made_with("lost@1"),
    ],
)
def test_no_other_model_stands_in(generation: Generation) -> None:
    embedders = Embedders("own", Shelf(own="own@1", other="other@1").load)
    with pytest.raises(Conflict, match=r"kb rebuild NAME --embedder") as refused:
        embedders.of(generation)
    assert generation.embedder in refused.value.message
    assert (generation.embedder_model or "ANSWERDESK_EMBEDDER__MODEL") in refused.value.message


@pytest.mark.parametrize("failure", [ModelUnavailable, OSError, RuntimeError, ValueError])
def test_a_model_that_cannot_be_loaded_is_not_tried_for_every_question(
    failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def load(model: str) -> Embedder:
        tried.append(model)
        if len(tried) < 3:
            raise failure("the weights are damaged")
        return Shelf(other="other@1").load("other")

    embedders = Embedders("other", load)
    for _ in range(3):
        with pytest.raises(Conflict, match="the weights are damaged"):
            embedders.of(made_with("other@1", "other"))
    assert len(tried) == 1
    monkeypatch.setattr("app.embedders._FAILED_FOR_S", -1.0)
    with pytest.raises(BadRequest, match="the weights are damaged"):
        embedders.named("other")
    assert len(tried) == 2, "who names it may have mended it"
    assert embedders.of(made_with("other@1", "other")) is embedders.own, "the time is over"


def test_a_name_that_nothing_has_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="no embedder 'nowhere'"):
        Embedders("", Shelf().load).named("nowhere")
