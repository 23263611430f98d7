"""`answerdesk runtime bench` as a user calls it, with a real Answerdesk in front of a model server that is not one."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli_runtime import runtime
from model_runtime.bench.stub_server import PacedStream
from tests.fakes.paced_server import PacedServer, paced

WORDS = PacedStream(tuple(f" word{number}" for number in range(6)), (20.0, *(1.0,) * 5))


def bench(tmp_path: Path, address: str, *options: str, cache: Path | None = None) -> Result:
    environment = {"ANSWERDESK_HOME": str(tmp_path / "home"), "ANSWERDESK_CACHE": str(cache or tmp_path / "cache")}
    return CliRunner().invoke(runtime, ["bench", "--address", address, *options], env=environment)


def test_both_sides_are_measured_with_the_same_tokens_and_nothing_is_left_behind(
    tmp_path: Path, cache_dir: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    load = ("--streams", "1,3", "--prompt-tokens", "400", "--output-tokens", "10", "--rounds", "2", "--json")
    with paced([WORDS]) as server:
        done = bench(tmp_path, f"{server.address}/v1", *load, cache=cache_dir)
        chats, completions = _bodies(server)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    for cell in shown["cells"]:
        model, answerdesk = cell["figures"]["model"], cell["figures"]["answerdesk"]
        assert model["requests"] == answerdesk["requests"] == 2 * cell["streams"]
        assert model["output_tokens"] == answerdesk["output_tokens"] == 10
        assert model["prompt_tokens"] == 400
        assert answerdesk["prompt_tokens"] == pytest.approx(400, rel=0.1)
        assert answerdesk["retrieval_ms"]["p50"] > 0
        assert answerdesk["first_token_ms"]["p50"] > 20 * 0.9
        assert cell["throughput_ratio"] == pytest.approx(
            answerdesk["output_tokens_per_s"] / model["output_tokens_per_s"]
        )
    assert "--gpu and --split" in shown["no_bound"], "what it runs on is known of our own server alone"
    # Two questions find the prompt's length, two warm up; then 2 rounds of 1 and of 3 streams.
    assert len(chats) == 2 + 2 + 8
    assert len({body["messages"][-1]["content"] for body in chats}) == len(chats)
    assert len(completions) == 2 + 8
    assert not list(scratch.iterdir())
    assert not (tmp_path / "home").exists()


def test_without_a_server_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = bench(tmp_path, "http://127.0.0.1:9", "--streams", "1")
    assert done.exit_code == 2
    assert "answerdesk runtime start" in " ".join(done.output.split())


@pytest.mark.parametrize("streams", ["", "0", "1,,2", "2,2", "one"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, streams: str) -> None:
    done = bench(tmp_path, "http://127.0.0.1:9", "--streams", streams)
    assert done.exit_code == 2
    assert "--streams takes different whole numbers" in " ".join(done.output.split())


def test_a_split_that_is_none_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, "http://127.0.0.1:9", "--gpu", "h100-80g", "--split", "TP4 EP2")
    assert done.exit_code == 2
    assert "'TP4 EP2' is no split" in " ".join(done.output.split())


def test_a_foreign_server_has_a_bound_where_all_it_depends_on_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings of our own runtime say nothing about it."""
    monkeypatch.setenv("ANSWERDESK_RUNTIME__TENSOR_PARALLEL_SIZE", "8")
    monkeypatch.setattr("model_runtime.bench.stub_server.MODEL", "qwen3-8b")
    load = ("--streams", "2", "--prompt-tokens", "16", "--output-tokens", "4", "--rounds", "1", "--json")
    named = ("--no-through-api", "--gpu", "h100-80g", "--split", "TP2")
    with paced([WORDS]) as server:
        bounds = [bench(tmp_path, server.address, *load, *named, *more) for more in ((), ("--split", "TP1"))]
    two, one = (json.loads(done.stdout)["cells"][0]["bound"]["bound_tokens_per_s"] for done in bounds)
    assert two == pytest.approx(2 * one, rel=0.05)


def _bodies(server: PacedServer) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    chats = [body for body in server.bodies if "messages" in body]
    return chats, [body for body in server.bodies if "prompt" in body]
