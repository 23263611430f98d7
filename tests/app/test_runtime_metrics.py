"""What operators see of the chat model, the caches and the GPUs."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from app import gpu_metrics
from app.gpu_metrics import ASK_EVERY_S, Gpu, GpuCollector, ask_nvidia_smi, gpus_in
from app.settings import WhenUnavailable
from tests.app.answering_desk import GOOD, QUESTION, desk
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


def test_gpus_are_read_from_what_nvidia_smi_prints() -> None:
    first, second = gpus_in(TWO_GPUS)
    assert first == Gpu("0", "NVIDIA H100 80GB HBM3", 71542 * 2**20, 81559 * 2**20, 0.97)
    assert (second.used_bytes, second.busy) == (4 * 2**20, 0.0)
    partial = gpus_in("0, NVIDIA GB10, [N/A], [N/A], 12\n1, Tesla K80, 11, 11441, [Not Supported]\n")
    assert partial == [
        Gpu("0", "NVIDIA GB10", None, None, 0.12),
        Gpu("1", "Tesla K80", 11 * 2**20, 11441 * 2**20, None),
    ]
    for answer in ("", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate", "\n,,,,\n"):
        assert gpus_in(answer) == []


def test_gpus_are_asked_for_now_and_then_and_missing_where_there_are_none() -> None:
    answers, now = [TWO_GPUS, ""], [0.0]
    registry = CollectorRegistry()
    registry.register(GpuCollector(lambda: answers.pop(0), lambda: now[0]))
    for _ in range(3):
        text = generate_latest(registry).decode()
        assert 'answerdesk_gpu_busy{gpu="0",name="NVIDIA H100 80GB HBM3"} 0.97' in text
        now[0] += ASK_EVERY_S / 4
    now[0] += ASK_EVERY_S
    assert generate_latest(registry) == b""


def test_a_driver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(gpu_metrics, "WAIT_AT_MOST_S", 0.2)
    assert ask_nvidia_smi() == ""
    program.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    assert ask_nvidia_smi() == ""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert ask_nvidia_smi() == ""


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
