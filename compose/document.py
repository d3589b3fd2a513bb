# SPDX-License-Identifier: GPL-2.0-or-later
"""A YAML or JSON file as a tree of plain values that know their line and column.

Limits on bytes, nesting and nodes hold while reading. Which keys a document may have is left to `compose.validate`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

from compose.json_reader import JsonReader
from compose.nodes import Builder, Limits, Lines, Node
from compose.problems import Problem, refuse
from compose.yaml_reader import YamlReader
from rpmtree.errors import ConfigError, Place

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
    return parse(_read_regular(file, limits.size, place), file, limits=limits, problems=problems)


def read_text(file: str, *, place: Place | None = None, problems: list[Problem] | None = None) -> str:
    """The text in `file`, for other formats; see `parse`. Raises ConfigError."""
    limits = Limits()
    data = _read_regular(file, limits.size, place)
    if len(data) > limits.size:
        raise ConfigError(f"larger than {limits.size} bytes", place=Place(file, 1, 1))
    return _decode(data, file, problems)


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
    text = _decode(data, file, problems)
    builder = Builder(file, limits)
    as_json = is_json(file) if as_json is None else as_json
    try:
        node = JsonReader(text, builder).document() if as_json else YamlReader(text, builder).document()
    except ConfigError as error:
        _stop([Problem.of(error, Place(file, 1, 1)), *builder.problems], problems)
    if problems is None:
        refuse(builder.problems)
    else:
        problems += builder.problems
    return node


def _stop(found: Sequence[Problem], problems: list[Problem] | None) -> NoReturn:
    """Raise the first of what was found; the others are told with it, or by who has more to add."""
    if problems is None:
        refuse(found)
    else:
        problems += found[1:]
    first = found[0]
    raise ConfigError(first.message, place=first.place, hint=first.hint)


def check_regular(file: str, place: Place | None) -> os.stat_result:
    """The status of a regular file. Raises ConfigError for anything else, without opening it."""
    try:
        status = os.stat(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigError(f"can't read {file!r}: {reason}", place=place or Place(file)) from error
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{file} is not a regular file", place=place or Place(file))
    return status


def _read_regular(file: str, size: int, place: Place | None) -> bytes:
    check_regular(file, place)
    try:
        # The file may have been replaced since: O_NONBLOCK so that a FIFO can't hang us.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(fd, "rb") as stream:
            return stream.read(size + 1)
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}", place=place or Place(file)) from error


#: Control characters of which each is told: a file that is no text has nothing else.
_MOST = 100
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _decode(data: bytes, file: str, problems: list[Problem] | None) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        raise ConfigError("not UTF-8", place=Lines(before, file).place(len(before))) from error
    text = text.removeprefix("\ufeff")
    lines = Lines(text, file)
    found = [
        Problem(f"control character U+{ord(match.group()):04X}", lines.place(match.start()))
        for match in islice(_FORBIDDEN.finditer(text), _MOST)
    ]
    if found:
        _stop(found, problems)
    return text
