"""What every cross-encoder must do, run over each: torch with a tiny random model, and the fake."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_runtime.cross_encoder import CrossEncoder, load_cross_encoder
from model_runtime.errors import MissingExtra, ModelUnavailable, UnsupportedModel
from model_runtime.fakes import OverlapCrossEncoder
from tests.tiny_cross_encoder import READS, tiny_cross_encoder

QUESTION = "How do I clean the filter"
TEXTS = ["", "Rinse the filter under water", "descale the pump", "error", "clean it clean it " * 40, "清洗滤网"]
Reference = Callable[[str, Sequence[str]], NDArray[np.float32]]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross-encoder"))


@pytest.fixture(params=["torch", "overlap"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> CrossEncoder:
    if request.param == "overlap":
        return OverlapCrossEncoder(READS)
    return load_cross_encoder(str(request.getfixturevalue("tiny_folder")), tmp_path)


@pytest.fixture
def reference(encoder: CrossEncoder, request: pytest.FixtureRequest) -> Reference:
    """The scores of one pair after the other: by hand, or by the model itself."""
    if isinstance(encoder, OverlapCrossEncoder):
        return lambda question, texts: np.array([_shared(question, text) / 6 for text in texts], np.float32)
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = request.getfixturevalue("tiny_folder")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def scores(question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            read = [
                tokenizer([question], [text], truncation=True, max_length=READS, return_tensors="pt") for text in texts
            ]
            return np.array([model(**each).logits[0, 0].item() for each in read], np.float32)

    return scores


def _shared(question: str, text: str) -> int:
    return len(set(question.lower().split()) & set(text.lower().split()))


def test_the_scores_and_their_order_are_the_reference_s(encoder: CrossEncoder, reference: Reference) -> None:
    found, wanted = encoder.scores(QUESTION, TEXTS), reference(QUESTION, TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.argsort(-found, kind="stable").tolist() == np.argsort(-wanted, kind="stable").tolist()
    assert len(set(found.round(3).tolist())) > 2  # else any order would do


def test_no_texts_have_no_scores(encoder: CrossEncoder) -> None:
    assert encoder.scores(QUESTION, []).shape == (0,)


def test_of_a_long_text_the_end_is_not_read(encoder: CrossEncoder) -> None:
    assert encoder.max_tokens == READS
    beginning = "pump " * READS
    scores = encoder.scores(QUESTION, [beginning, beginning + "clean the filter"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(TEXTS))), repeated=st.integers(0, 20))
def test_a_score_depends_on_nothing_but_its_pair(encoder: CrossEncoder, order: list[int], repeated: int) -> None:
    alone = np.concatenate([encoder.scores(QUESTION, [text]) for text in TEXTS])
    indices = [*order, *[1] * repeated]
    np.testing.assert_allclose(encoder.scores(QUESTION, [TEXTS[i] for i in indices]), alone[indices], atol=1e-4)


@pytest.mark.parametrize(
    ("model", "told"), [("no such/folder/here", "neither a folder"), ("nobody/has-this", "hf download nobody/has-this")]
)
def test_a_model_that_is_not_here_is_not_fetched(model: str, told: str, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs the extra torch")
    with pytest.raises(ModelUnavailable, match=told):
        load_cross_encoder(model, tmp_path)


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelUnavailable, match=str(folder)):
        load_cross_encoder(str(folder), tmp_path)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs the extra torch")
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        load_cross_encoder(str(tmp_path), tmp_path)


def test_a_classifier_of_several_classes_is_no_reranker(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "model", labels=3)
    with pytest.raises(UnsupportedModel, match="3 numbers"):
        load_cross_encoder(str(folder), tmp_path)


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "model_runtime.torch_cross_encoder", raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match="make torch"):
        load_cross_encoder(str(tmp_path), tmp_path)
