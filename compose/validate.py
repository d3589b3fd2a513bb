# SPDX-License-Identifier: GPL-2.0-or-later
"""A document's nodes against a pydantic model: every problem as one line that says where it stands.

Nothing here knows a treefile's keys; those are `compose.treefile`'s, and what is odd about them `compose.layer`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compose.nodes import Node, Plain, below, plain
from compose.problems import Notice, Problem
from rpmtree.errors import Place

Model = TypeVar("Model", bound=BaseModel)

#: What pydantic's errors of type mean to someone who writes YAML.
_EXPECTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def check(model: type[Model], node: Node, *, lenient: bool) -> tuple[Model | None, list[Problem], list[Notice]]:
    """The model that a mapping node is, or None with problems.

    `lenient` makes unknown keys inside of known ones notices, which is for JSON: there they may be comments.
    """
    data = plain(node)
    try:
        return model.model_validate(data), [], []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    unknown = [_Spot.find(node, detail["loc"]) for detail in errors if detail["type"] == "extra_forbidden"]
    notices: list[Notice] = []
    if lenient and unknown:
        for spot in unknown:
            _drop(data, spot.steps)
        notices = [Notice(f"Unknown field is ignored: {spot}", spot.key_place) for spot in unknown if not spot.comment]
        try:
            return model.model_validate(data), [], notices
        except ValidationError as error:
            errors, unknown = error.errors(include_url=False), []
    problems = unknown_fields([(str(spot), spot.key_place) for spot in unknown], ())
    return None, problems + _problems(node, errors), notices


def unknown_fields(fields: Sequence[tuple[str, Place]], known: Iterable[str]) -> list[Problem]:
    """One problem for all unknown keys; the hint names the likeliest known ones."""
    if not fields:
        return []
    guesses = [(field, guess) for field, _ in fields if (guess := closest(field, known))]
    hint = "did you mean " + ", ".join(f"{guess} (for {field})" for field, guess in guesses) + "?" if guesses else None
    return [Problem("Unknown fields: " + ", ".join(field for field, _ in fields), fields[0][1], hint)]


def closest(field: str, known: Iterable[str]) -> str | None:
    """The known key that a mistyped one is most likely meant to be."""
    from difflib import get_close_matches

    matches = get_close_matches(field.lower().replace("_", "-"), list(known), n=1, cutoff=0.75)
    return matches[0] if matches else None


def is_comment(key: str) -> bool:
    """Whether a key of a JSON document is a remark: `comment`, `packages-comment`, `_why`, `#`, `//`."""
    return "comment" in key.lower() or key.startswith(("_", "#", "//"))


@dataclass(frozen=True, slots=True)
class _Spot:
    """What a pydantic location is in the document: steps that exist there, and where the last one stands."""

    steps: tuple[str | int, ...]
    node: Node
    key_place: Place

    @classmethod
    def find(cls, node: Node, loc: Sequence[str | int]) -> _Spot:
        """Steps that are not in the document (a union's branch, a missing key) are passed over."""
        steps: list[str | int] = []
        key_place = node.place
        for step in loc:
            inner = below(node, step)
            if inner is None:
                continue
            key_place = node.keys[step] if isinstance(step, str) else inner.place
            node = inner
            steps.append(step)
        return cls(tuple(steps), node, key_place)

    @property
    def comment(self) -> bool:
        return bool(self.steps) and is_comment(str(self.steps[-1]))

    def __str__(self) -> str:
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return text.removeprefix(".")


def _drop(data: Plain, steps: Sequence[str | int]) -> None:
    *parents, last = steps
    holder: Any = data
    for step in parents:
        holder = holder[step]
    holder.pop(last, None)


def _problems(node: Node, errors: Sequence[ErrorDetails]) -> list[Problem]:
    """A problem for each place in the document: the branches of a union are one."""
    spots: dict[tuple[tuple[str | int, ...], bool], tuple[_Spot, list[ErrorDetails]]] = {}
    for error in errors:
        if error["type"] != "extra_forbidden":
            spot = _Spot.find(node, error["loc"])
            spots.setdefault((spot.steps, "[key]" in error["loc"]), (spot, []))[1].append(error)
    return [_problem(spot, of_key, found) for (_, of_key), (spot, found) in spots.items()]


def _problem(spot: _Spot, of_key: bool, errors: Sequence[ErrorDetails]) -> Problem:
    place = spot.key_place if of_key else spot.node.place
    # A value of the right type that is wrong in itself says more than the types that it also is not.
    values = [error for error in errors if _expected(error) is None]
    if values:
        message = "; ".join(dict.fromkeys(_message(error) for error in values))
        return Problem(f"{spot}: {message}" if spot.steps else message, place)
    expected = " or ".join(dict.fromkeys(str(_expected(error)) for error in errors))
    return Problem(f"{spot}: expected {expected}, not {_describe(spot.node)}", place, _hint(errors, spot.node))


def _expected(error: ErrorDetails) -> str | None:
    if error["type"] in ("enum", "literal_error"):
        return str(error["ctx"]["expected"])
    return _EXPECTED.get(error["type"])


def _message(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "missing":
        missing = error["loc"][-1]
        return f"'{missing}' is missing" if isinstance(missing, str) else f"expected {missing + 1} or more entries"
    text = error["msg"]
    return text[:1].lower() + text[1:]


def _describe(node: Node) -> str:
    value = node.value
    if isinstance(value, tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "a mapping"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    return f"the number {value}"


def _hint(errors: Sequence[ErrorDetails], node: Node) -> str | None:
    types = {error["type"] for error in errors}
    value = node.value
    if "string_type" in types and isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else value
        return f'write it in quotes: "{text}"'
    if "bool_type" in types and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return "write true or false, without quotes"
    if types & {"tuple_type", "list_type"} and isinstance(value, str):
        return f"write it as a list: [{value}]" if value.isprintable() else "write it as a list"
    return None
