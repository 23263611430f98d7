"""A flow file as text, and as data of which every part knows its line.

Owns which YAML is taken: mappings, lists, plain values. No anchors, tags or repeated keys; `yes`, `no` and `on` are
words and not truth values (YAML 1.2: https://yaml.org/spec/1.2.2/, 10.3).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from app.db import storable_text
from app.service.flows.errors import BadFlow, FlowProblem

LARGEST = 256 * 1024
_DEEPEST = 30


class _Loader(yaml.SafeLoader):
    """Plain values are those of YAML's core schema; dates stay text."""


_Loader.yaml_implicit_resolvers = {}  # its own, and not those of the class above
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+$"), list("-0123456789"))


@dataclass(frozen=True, slots=True)
class Source:
    """A file's data, and where its parts are."""

    file: str
    data: Any
    root: yaml.Node

    def problem(self, place: Sequence[str | int], reason: str) -> FlowProblem:
        """A mistake at a place; where there is nothing, at the nearest part around it."""
        return FlowProblem(self.file, self._line(place), ".".join(map(str, place)), reason)

    def _line(self, place: Sequence[str | int]) -> int:
        node, line = self.root, self.root.start_mark.line
        for part in place:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return int(line) + 1


def read(file: str, text: str) -> Source:
    """The data of a file. Raises `BadFlow` for what is no YAML of ours."""
    try:
        storable_text(text)
        if len(text.encode()) > LARGEST:
            raise BadFlow([FlowProblem(file, 1, "", f"is larger than {LARGEST // 1024} KiB")])
        return _read(file, text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ": ".join(part for part in (error.context, error.problem) if part)
        raise BadFlow([FlowProblem(file, mark.line + 1 if mark else 1, "", f"is no YAML: {reason}")]) from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BadFlow([FlowProblem(file, 1, "", f"cannot be read: {reason}")]) from error


def _read(file: str, text: str) -> Source:
    depth = 0
    for token in yaml.scan(text, Loader=_Loader):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken | yaml.DirectiveToken):
            raise BadFlow([FlowProblem(file, line, "", "anchors, aliases, tags and directives are not for flow files")])
        if isinstance(token, _OPENING):
            depth += 1
        elif isinstance(token, _CLOSING):
            depth -= 1
        if depth > _DEEPEST:
            raise BadFlow([FlowProblem(file, line, "", "is nested too deeply")])
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise BadFlow([FlowProblem(file, 1, "", "is empty")])
        if problems := _repeated(file, root):
            raise BadFlow(problems)
        return Source(file, loader.construct_document(root), root)
    finally:
        loader.dispose()


_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def _repeated(file: str, node: yaml.Node) -> list[FlowProblem]:
    """Keys that stand twice, of which YAML would silently drop one, and keys that are no plain words."""
    problems: list[FlowProblem] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.append(FlowProblem(file, line, "", "a key must be a word"))
                continue
            if key.value in seen:
                problems.append(FlowProblem(file, line, key.value, "stands here twice"))
            seen.add(key.value)
            problems += _repeated(file, value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            problems += _repeated(file, each)
    return problems
