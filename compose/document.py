# SPDX-License-Identifier: GPL-2.0-or-later
"""A YAML or JSON file as a tree of plain values that know their line and column.

Limits on bytes, nesting and nodes hold while reading. Which keys a document may have is left to `compose.validate`.
"""

from __future__ import annotations

from compose.json_reader import JsonReader
from compose.nodes import Builder, Limits, Node
from compose.yaml_reader import YamlReader
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Problem, refuse, stop
from rpmtree.texts import decode, read_regular

YAML_ENDINGS = (".yaml", ".yml")


def is_json(file: str) -> bool:
    """Whether a document of that name is read as JSON: all are that don't end as YAML or kickstart files do."""
    return not file.endswith((*YAML_ENDINGS, ".ks"))


def read(
    file: str,
    *,
    limits: Limits | None = None,
    place: Place | None = None,
    problems: list[Problem] | None = None,
) -> Node:
    """The document in `file`; `place` is where another document names it; see `parse`. Raises ConfigError."""
    limits = limits or Limits()
    return parse(read_regular(file, limits.size, place), file, limits=limits, problems=problems)


def read_text(file: str, *, place: Place | None = None, problems: list[Problem] | None = None) -> str:
    """The text in `file`, for other formats; see `parse`. Raises ConfigError."""
    return decode(read_regular(file, Limits().size, place), file, problems)


def parse(
    data: bytes,
    file: str,
    *,
    limits: Limits | None = None,
    problems: list[Problem] | None = None,
    as_json: bool | None = None,
) -> Node:
    """The document in `data`; `file` goes into places, and decides between YAML and JSON. Raises ConfigError.

    `as_json` decides it instead. What is wrong in a place of its own is added to `problems`, where the caller has
    more to add; else it is raised.
    """
    limits = limits or Limits()
    if len(data) > limits.size:
        raise ConfigError(f"larger than {limits.size} bytes", place=Place(file, 1, 1))
    text = decode(data, file, problems)
    builder = Builder(file, limits)
    as_json = is_json(file) if as_json is None else as_json
    try:
        node = JsonReader(text, builder).document() if as_json else YamlReader(text, builder).document()
    except ConfigError as error:
        stop([Problem.of(error, Place(file, 1, 1)), *builder.problems], problems)
    if problems is None:
        refuse(builder.problems)
    else:
        problems += builder.problems
    return node
