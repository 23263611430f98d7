"""`docs/reference.md` as it must be: every command of the command line and every route of the API.

`python -m app.reference > docs/reference.md` writes it; a test compares.
"""

import sys

import typer

from app.bootstrap import build_services
from app.cli import app as command_line
from app.main import create_app
from app.settings import Settings

_HEAD = """# Reference

## Command line

`answerdesk COMMAND --help` lists the options.

| command | what it does |
|---|---|
"""
_MIDDLE = """
## API

`http://127.0.0.1:8080/docs` shows bodies and answers while the API runs. Errors are
`{"error": {"code", "message", "details"}}` with the right status: the code is stable, the message is for people.

| route | what it does |
|---|---|
"""


def reference() -> str:
    """The page."""
    return _HEAD + "".join(_commands()) + _MIDDLE + "".join(_routes())


def _commands() -> list[str]:
    group = typer.main.get_command(command_line)
    rows = []
    for name, command in sorted(getattr(group, "commands", {}).items()):
        inner = getattr(command, "commands", None)
        named = {f"{name} {verb}": each for verb, each in sorted(inner.items())} if inner else {name: command}
        rows += [f"| `answerdesk {words}` | {_first_line(each.help)} |\n" for words, each in named.items()]
    return rows


def _routes() -> list[str]:
    paths = create_app(build_services(Settings(_env_file=None))).openapi()["paths"]
    return [
        f"| `{method.upper()} {path}` | {_first_line(route.get('description'))} |\n"
        for path, methods in sorted(paths.items())
        for method, route in methods.items()
    ]


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


if __name__ == "__main__":
    sys.stdout.write(reference())
