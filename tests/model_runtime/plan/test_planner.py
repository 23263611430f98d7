"""Plans against what is known: parameters counted by transformers on the meta device, published figures, what vLLM
logs, and the rules by which it cuts a model."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_runtime.plan.errors import BadConfig, ImpossiblePlan, PlanError, UnknownGpu, UnknownModel
from model_runtime.plan.gpus import GIB, GPUS, find_gpu
from model_runtime.plan.memory import KvType, Split, kv_bytes_per_token, layers_per_stage, refusal, replication
from model_runtime.plan.models import load_model, shipped_models
from model_runtime.plan.parameters import count_parameters
from model_runtime.plan.planner import PlanRequest, checkpoint_quantization, default_context, plan, plan_split
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.shape import read_shape
from model_runtime.plan.speed import distinct_experts


def config_of(name: str) -> dict[str, Any]:
    text = (resources.files("model_runtime.plan") / "configs" / f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def request_for(name: str, gpu: str, gpus: int, **changes: Any) -> PlanRequest:
    shape = load_model(name)
    defaults = {"context": default_context(shape), "quantization": checkpoint_quantization(shape)}
    return PlanRequest(shape, find_gpu(gpu), gpus, **{**defaults, **changes})


@pytest.mark.parametrize("name", shipped_models())
def test_parameters_are_those_of_the_model_built_on_the_meta_device(name: str) -> None:
    torch = pytest.importorskip("torch", reason="install the extra `torch`")
    transformers = pytest.importorskip("transformers", reason="install the extra `torch`")
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**config_of(name)))
    built = sum(each.numel() for each in model.parameters())
    # transformers keeps the routers' score bias as a buffer; in the checkpoint it is a weight.
    built += sum(each.numel() for name, each in model.named_buffers() if name.endswith("e_score_correction_bias"))
    assert count_parameters(load_model(name)).total == built


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("deepseek-v3", 671.0, 36.6),  # DeepSeek-V3's README_WEIGHTS: 671B, 36.6B activated, embedding apart
        ("deepseek-v2-lite", 15.7, 2.4),
        ("qwen3-235b-a22b", 235.0, 22.2),
        ("qwen3-30b-a3b", 30.5, 3.3),
        ("mixtral-8x7b", 46.7, 12.9),
        ("llama-3.1-8b", 8.03, 8.03),
        ("qwen2.5-7b", 7.62, 7.62),
    ],
)
def test_published_sizes(name: str, total: float, active: float) -> None:
    counts = count_parameters(load_model(name))
    # DeepSeek counts without the embedding table, the others with it.
    counted = counts.active_without_embedding if name.startswith("deepseek") else counts.active
    assert counts.total / 1e9 == pytest.approx(total, rel=0.003)
    assert counted / 1e9 == pytest.approx(active, abs=0.06)


def test_the_prediction_module_makes_up_the_685_billion_on_the_hub() -> None:
    counts = count_parameters(load_model("deepseek-v3"))
    # The hub's file repeats the embedding table and the head for the module.
    on_the_hub = counts.total + counts.extra_prediction + counts.embedding + counts.output_head
    assert on_the_hub / 1e9 == pytest.approx(684.5, abs=0.1)


def test_kv_cache_of_a_token() -> None:
    deepseek, qwen = load_model("deepseek-v3"), load_model("qwen3-235b-a22b")
    assert kv_bytes_per_token(deepseek, KvType.BF16) == 70_272
    assert kv_bytes_per_token(deepseek, KvType.BF16, tensor=8) == 70_272
    assert kv_bytes_per_token(deepseek, KvType.FP8) == 35_136
    assert kv_bytes_per_token(qwen, KvType.BF16) == 94 * 4 * 128 * 2 * 2
    assert kv_bytes_per_token(qwen, KvType.BF16, tensor=8) == kv_bytes_per_token(qwen, KvType.BF16, tensor=4)


def test_weights_of_a_rank_are_what_vllm_logs() -> None:
    # vllm-project/vllm issue 17327: Qwen3-30B-A3B in bf16, tensor parallel 4: "Model loading took 14.2474 GiB".
    planned = plan_split(request_for("qwen3-30b-a3b", "h100-80g", 4), Split(4, 1, 1, False))
    assert planned.weights_per_rank[0] / GIB == pytest.approx(14.2474, rel=0.003)


def test_sixteen_ranks_repeat_norms_and_the_eight_key_value_heads() -> None:
    stated = replication(load_model("llama-3.1-8b"), Split(16, 1, 1, False), Quantization.BF16)
    norms, keys_and_values = 65 * 4096 * 2, 32 * 2 * 1024 * 4096 * 2
    assert stated.tensor_ranks == stated.total == 15 * norms + keys_and_values


def test_layers_go_to_stages_as_in_vllm() -> None:
    assert layers_per_stage(61, 2) == [31, 30]
    assert layers_per_stage(61, 4) == [15, 15, 16, 15]
    assert layers_per_stage(22, 4) == [5, 6, 6, 5]


@pytest.mark.parametrize(
    ("name", "split", "quantization", "reason"),
    [
        ("smollm2-135m", Split(2, 1, 1, False), "bf16", "9 attention heads"),
        ("qwen2.5-7b", Split(8, 1, 1, False), "bf16", "28 attention heads"),
        ("qwen2.5-7b", Split(7, 1, 1, False), "bf16", "4 key-value heads and TP 7"),
        ("mixtral-8x7b", Split(16, 1, 1, True), "bf16", "8 experts"),
        ("qwen3-30b-a3b-fp8", Split(4, 1, 1, False), "fp8", "192 is not a multiple"),
        ("qwen3-235b-a22b-fp8", Split(8, 1, 1, False), "fp8", "192 is not a multiple"),
        ("smollm2-135m", Split(1, 1, 1, False), "awq", "group of 128"),
        ("smollm2-135m", Split(1, 31, 1, False), "bf16", "30 layers"),
        ("llama-3.1-8b", Split(1, 1, 2, True), "bf16", "0 experts"),
        ("qwen3-30b-a3b-fp8", Split(4, 1, 1, True), "fp8", ""),
        ("qwen3-30b-a3b", Split(4, 1, 1, False), "fp8", ""),
        ("deepseek-v3", Split(16, 1, 1, False), "fp8", ""),
        ("deepseek-v3", Split(32, 1, 1, False), "fp8", "576 is not a multiple"),  # vllm-project/vllm issue 12256
    ],
)
def test_what_vllm_would_refuse(name: str, split: Split, quantization: str, reason: str) -> None:
    why_not = refusal(load_model(name), split, Quantization(quantization))
    assert reason in why_not
    assert bool(reason) == bool(why_not)


def test_experts_that_a_batch_touches() -> None:
    assert distinct_experts(256, 8, 1) == pytest.approx(8)
    assert distinct_experts(8, 2, 2) == pytest.approx(3.5)
    assert distinct_experts(256, 8, 100_000) == pytest.approx(256)


def test_one_conversation_reads_the_active_weights_and_no_more() -> None:
    planned = plan_split(request_for("mixtral-8x7b", "b200-180g", 1, context=1), Split(1, 1, 1, False))
    counts = count_parameters(load_model("mixtral-8x7b"))
    assert planned.decode_one is not None
    by_hand = 7700e9 / (2 * counts.active_without_embedding + 131_072)
    assert planned.decode_one.tokens_per_second == pytest.approx(by_hand, rel=1e-3)


def test_671_billion_parameters_do_not_fit_on_one_80_gb_card_in_any_format() -> None:
    made = plan(request_for("deepseek-v3", "h100-80g", 1, context=1024))
    assert made.recommended is None
    assert not any(each.fits for each in made.formats)
    assert made.would_fit == ("16 x h100-80g (--gpus 16)",)


def test_what_would_fit_does_fit() -> None:
    made = plan(request_for("deepseek-v3", "h100-80g", 8))
    assert made.recommended is None
    assert "weights in awq (--quantization awq)" in made.would_fit
    assert "8 x h200-141g (--gpu h200-141g)" in made.would_fit
    assert plan(request_for("deepseek-v3", "h100-80g", 8, quantization=Quantization.AWQ)).recommended
    assert plan(request_for("deepseek-v3", "h200-141g", 8)).recommended


def test_a_context_that_is_too_long_is_told_from_weights_that_are_too_big() -> None:
    made = plan(request_for("llama-3.1-8b", "rtx4090-24g", 1))
    assert made.recommended is None
    assert made.reason.startswith("Nothing fits: the weights fit")
    shorter = int(made.would_fit[0].split("--context ")[1].rstrip(")"))
    assert plan(request_for("llama-3.1-8b", "rtx4090-24g", 1, context=shorter)).recommended


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"context": 163_841}, "reads 1 to 163,840"),
        ({"context": 0}, "reads 1 to"),
        ({"gpus": 0}, "0 GPUs"),
        ({"gpu": GPUS["mi300x-192g"], "quantization": Quantization.AWQ}, "does not support awq"),
        ({"gpu": GPUS["b200-180g"], "quantization": Quantization.INT8}, "no int8 kernels"),
        ({"gpu_memory_utilization": 1.5}, "gpu_memory_utilization"),
    ],
)
def test_wishes_that_contradict_the_model_or_the_gpu(changes: dict[str, Any], says: str) -> None:
    request = {"shape": load_model("deepseek-v3"), "gpu": GPUS["h100-80g"], "gpus": 8, "context": 1024}
    with pytest.raises(ImpossiblePlan, match=says):
        plan(PlanRequest(**{**request, "quantization": Quantization.FP8, **changes}))


def test_models_are_found_by_path_folder_and_cached_hub_id(tmp_path: Path) -> None:
    text = json.dumps(config_of("qwen3-8b"))
    snapshot = tmp_path / "hub/models--owner--name/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(text, encoding="utf-8")
    refs = tmp_path / "hub/models--owner--name/refs"
    refs.mkdir()
    (refs / "main").write_text("abc", encoding="utf-8")
    known = count_parameters(load_model("qwen3-8b"))
    for model in (str(snapshot), str(snapshot / "config.json"), "owner/name"):
        assert count_parameters(load_model(model, tmp_path / "hub")) == known
    with pytest.raises(UnknownModel, match=r"hf download owner/other config\.json"):
        load_model("owner/other", tmp_path / "hub")
    with pytest.raises(UnknownModel, match="deepseek-v3"):
        load_model("../no such/../file", tmp_path / "hub")
    with pytest.raises(UnknownGpu, match="h100-80g"):
        find_gpu("h100")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "bert"}, "'bert' are not counted"),
        ({"model_type": None}, "no model_type"),
        ({"hidden_size": None}, "no hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size must be a whole number"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers must be"),
        ({"num_key_value_heads": 7}, "not a multiple of 7"),
        ({"num_experts_per_tok": 9}, "9 of 8 experts"),
        ({"quantization_config": [1]}, "must be an object"),
        ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [0, 1]}}, "weight_block_size"),
    ],
)
def test_broken_configs_are_told_by_field(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadConfig, match=says):
        read_shape({**config_of("mixtral-8x7b"), **change}, "broken")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b"[" * 100_000, b"{" * 10])
def test_files_that_are_no_config(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadConfig):
        load_model(str(tmp_path))


_values = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=5) | st.lists(st.integers())


@given(st.sampled_from(shipped_models()), st.data())
def test_any_config_is_counted_or_refused_in_words(name: str, data: st.DataObject) -> None:
    config = config_of(name)
    for field in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=3)):
        config[field] = data.draw(_values)
    try:
        shape = read_shape(config, name)
    except PlanError:
        return
    assert count_parameters(shape).total > 0
