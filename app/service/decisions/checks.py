"""What a decision table must be before it decides anything.

Owns the rules. The engine itself is lenient: it passes over a cell that it cannot read as one that does not match, and
over an input schema that is no JSON. Here both are mistakes, as are nodes that run programs.
Format: JSON Decision Model, https://docs.gorules.io/developers/jdm/standard (as written by the GoRules editor).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import zen

from app.service.decisions.errors import BadTable, TableProblem

LARGEST = 1_000_000
"""Characters of a file."""

_MOST_NODES = 50
_MOST_RULES = 5_000
_MOST_COLUMNS = 50
_LONGEST_CELL = 2_000

_ALLOWED = {"inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode"}
_Problems = Iterator[tuple[str, str]]  # place, reason


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can decide. `version` is the SHA-256 of its file; `inputs` is its JSON Schema of what it needs."""

    name: str
    title: str
    version: str
    source: str
    inputs: Mapping[str, Any]
    nodes: Mapping[str, str]  # names of the decision tables by id
    decision: zen.ZenDecision


def checked(name: str, file: str, source: str) -> Table:
    """The table in a file's text. Raises `BadTable` with everything that is wrong with it."""
    if len(source) > LARGEST:
        raise BadTable([TableProblem(file, "", f"is longer than {LARGEST:,} characters")])
    try:
        graph = json.loads(source)
    except RecursionError as error:
        raise BadTable([TableProblem(file, "", "is nested too deeply")]) from error
    except ValueError as error:
        raise BadTable([TableProblem(file, "", f"is not JSON: {error}")]) from error
    if not isinstance(graph, dict):
        raise BadTable([TableProblem(file, "", 'must be a JSON object with "nodes" and "edges"')])
    problems = [TableProblem(file, place, reason) for place, reason in _problems(graph)]
    if problems:
        raise BadTable(problems)
    try:
        decision = zen.ZenEngine().create_decision(source)
        decision.validate()
    except RuntimeError as error:  # which is all that the engine raises
        raise BadTable([TableProblem(file, "", first_line(error))]) from error
    nodes = graph["nodes"]
    begin = next(node for node in nodes if node["type"] == "inputNode")
    return Table(
        name,
        str(begin.get("name") or name),
        hashlib.sha256(source.encode()).hexdigest(),
        source,
        _schema(begin),
        {node["id"]: node["name"] for node in nodes if node["type"] == "decisionTableNode"},
        decision,
    )


def first_line(error: BaseException) -> str:
    """What the engine says, without the trace of its own calls that it appends."""
    said = str(error).split("\n\nStack backtrace")[0]
    return " ".join(said.replace("Caused by:", "").split())


def _problems(graph: Mapping[str, Any]) -> _Problems:
    nodes, edges = graph.get("nodes"), graph.get("edges")
    if not _objects(nodes) or not _objects(edges):
        yield "", '"nodes" and "edges" must be lists of objects'
        return
    if len(nodes) > _MOST_NODES:
        yield "", f"has more than {_MOST_NODES} nodes"
        return
    malformed = list(_malformed_nodes(nodes))
    if malformed:
        yield from malformed
        return
    yield from _edge_problems(nodes, edges)
    for node in nodes:
        match node["type"]:
            case "inputNode":
                yield from _input_problems(node)
            case "decisionTableNode":
                yield from _table_problems(node)
            case "expressionNode":
                yield from _expression_problems(node)
            case "switchNode":
                yield from _switch_problems(node)


def _malformed_nodes(nodes: list[Any]) -> _Problems:
    seen: set[str] = set()
    for number, node in enumerate(nodes, start=1):
        name, kind = node.get("name"), node.get("type")
        if not all(isinstance(node.get(key), str) and node[key] for key in ("id", "name", "type")):
            yield f"node {number}", 'needs the texts "id", "name" and "type"'
            continue
        if kind not in _ALLOWED:
            yield name, f"nodes of the type {kind} are not allowed; there are {', '.join(sorted(_ALLOWED))}"
        if not isinstance(node.get("content", {}), dict):
            yield name, '"content" must be an object'
        if node["id"] in seen:
            yield name, f"the id {node['id']!r} occurs twice"
        seen.add(node["id"])
    for kind, what in (("inputNode", "a beginning"), ("outputNode", "an end")):
        if sum(node.get("type") == kind for node in nodes) != 1:
            yield "", f"needs exactly one {kind}: {what}"


def _edge_problems(nodes: list[Any], edges: list[Any]) -> _Problems:
    known = {node["id"] for node in nodes}
    onward: dict[str, list[str]] = {}
    for number, edge in enumerate(edges, start=1):
        source, target = edge.get("sourceId"), edge.get("targetId")
        if source not in known or target not in known:
            yield f"edge {number}", "leads from or to a node that is not there"
            return
        onward.setdefault(source, []).append(target)
    begin = next(node["id"] for node in nodes if node["type"] == "inputNode")
    end = next(node["id"] for node in nodes if node["type"] == "outputNode")
    reached, waiting = {begin}, [begin]
    while waiting:
        for target in onward.get(waiting.pop(), ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    if end not in reached:
        yield "", "no edges lead from the inputNode to the outputNode"
    for node in nodes:
        if node["id"] not in reached:
            yield node["name"], "is never reached: draw an edge to it, or remove it"


def _input_problems(node: Mapping[str, Any]) -> _Problems:
    try:
        schema = _schema(node)
    except ValueError as error:
        yield node["name"], f'its "schema" is not JSON: {error}'
        return
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties or not _objects(list(properties.values())):
        yield node["name"], 'needs a JSON Schema of the inputs ("schema": {"properties": …, "required": […]}) as a text'


def _schema(node: Mapping[str, Any]) -> dict[str, Any]:
    schema = json.loads(node.get("content", {}).get("schema") or "{}")
    return schema if isinstance(schema, dict) else {}


def _table_problems(node: Mapping[str, Any]) -> _Problems:
    name, content = node["name"], node.get("content", {})
    inputs, outputs, rules = (content.get(key) for key in ("inputs", "outputs", "rules"))
    if not _objects(inputs) or not _objects(outputs) or not _objects(rules):
        yield name, '"inputs", "outputs" and "rules" must be lists of objects'
        return
    if not outputs or not rules:
        yield name, "needs at least one output and one rule"
    if len(inputs) + len(outputs) > _MOST_COLUMNS or len(rules) > _MOST_RULES:
        yield name, f"has more than {_MOST_COLUMNS} columns or {_MOST_RULES:,} rules"
        return
    for each in (*inputs, *outputs):
        if not isinstance(each.get("id"), str) or not isinstance(each.get("field", ""), str):
            yield name, 'every column needs an "id" and a "field"'
            return
    for number, rule in enumerate(rules, start=1):
        for column in inputs:
            is_test = bool(column.get("field"))  # a column without a field holds whole conditions
            yield from _cell_problem(name, number, column, rule.get(column["id"], ""), is_test=is_test)
        for column in outputs:
            yield from _cell_problem(name, number, column, rule.get(column["id"], ""), is_test=False)


def _cell_problem(node: str, row: int, column: Mapping[str, Any], cell: object, *, is_test: bool) -> _Problems:
    place = f"{node}, row {row}, column {column.get('name') or column.get('field') or column['id']}"
    if not isinstance(cell, str):
        yield place, "a cell must be a text"
    elif len(cell) > _LONGEST_CELL:
        yield place, f"a cell is longer than {_LONGEST_CELL:,} characters"
    elif cell.strip() and (problem := _unreadable(cell, is_test=is_test)):
        yield place, f"{cell!r} cannot be read: {problem}"


def _unreadable(expression: str, *, is_test: bool) -> str | None:
    """What the engine's compiler says to an expression; None when it can be computed."""
    try:
        (zen.compile_unary_expression if is_test else zen.compile_expression)(expression)
    except RuntimeError as error:
        said = first_line(error)
        try:
            return str(json.loads(said).get("source") or said)
        except ValueError:
            return said
    return None


def _expression_problems(node: Mapping[str, Any]) -> _Problems:
    expressions = node.get("content", {}).get("expressions")
    if not _objects(expressions):
        yield node["name"], '"expressions" must be a list of objects'
        return
    for number, each in enumerate(expressions, start=1):
        key, value = each.get("key"), each.get("value")
        if not isinstance(key, str) or not isinstance(value, str) or not key or len(value) > _LONGEST_CELL:
            yield f"{node['name']}, expression {number}", 'needs the texts "key" and "value"'
        elif problem := _unreadable(value, is_test=False):
            yield f"{node['name']}, {key}", f"{value!r} cannot be read: {problem}"


def _switch_problems(node: Mapping[str, Any]) -> _Problems:
    statements = node.get("content", {}).get("statements")
    if not _objects(statements):
        yield node["name"], '"statements" must be a list of objects'
        return
    for number, each in enumerate(statements, start=1):
        condition = each.get("condition", "")
        if not isinstance(condition, str) or len(condition) > _LONGEST_CELL:
            yield f"{node['name']}, case {number}", "its condition must be a text"
        elif condition.strip() and (problem := _unreadable(condition, is_test=False)):
            yield f"{node['name']}, case {number}", f"{condition!r} cannot be read: {problem}"


def _objects(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
