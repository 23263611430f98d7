"""What must hold for every model, split and format: nothing is lost, more GPUs never hold less, packing never grows."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_runtime.plan.gpus import GPUS
from model_runtime.plan.memory import KvType, Split, checkpoint_bytes, refusal, replication, split_named, stages_of
from model_runtime.plan.planner import PlanRequest, plan_split
from model_runtime.plan.quantization import Quantization
from model_runtime.plan.shape import ModelShape, read_shape

_powers = st.sampled_from([1, 2, 4, 8])
_splits = st.builds(Split, _powers, st.sampled_from([1, 2, 3, 5]), _powers, st.booleans())


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    """Models of every family, with sizes that tensor parallelism can cut and some that it cannot."""
    family = draw(st.sampled_from(["llama", "qwen2", "qwen3", "mixtral", "qwen3_moe", "deepseek_v3"]))
    heads = draw(st.sampled_from([8, 16, 24]))
    config: dict[str, Any] = {
        "model_type": family,
        "vocab_size": draw(st.integers(100, 5000)),
        "hidden_size": draw(st.sampled_from([1024, 1536])),
        "num_hidden_layers": draw(st.integers(1, 9)),
        "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from([2, 4, 8])),
        "head_dim": draw(st.sampled_from([64, 128])),
        "intermediate_size": draw(st.sampled_from([2048, 2816, 4096])),
        "moe_intermediate_size": draw(st.sampled_from([768, 1024])),
        "max_position_embeddings": 4096,
        "tie_word_embeddings": draw(st.booleans()),
        "attention_bias": draw(st.booleans()),
        "num_experts_per_tok": 2,
        "num_local_experts": 8,
        "num_experts": 16,
        "n_routed_experts": 16,
        "n_shared_experts": draw(st.integers(0, 2)),
        "first_k_dense_replace": draw(st.integers(0, 2)),
        "kv_lora_rank": 512,
        "q_lora_rank": draw(st.sampled_from([None, 768])),
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "quantization_config": draw(st.sampled_from([None, {"quant_method": "fp8", "weight_block_size": [128, 128]}])),
    }
    return read_shape(config, family)


@settings(max_examples=150, deadline=None)
@given(shapes(), _splits, st.sampled_from(Quantization))
def test_the_ranks_hold_one_checkpoint_and_the_stated_replication(
    shape: ModelShape, split: Split, quantization: Quantization
) -> None:
    assume(not refusal(shape, split, quantization))
    stages = stages_of(shape, split, quantization, KvType.BF16)
    ranks = sum(stage.weights for stage in stages) * split.tensor * split.data
    stated = replication(shape, split, quantization)
    assert ranks == checkpoint_bytes(shape, quantization) + stated.total
    assert min(stated.tensor_ranks, stated.data_replicas, stated.vocabulary_padding, stated.latent_copies) >= 0


@settings(max_examples=150, deadline=None)
@given(shapes(), _splits, st.sampled_from(Quantization), st.sampled_from(["tensor", "pipeline", "data"]))
def test_twice_the_gpus_never_hold_less_kv_cache(
    shape: ModelShape, split: Split, quantization: Quantization, doubled: str
) -> None:
    sizes = {"tensor": split.tensor, "pipeline": split.pipeline, "data": split.data}
    larger = Split(**{**sizes, doubled: 2 * sizes[doubled]}, experts_whole=split.experts_whole)
    assume(not refusal(shape, split, quantization))
    assume(not refusal(shape, larger, quantization))
    request = PlanRequest(shape, GPUS["l4-24g"], larger.gpus, 1024, quantization)
    assert plan_split(request, larger).kv_tokens >= plan_split(request, split).kv_tokens


@settings(max_examples=100, deadline=None)
@given(shapes(), _splits)
def test_packed_weights_are_never_larger(shape: ModelShape, split: Split) -> None:
    packed = [each for each in (Quantization.AWQ, Quantization.FP8) if not refusal(shape, split, each)]
    assume(packed)
    sizes = [
        max(stage.weights for stage in stages_of(shape, split, each, KvType.BF16))
        for each in (*packed, Quantization.BF16)
    ]
    assert sizes == sorted(sizes)


@settings(max_examples=60, deadline=None)
@given(shapes(), _splits, st.integers(1, 4096))
def test_a_batch_is_never_slower_than_one_and_an_fp8_cache_never_holds_less(
    shape: ModelShape, split: Split, context: int
) -> None:
    assume(not refusal(shape, split, Quantization.BF16))
    wide = plan_split(PlanRequest(shape, GPUS["h100-80g"], split.gpus, context, Quantization.BF16), split)
    narrow = plan_split(PlanRequest(shape, GPUS["h100-80g"], split.gpus, context, Quantization.BF16, KvType.FP8), split)
    assert narrow.kv_tokens >= 2 * wide.kv_tokens
    assert wide.decode_one is not None
    assert wide.decode_largest is not None
    assert wide.decode_largest.tokens_per_second >= 0.999 * wide.decode_one.tokens_per_second


@given(st.integers(1, 16), st.integers(1, 16), st.integers(1, 16), st.booleans())
def test_a_split_is_found_again_by_its_name(tensor: int, pipeline: int, data: int, experts_whole: bool) -> None:
    split = Split(tensor, pipeline, data, experts_whole)
    assert split_named(str(split)) == split


@pytest.mark.parametrize("name", ["", "TP0", "TP4 TP4", "TP4 EP2", "4", "XX4", "TP4 XX1", "TP-1"])
def test_what_is_no_split_is_said_to_be_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no split"):
        split_named(name)
