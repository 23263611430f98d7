"""JMESPath expressions of flow files: checked when a file is read, evaluated over values and never over text.

Owns which values an expression begins at, so that a misspelt name is found before a customer meets it.
Language: https://jmespath.org/specification.html.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

_RIGHT_IS_ELSEWHERE = frozenset({"subexpression", "pipe", "index_expression"})
_PROJECTIONS = frozenset({"projection", "value_projection", "filter_projection", "flatten"})


def mistake_in(expression: str) -> str | None:
    """What is wrong with it as JMESPath, None when nothing is."""
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        return f"is no JMESPath: {' '.join(str(error).split())}"
    except RecursionError:
        return "is nested too deeply"
    return None


def names_in(expression: str) -> frozenset[str]:
    """The names at which it begins: `order` and `limit` in `order.total > limit`."""
    return frozenset(_names(jmespath.compile(expression).parsed))


def names_it_needs(expression: str) -> frozenset[str]:
    """The names that surely have a value where it is true: `a` and `b` in `a && b == 'x'`, none in `a || b`."""
    return frozenset(_needed(jmespath.compile(expression).parsed))


class CannotEvaluate(Exception):
    """A function was given what it does not take, or things were compared that cannot be."""


def evaluate(expression: str, values: object) -> Any:
    """Its value, None where there is none. Raises `CannotEvaluate`."""
    try:
        return jmespath.compile(expression).search(values)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CannotEvaluate(" ".join(str(error).split())) from error


def is_true(value: object) -> bool:
    """JMESPath's truth: null, false, and what is empty are not; 0 is."""
    return not (value is None or value is False or value in ("", [], {}))


def _needed(node: Mapping[str, Any]) -> Iterator[str]:
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield node["value"]
    elif kind == "and_expression":
        yield from (*_needed(children[0]), *_needed(children[1]))
    elif kind == "comparator" and children[0]["type"] == "field" and children[1]["type"] == "literal":
        is_null = children[1]["value"] is None
        if (node["value"] == "eq" and not is_null) or (node["value"] == "ne" and is_null):
            yield children[0]["value"]


def _names(node: Mapping[str, Any]) -> Iterator[str]:
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield node["value"]
    elif kind in _RIGHT_IS_ELSEWHERE or kind in _PROJECTIONS:
        yield from _names(children[0])
    else:
        for child in children:
            yield from _names(child)
