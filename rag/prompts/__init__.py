"""The prompts of the generative answerer: one Markdown file each, per language.

Owns where they lie, which version they are, and how values are put in. A value is put in as it is: what it may contain
is decided by who puts it in.
"""

import hashlib
from functools import cache
from importlib import resources

from rag.language import Language

LAYOUT = 4
"""Raised with every change of what code puts around the prompts: history, passages, escaping (`generative.prompt`)."""


@cache
def prompt_version() -> str:
    """Changes whenever a model would be told something else for the same question: files and layout as one hash."""
    digest = hashlib.sha256(f"layout {LAYOUT}".encode())
    files = [file for file in resources.files(__package__).iterdir() if file.name.endswith(".md")]
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


@cache
def prompt(name: str, language: Language) -> str:
    """The text of `NAME_LANGUAGE.md`. Raises `FileNotFoundError` for a prompt that there is not."""
    return resources.files(__package__).joinpath(f"{name}_{language}.md").read_text(encoding="utf-8").strip()


def filled(template: str, **values: str) -> str:
    """`template` with each `{name}` replaced, in one pass: braces inside values are left alone."""
    pieces: list[str] = []
    rest = template
    while rest:
        found = [(rest.find("{" + name + "}"), name) for name in values if "{" + name + "}" in rest]
        if not found:
            break
        place, name = min(found)
        pieces += [rest[:place], values[name]]
        rest = rest[place + len(name) + 2 :]
    return "".join([*pieces, rest])
