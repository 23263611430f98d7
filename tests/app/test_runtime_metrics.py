"""What operators see of the chat model, the caches and the GPUs."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from app.gpu_metrics import ASK_EVERY_S, GpuCollector, gpus_told
from app.settings import WhenUnavailable
from model_runtime.nvidia import gpus_in
from tests.app.answering_desk import GOOD, QUESTION, desk
from tests.app.live_app import wait_until
from tests.fakes.openai_server import OpenAIServer, Reply

OPS = Path(__file__).parents[2] / "ops"
TWO_GPUS = "0, NVIDIA H100 80GB HBM3, 71542, 81559, 97\n1, NVIDIA H100 80GB HBM3, 4, 81559, 0\n"


def test_answers_tell_their_times_and_caches_what_they_save(tmp_path: Path) -> None:
    reply = Reply(GOOD.pieces, pause=0.05, usage={"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 120})
    with OpenAIServer(reply) as server, desk(tmp_path, server.base_url) as opened:
        assert [opened.ask().json()["cached"] for _ in range(3)] == [False, True, True]
        assert opened.complete().json()["cached"] is True
        assert len(server.requests) == 1
        made, kept = 'answerer="generative",cached="false"', 'answerer="generative",cached="true"'
        for name in ("answerdesk_first_token_seconds", "answerdesk_answer_seconds"):
            assert opened.metric(f"{name}_count{{{made}}}") == 1
            assert opened.metric(f"{name}_count{{{kept}}}") == 3
        assert opened.metric("answerdesk_tokens_per_second_count") == 1
        assert opened.metric('answerdesk_cache_hits_total{cache="answers"}') == 3
        assert opened.metric('answerdesk_cache_misses_total{cache="answers"}') == 1
        assert opened.metric('answerdesk_cache_entries{cache="answers"}') == 1
        assert opened.metric('answerdesk_cache_bytes{cache="answers"}') > 1000
        assert opened.metric('answerdesk_cache_misses_total{cache="question_vectors"}') == 1
        opened.client.patch("/api/knowledge-bases/manuals", json={"settings": {"answer_cache": False}})
        assert opened.ask().json()["cached"] is False
        assert opened.metric('answerdesk_cache_hits_total{cache="question_vectors"}') == 1


@pytest.mark.parametrize(
    ("when_unavailable", "status", "where"),
    [(WhenUnavailable.ERROR, 503, "problems"), (WhenUnavailable.EXTRACTIVE, 200, "warnings")],
)
def test_ready_tells_of_a_model_that_does_not_answer(
    tmp_path: Path, when_unavailable: WhenUnavailable, status: int, where: str
) -> None:
    with desk(tmp_path, "http://127.0.0.1:9/v1", when_unavailable=when_unavailable) as opened:
        opened.ask("manuals", QUESTION)
        ready = opened.client.get("/ready")
        assert ready.status_code == status
        assert "does not answer" in ready.json()[where]["chat_model"]
        assert opened.metric("answerdesk_runtime_up") == 0


def test_the_health_of_the_model_is_told_without_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The circuit knows only what questions met. A proxy for the internet does not come between us and this machine."""
    with OpenAIServer(GOOD) as server, desk(tmp_path, server.base_url) as opened:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setattr("app.runtime_health.ASK_EVERY_S", 0.0)
        wait_until(lambda: opened.metric("answerdesk_runtime_up") == 1)  # one reply may be late on a busy machine
    monkeypatch.undo()
    with desk(tmp_path / "gone", "http://127.0.0.1:9/v1") as opened:
        assert opened.metric("answerdesk_runtime_up") == 0
        assert opened.metric("answerdesk_runtime_circuit_open") == 0, "nobody has asked anything"


def test_gpus_are_asked_for_now_and_then_and_missing_where_there_are_none() -> None:
    answers, now = [gpus_in(TWO_GPUS), []], [0.0]
    registry = CollectorRegistry()
    registry.register(GpuCollector(lambda: answers.pop(0), lambda: now[0]))
    for _ in range(3):
        text = generate_latest(registry).decode()
        assert 'answerdesk_gpu_busy{gpu="0",name="NVIDIA H100 80GB HBM3"} 0.97' in text
        now[0] += ASK_EVERY_S / 4
    now[0] += ASK_EVERY_S
    assert generate_latest(registry) == b""


def test_a_driver_that_does_not_tell_leaves_the_other_metrics_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (gpus_told(), caplog.text) == ([], ""), "a machine without GPUs has nothing to log"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    program.chmod(0o755)
    assert gpus_told() == []
    assert "Driver/library version mismatch" in caplog.text


def test_rules_name_metrics_that_exist(tmp_path: Path) -> None:
    """Ours are compared with what is really exposed; vLLM's by their prefix alone."""
    rules = yaml.safe_load((OPS / "rules.yml").read_text(encoding="utf-8"))
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    with OpenAIServer(GOOD) as server, desk(tmp_path, server.base_url) as opened:
        opened.ask()
        lines = opened.client.get("/metrics").text.splitlines()
    families = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    for name in {name for expression in expressions for name in _names(expression)} - recorded:
        base = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        assert base in families or name.startswith("answerdesk_gpu_"), name
    assert "/etc/prometheus/rules.yml" in yaml.safe_load((OPS / "prometheus.yml").read_text())["rule_files"]


def _names(expression: str) -> list[str]:
    return re.findall(r"\banswerdesk[a-z0-9_:]*", expression.replace('job="answerdesk"', ""))
