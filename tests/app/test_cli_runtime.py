"""`answerdesk runtime plan` as it is called, and the page of the documentation that shows it."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app

PAGE = Path(__file__).parents[2] / "docs/runtime.md"
_SHOWN = re.findall(
    r"```console\n\$ answerdesk (runtime plan [^\n]*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S
)


@pytest.mark.parametrize(("command", "shown"), _SHOWN, ids=[command for command, _ in _SHOWN])
def test_the_page_shows_what_the_command_prints(command: str, shown: str) -> None:
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == (1 if "Nothing fits" in shown else 0)
    assert result.stdout == shown, f"run `answerdesk {command}` and paste what it prints"


def test_the_page_shows_something() -> None:
    assert len(_SHOWN) >= 5


def test_json_has_everything() -> None:
    arguments = ["runtime", "plan", "--model", "deepseek-v3", "--gpu", "h200-141g", "--gpus", "8", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    made = json.loads(result.stdout)
    assert made["parameters"]["total"] == 671_026_419_200
    assert made["kv_bytes_per_token"] == 70_272
    assert made["recommended"]["split"]["name"] in {each["split"]["name"] for each in made["splits"]}
    assert {each["quantization"] for each in made["formats"]} == {"bf16", "fp8", "int8", "awq", "gptq"}
    assert all(each["weights_per_rank"] or each["refused"] for each in made["formats"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "[bold]no/such", "--gpu", "h100-80g"], "[bold]no/such"),
        (["--model", "qwen3-8b", "--gpu", "h100"], "no GPU 'h100'"),
        (["--model", "qwen3-8b", "--gpu", "h100-80g", "--context", "99999"], "reads 1 to 40,960"),
    ],
)
def test_errors_are_one_sentence_and_exit_2(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["runtime", "plan", *arguments])
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
