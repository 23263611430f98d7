"""The prompts of the generative answerer: one Markdown file each, per language.

Owns where they lie and how values are put in. A value is put in as it is: what it may contain is decided by who
puts it in.
"""

from functools import cache
from importlib import resources

from rag.language import Language


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
