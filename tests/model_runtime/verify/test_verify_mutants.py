"""The check sees: for every architecture transformers' own answers pass, and those of every wrong copy are rejected.

Wrong copies are computed by transformers in the server's place. What vLLM answers is in test_verify_real.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model_runtime.verify.check import Reference, make_reference, write_models
from model_runtime.verify.choices import Architecture, Precision
from model_runtime.verify.comparison import TOLERANCES
from model_runtime.verify.errors import NoReference
from model_runtime.verify.reference import ask_transformers, draw_probes
from model_runtime.verify.small_models import make_model, write_model

NAMED_BY_THE_ISSUE = {
    Architecture.DEEPSEEK_V3: {"score-bias-zeroed", "shared-expert-left-out"},
    Architecture.MIXTRAL: set[str](),
    Architecture.QWEN3_MOE: set[str](),
}
EVERYWHERE = {"two-experts-swapped", "one-expert-fewer", "one-expert-more"}


@pytest.fixture(scope="module", params=Architecture)
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    pytest.importorskip("transformers", reason="needs the extra torch")
    workshop = tmp_path_factory.mktemp("verify")
    folders = write_models(request.param, workshop / "models")
    return make_reference(request.param, folders, Path(sys.executable), workshop, TOLERANCES[Precision.BFLOAT16])


def test_the_comparison_rejects_every_mutant(reference: Reference) -> None:
    assert {*NAMED_BY_THE_ISSUE[reference.architecture], *EVERYWHERE} <= set(reference.mutants)
    # With the tolerance of bfloat16: what is off further than that is off in float32 all the more.
    coarse = TOLERANCES[Precision.BFLOAT16]
    for name, comparison in reference.mutants.items():
        assert not comparison.agrees, name
        assert comparison.share_beyond > 2 * coarse.share, name
        assert comparison.largest > 5 * coarse.nats, name


def test_the_models_are_made_so_that_the_check_can_see(reference: Reference) -> None:
    assert reference.median_margin > 1
    assert reference.clear_share > 0.5
    for tokens, steps in zip(reference.answers.continuations, reference.answers.steps, strict=True):
        for token, step in zip(tokens, steps, strict=True):
            first, second = sorted(step.values())[:-3:-1]
            assert step[token] == first
            assert first - second > 2 * TOLERANCES[Precision.FLOAT32].nats, "a tie that rounding might decide"


@pytest.mark.parametrize("architecture", Architecture)
def test_the_same_model_is_written_every_time_and_bfloat16_holds_it(architecture: Architecture) -> None:
    one, other = make_model(architecture), make_model(architecture)
    assert one.config == other.config
    for name, values in one.tensors.items():
        assert np.array_equal(values, other.tensors[name])
        assert not (values.view(np.uint32) & 0xFFFF).any(), name
        assert values.std() > 0, f"{name} says nothing"


def test_a_model_that_transformers_would_complete_with_random_numbers_is_no_reference(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra torch")
    folder = tmp_path / "model"
    write_model(make_model(Architecture.MIXTRAL), folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.self_attn.k_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NoReference, match=r"layers\.1\.self_attn\.k_proj"):
        ask_transformers(Path(sys.executable), [(folder, draw_probes(1))], tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "mixtral"}))
    with pytest.raises(NoReference, match="status"):
        ask_transformers(Path(sys.executable), [(folder, draw_probes(1))], tmp_path)
