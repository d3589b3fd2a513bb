# SPDX-License-Identifier: GPL-2.0-or-later
"""A document's nodes against a pydantic model: every problem as one line that says where it stands.

Nothing here knows a treefile's keys; those are `compose.treefile`'s, and what is odd about them `compose.layer`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compose import document
from compose.nodes import Limits, Node, Plain, below, plain
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Notice, Problem, closest, did_you_mean, refuse

Model = TypeVar("Model", bound=BaseModel)

#: Of how many unknown keys it is guessed what they are meant to be: of more nobody reads it, and it takes time.
GUESSED = 20
_LISTED = 10
#: Of how many it is said what is wrong with them; the first are those that are shown.
_TOLD = 50
_BOUNDS = {"greater_than_equal": "from", "less_than": "below"}

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
    unknown = [(_Spot.find(node, loc), loc) for loc in (e["loc"] for e in errors if e["type"] == "extra_forbidden")]
    notices: list[Notice] = []
    if lenient and unknown:
        for spot, _ in unknown:
            _drop(data, spot.steps)
        notices = [
            ignored_field(str(spot), spot.key_place, _keys_at(model, loc) if number < GUESSED else ())
            for number, (spot, loc) in enumerate(unknown)
            if not spot.comment
        ]
        try:
            return model.model_validate(data), [], notices
        except ValidationError as error:
            errors, unknown = error.errors(include_url=False), []
    problems = [
        unknown_field(str(spot), spot.key_place, _keys_at(model, loc) if number < GUESSED else ())
        for number, (spot, loc) in enumerate(unknown)
    ]
    return None, problems + _problems(node, errors), notices


def read_model(
    model: type[Model], file: str, *, lenient: bool, limits: Limits | None = None
) -> tuple[Model, Node, list[Notice]]:
    """The model that the document in `file` is, and its nodes; one of remarks alone is as if it were empty.

    Raises ConfigError with all problems.
    """
    problems: list[Problem] = []
    try:
        node = document.read(file, limits=limits, problems=problems)
    except ConfigError as error:
        refuse([Problem.of(error, Place(file, 1, 1)), *problems])
        raise
    if node.value is None:
        node = Node({}, node.place)
    found, more, notices = check(model, node, lenient=lenient)
    places = {problem.place for problem in problems}
    refuse([*problems, *(problem for problem in more if problem.place not in places)])
    assert found is not None
    return found, node, notices


def is_right(model: type[BaseModel], node: Node) -> bool:
    """Whether a node is such a model, when nobody asks why it is not."""
    try:
        model.model_validate(plain(node))
    except ValidationError:
        return False
    return True


def unknown_field(field: str, place: Place, known: Iterable[str]) -> Problem:
    """The problem of a key that is none, with the known one that it is most likely meant to be."""
    return Problem(f"Unknown field: {_shown(field)}", place, _meant(field, known))


def ignored_field(field: str, place: Place, known: Iterable[str]) -> Notice:
    """The same where that is no problem: in JSON, which has no other place for a remark. Typing errors go with it."""
    return Notice(f"Unknown field is ignored: {_shown(field)}", place, _meant(field, known))


def _shown(field: str) -> str:
    """A key, whose letters may only look like those that are known."""
    return field if re.fullmatch(r"[\w.\[\]-]+", field, re.ASCII) else ascii(field)


def _meant(field: str, known: Iterable[str]) -> str | None:
    return did_you_mean(closest(field.rpartition(".")[2], known))


def _keys_at(model: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    """The keys that a mapping may have where the last step of a location is one that it may not have."""
    models = {model}
    for step in loc[:-1]:
        fields = [field for each in models for name, field in each.model_fields.items() if step in (field.alias, name)]
        if fields:  # and not an index, a key of any name, or the branch of a union
            models = {found for field in fields for found in _models_in(field.annotation)}
    return {field.alias or name for each in models for name, field in each.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


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
    found = [(spot.key_place if of_key else spot.node.place, spot, some) for (_, of_key), (spot, some) in spots.items()]
    found.sort(key=lambda each: (each[0].line or 0, each[0].column or 0))
    told = [_problem(spot, place, some) for place, spot, some in found[:_TOLD]]
    return told + [Problem(f"{spot} is wrong", place) for place, spot, _ in found[_TOLD:]]


def _problem(spot: _Spot, place: Place, errors: Sequence[ErrorDetails]) -> Problem:
    # A value of the right type that is wrong in itself says more than the types that it also is not.
    values = [error for error in errors if _expected(error) is None]
    if values:
        message = "; ".join(dict.fromkeys(_message(error) for error in values))
        return Problem(f"{spot}: {message}" if spot.steps else message, place)
    expected = " or ".join(dict.fromkeys(str(_expected(error)) for error in errors[:_LISTED]))
    return Problem(f"{spot}: expected {expected}, not {_describe(spot.node)}", place, _hint(errors, spot.node))


def _expected(error: ErrorDetails) -> str | None:
    if error["type"] in ("enum", "literal_error"):
        return str(error["ctx"]["expected"])
    return _EXPECTED.get(error["type"])


def _message(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in _BOUNDS:
        return f"expected a number {_BOUNDS[error['type']]} {next(iter(error['ctx'].values()))}, not {error['input']}"
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
    if types <= {"enum", "literal_error"} and isinstance(value, str):
        return did_you_mean(closest(value, re.findall("'([^']*)'", str(_expected(errors[0])))))
    if "string_type" in types and isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else value
        return f'write it in quotes: "{text}"'
    if "bool_type" in types and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return "write true or false, without quotes"
    if types & {"tuple_type", "list_type"} and isinstance(value, str):
        return f"write it as a list: [{value}]" if value.isprintable() else "write it as a list"
    return None
