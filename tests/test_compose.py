"""compose.yaml against the settings and the function that makes vLLM's command line; needs no container engine."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from app.settings_reference import setting_rows
from model_runtime.vllm_command import Machine, vllm_command
from model_runtime.vllm_settings import Device, RuntimeSettings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
GIVEN = {
    "POSTGRES_PASSWORD": "p",
    "ANSWERDESK_SERVER__ADMIN_KEY": "sixteen-characters",
    "ANSWERDESK_RUNTIME__API_KEY": "of-the-runtime",
    "ANSWERDESK_RUNTIME__MODEL": "some/model",
}


def compose(environment: dict[str, str]) -> dict[str, Any]:
    """The file as Docker reads it, variables filled in."""

    def fill(match: re.Match[str]) -> str:
        name, mark, default = match["name"], match["mark"], match["default"]
        value = environment.get(name, "")
        assert value or mark == ":-", f"{name} must be given"
        return value or default

    filled = re.sub(r"\$\{(?P<name>\w+)(?P<mark>:-|:\?)(?P<default>[^}]*)\}", fill, TEXT)
    assert "${" not in filled
    read: dict[str, Any] = yaml.safe_load(filled)
    return read


def environments(file: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, service in file["services"].items():
        yield name, service.get("environment", {})


def test_every_variable_is_a_setting_and_every_container_starts_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {row.name for row in setting_rows(Settings(_env_file=None))}
    assert set(re.findall(r"ANSWERDESK_\w+", TEXT)) <= settings
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


@pytest.mark.parametrize(
    ("chosen", "fields"),
    [
        ({}, {}),
        ({"TENSOR_PARALLEL_SIZE": "8"}, {"tensor_parallel_size": 8}),
        (
            {"PIPELINE_PARALLEL_SIZE": "2", "DATA_PARALLEL_SIZE": "4"},
            {"pipeline_parallel_size": 2, "data_parallel_size": 4},
        ),
        ({"KV_CACHE_DTYPE": "fp8", "MAX_SEQUENCES": "128"}, {"kv_cache_dtype": "fp8", "max_sequences": 128}),
        (
            {"SERVED_NAME": "v3", "GPU_MEMORY_UTILIZATION": "0.85"},
            {"served_name": "v3", "gpu_memory_utilization": 0.85},
        ),
    ],
)
def test_vllm_gets_what_runtime_start_would_give_it(chosen: dict[str, str], fields: dict[str, Any]) -> None:
    file = compose(GIVEN | {f"ANSWERDESK_RUNTIME__{name}": value for name, value in chosen.items()})
    base = {"model": "some/model", "served_name": "answerdesk", "host": "0.0.0.0", "api_key": "of-the-runtime"}
    command = vllm_command(RuntimeSettings(**{**base, **fields}), Machine(Device.GPU))
    vllm = file["services"]["vllm"]
    assert sorted([*vllm["entrypoint"][1:], *vllm["command"]]) == sorted(command.arguments)
    assert vllm["environment"].items() >= command.environment.items()
    assert "of-the-runtime" not in " ".join(vllm["command"])
    api = file["services"]["api"]["environment"]
    assert api["ANSWERDESK_ANSWERS__CHAT_MODEL"] == fields.get("served_name", "answerdesk")


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
