"""compose.yaml against the settings, and what its vLLM container would run; needs no container engine."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from app.settings_reference import setting_rows
from model_runtime.server.command import vllm_command
from model_runtime.server.machine import Machine
from model_runtime.server.settings import Device, RuntimeSettings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
GIVEN = {
    "POSTGRES_PASSWORD": "p",
    "ANSWERDESK_SERVER__ADMIN_KEY": "sixteen-characters",
    "ANSWERDESK_RUNTIME__API_KEY": "of-the-runtime",
    "ANSWERDESK_RUNTIME__MODEL": "some/model",
}


# What `.env` cannot change, for the containers find each other by it.
FIXED = {
    *("HOME", "CACHE", "DATABASE__URL", "SERVER__HOST", "SERVER__PORT", "UI__HOST", "UI__PORT", "UI__EXPOSED"),
    *("ANSWERS__CHAT_MODEL", "ANSWERS__CHAT_BASE_URL", "ANSWERS__CHAT_API_KEY", "RUNTIME__HOST", "RUNTIME__PORT"),
}
# A value for each setting of the runtime that shows in vLLM's command line or environment ...
CHOICES: dict[str, Any] = {
    "model": "other/model",
    "served_name": "v3",
    "api_key": "another-key",
    "tensor_parallel_size": 8,
    "pipeline_parallel_size": 2,
    "data_parallel_size": 4,
    "expert_parallel": True,
    "quantization": "fp8",
    "kv_cache_dtype": "fp8",
    "context_length": 4096,
    "max_sequences": 128,
    "max_batched_tokens": 2048,
    "prefix_caching": False,
    "speculative_tokens": 2,
    "lora_adapters": ["tv=owner/tv"],
    "max_lora_rank": 64,
    "gpu_memory_utilization": 0.85,
    "eager": True,
    "extra_arguments": ["--seed=1", "--chat-template={% x %}"],
}
# ... and why the others do not reach it.
NOT_IN_THE_CONTAINER = {
    "the container listens where the others look for it": {"host", "port"},
    "the image is vLLM's environment, for GPUs": {"environment", "device", "cpu_kv_cache_gib"},
    "several machines need the host's network and one container on each": {
        *("nodes", "node_count", "node_rank", "head_address"),
    },
    "the container engine starts, watches and ends it": {
        *("ready_timeout_s", "restarts", "first_pause_s", "longest_pause_s"),
        *("steady_after_s", "silent_after_s", "stop_within_s"),
    },
}


def compose(environment: dict[str, str]) -> dict[str, Any]:
    """The file as Docker reads it: parsed, then variables filled in."""

    def fill(match: re.Match[str]) -> str:
        name, mark, default = match["name"], match["mark"], match["default"]
        value = environment.get(name, "")
        assert value or mark == ":-", f"{name} must be given"
        return value or default

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(value) for value in node]
        if isinstance(node, str):
            node = re.sub(r"\$\{(?P<name>\w+)(?P<mark>:-|:\?)(?P<default>[^}]*)\}", fill, node)
            assert "${" not in node
        return node

    read: dict[str, Any] = filled(yaml.safe_load(TEXT))
    return read


def variable(field: str) -> str:
    return f"ANSWERDESK_RUNTIME__{field.upper()}"


def written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def environments(file: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, service in file["services"].items():
        yield name, service.get("environment", {})


def test_every_variable_is_a_setting_and_every_container_starts_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {row.name for row in setting_rows(Settings(_env_file=None))}
    assert set(re.findall(r"ANSWERDESK_\w*[A-Z]", TEXT)) - {"ANSWERDESK_RUNTIME"} <= settings
    for service, environment in environments(compose(GIVEN)):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                assert isinstance(value, str), f"{service}: {name} must be text in YAML"
                patch.setenv(name, value)
            read = Settings(_env_file=None)
        if service == "ui":
            assert read.api_address == "http://api:8080"
        if service in ("api", "worker", "migrate"):
            assert read.database_url == "postgresql+psycopg://answerdesk:p@postgres/answerdesk"
            assert "api" in read.server.allowed_hosts


@pytest.mark.parametrize("service", ["migrate", "api", "worker", "ui"])
def test_what_dot_env_says_is_so_unless_it_is_named_as_fixed(service: str) -> None:
    described = compose(GIVEN)["services"][service]
    assert described["env_file"] == [{"path": ".env", "required": False}]
    # `environment` comes before `env_file`: what it sets must be fixed by name, or be what `.env` itself says.
    names = [name for name in described["environment"] if name.startswith("ANSWERDESK_")]
    said = {name: f"said-{number}" for number, name in enumerate(names)}
    filled = compose(GIVEN | said)["services"][service]["environment"]
    assert {name.removeprefix("ANSWERDESK_") for name in names if filled[name] != said[name]} <= FIXED


def test_what_is_fixed_is_said_at_the_head_of_the_file() -> None:
    head = TEXT.partition("x-answerdesk:")[0]
    assert all(re.search(rf"\b{name}\b|__{name.partition('__')[2]}\b", head) for name in FIXED)


def test_every_setting_of_the_runtime_reaches_vllm_or_has_a_reason_not_to() -> None:
    absent = [field for fields in NOT_IN_THE_CONTAINER.values() for field in fields]
    assert sorted([*CHOICES, *absent]) == sorted(RuntimeSettings.model_fields)
    given = {
        name
        for name, value in compose(GIVEN)["services"]["vllm"]["environment"].items()
        if name.startswith("ANSWERDESK_")
    }
    assert given == {variable(field) for field in (*CHOICES, "host", "port")}


def started(file: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """The vLLM container's entrypoint, with a package in vLLM's place that prints what it is given."""
    package = folder / "vllm/entrypoints/openai"
    package.mkdir(parents=True, exist_ok=True)
    for level in (package, *package.parents[:2]):
        (level / "__init__.py").touch()
    (package / "api_server.py").write_text(
        "import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))", encoding="utf-8"
    )
    vllm = file["services"]["vllm"]
    (mounted,) = [volume for volume in vllm["volumes"] if volume.startswith("./")]
    here, there, _ = mounted.split(":")
    assert f"{vllm['environment']['PYTHONPATH']}/{here.removeprefix('./')}" == there
    return subprocess.run(
        [sys.executable, *vllm["entrypoint"][1:]],
        env={**vllm["environment"], "PYTHONPATH": f"{ROOT}:{folder}", "PATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_vllm_gets_what_runtime_start_would_give_it(tmp_path: Path) -> None:
    base = {"model": "some/model", "served_name": "answerdesk", "host": "0.0.0.0", "api_key": "of-the-runtime"}
    # Speculation and pipeline stages exclude each other, and a rank means nothing without an adapter.
    together = {field: value for field, value in CHOICES.items() if field != "pipeline_parallel_size"}
    for fields in ({}, {"pipeline_parallel_size": 2}, {"expert_parallel": False}, together):
        file = compose(GIVEN | {variable(field): written(value) for field, value in fields.items()})
        done = started(file, tmp_path)
        assert done.returncode == 0, done.stderr
        arguments, environment = json.loads(done.stdout)
        command = vllm_command(RuntimeSettings(**{**base, **fields}), Machine(Device.GPU))
        assert ["-m", "vllm.entrypoints.openai.api_server", *arguments] == list(command.arguments)
        assert environment.items() >= command.environment.items()
        assert not any(name.startswith("ANSWERDESK_") for name in environment)
        api = file["services"]["api"]["environment"]
        assert api["ANSWERDESK_ANSWERS__CHAT_MODEL"] == fields.get("served_name", "answerdesk")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("tensor_parallel_size", "0", "ANSWERDESK_RUNTIME__TENSOR_PARALLEL_SIZE: Input should be greater"),
        ("lora_adapters", "tv=/models/tv", "runtime"),
        ("lora_adapters", '["tv=/no/such/folder"]', "there is no adapter_config.json"),
        ("max_batched_tokens", "16", "raise max_batched_tokens or lower max_sequences"),
    ],
)
def test_what_vllm_would_die_with_is_said_in_the_container_too(
    field: str, value: str, says: str, tmp_path: Path
) -> None:
    done = started(compose(GIVEN | {variable(field): value}), tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "of-the-runtime" not in done.stderr


def test_ports_volumes_gpus_and_health() -> None:
    file = compose(GIVEN)
    services = file["services"]
    assert set(services) == {"postgres", "migrate", "api", "worker", "ui", "vllm", "prometheus"}
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in mounted if not name.startswith(".")} == set(file["volumes"])
    (gpus,) = services["vllm"]["deploy"]["resources"]["reservations"]["devices"]
    assert (gpus["driver"], gpus["capabilities"]) == ("nvidia", ["gpu"])
    assert services["vllm"]["healthcheck"]["start_period"] == f"{RuntimeSettings().ready_timeout_s:g}s"
    without_check = {name for name, service in services.items() if "healthcheck" not in service}
    assert without_check == {"migrate", "worker"}, "they answer no requests"


def test_prometheus_scrapes_what_there_is() -> None:
    jobs = yaml.safe_load((ROOT / "ops/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    services = compose(GIVEN)["services"]
    for job in jobs:
        (target,) = job["static_configs"][0]["targets"]
        assert target.partition(":")[0] in services
    secret = jobs[0]["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert secret in services["prometheus"]["secrets"]


def test_the_image_has_what_the_wheel_needs_and_no_more() -> None:
    kept = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    packages = re.search(r"packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    assert set(re.findall(r'"(\w+)"', packages[1])) <= kept
    assert all((ROOT / path).exists() for path in kept)
    pinned = re.search(r"vllm/vllm-openai:v([\d.]+)", TEXT)
    built = re.search(r"^VLLM_GPU_VERSION := ([\d.]+)$", (ROOT / "Makefile").read_text(), re.M)
    assert pinned is not None
    assert built is not None
    assert pinned[1] == built[1], "compose.yaml and `make runtime` serve with the same vLLM"
