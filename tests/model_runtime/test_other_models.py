"""Models other than the default: a tiny BERT in several forms on both backends, and those that OpenVINO refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_runtime.embedder import load_embedder
from model_runtime.errors import UnsupportedModel

torch = pytest.importorskip("torch", reason="needs the extra torch")
transformers = pytest.importorskip("transformers")
sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = ["the remote control", "a", "press the power button of the television now"]


@pytest.fixture
def tiny(tmp_path: Path) -> Any:
    """Makes a folder with a random two-layer BERT: tiny(pooling=..., dtype=...)."""

    def make(pooling: str = "mean", dtype: Any = torch.float32, **config: Any) -> Path:
        from tokenizers import Tokenizer, models, pre_tokenizers, processors

        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(" ".join(TEXTS).split()))]
        tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        torch.manual_seed(1)
        shape: dict[str, Any] = {
            "vocab_size": len(words),
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        }
        shape |= {"intermediate_size": 64, "max_position_embeddings": 16, "initializer_range": 0.2}
        model = transformers.BertModel(transformers.BertConfig(**(shape | config))).to(dtype)
        folder = tmp_path / "tiny"
        model.save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        ).save_pretrained(folder)
        modules = sentence_transformers.models
        stages = [modules.Transformer(str(folder)), modules.Pooling(32, pooling)]
        sentence_transformers.SentenceTransformer(modules=stages, device="cpu").save(str(folder))
        if dtype != torch.float32:
            model.save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_both_backends_agree(tiny: Any, pooling: str, dtype: str, tmp_path: Path) -> None:
    folder = str(tiny(pooling, getattr(torch, dtype)))
    ours, theirs = (load_embedder(folder, backend, tmp_path) for backend in ("openvino", "torch"))
    assert ours.identity == theirs.identity
    assert ours.identity.startswith("tiny-")
    assert (ours.dimension, ours.max_tokens, ours.passage_prefix, ours.overhead_tokens) == (32, 16, "", 2)
    assert ours.count_tokens(TEXTS) == theirs.count_tokens(TEXTS) == [5, 3, 10]
    left, right = ours.embed_passages(TEXTS), theirs.embed_passages(TEXTS)
    assert np.sum(left * right, axis=1).min() > 0.999
    assert abs(float(left[0] @ left[2])) < 0.99  # the weights are random, but the texts must not be all alike


def test_the_identity_follows_the_content(tiny: Any, tmp_path: Path) -> None:
    folder = tiny()
    before = load_embedder(str(folder), "openvino", tmp_path).identity
    assert load_embedder(str(folder), "openvino", tmp_path).identity == before
    prompts = {"prompts": {"query": "question: ", "document": "text: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    changed = load_embedder(str(folder), "openvino", tmp_path)
    assert changed.identity != before
    assert (changed.query_prefix, changed.passage_prefix) == ("question: ", "text: ")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "xlm-roberta"}),
        ("config.json", {"hidden_act": "relu"}),
        ("1_Pooling/config.json", {"pooling_mode": "max"}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
    ],
)
def test_openvino_refuses_what_it_would_compute_wrongly(
    tiny: Any, tmp_path: Path, file: str, change: dict[str, Any]
) -> None:
    folder = tiny()
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | change))
    with pytest.raises(UnsupportedModel, match="backend=torch"):
        load_embedder(str(folder), "openvino", tmp_path)
