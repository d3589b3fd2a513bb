# SPDX-License-Identifier: GPL-2.0-or-later
"""Text files that users write: read within limits, and the places of what stands in them."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from functools import cached_property
from itertools import islice

from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Problem, stop

#: Control characters of which each is told: a file that is no text has nothing else.
_MOST = 100
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Lines:
    """Places of offsets into a text."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]

    def place(self, offset: int) -> Place:
        """Line and column of the character at `offset`."""
        line = bisect_right(self._starts, offset)
        return Place(self._file, line, offset - self._starts[line - 1] + 1)


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


def read_regular(file: str, size: int, place: Place | None = None) -> bytes:
    """The content of a regular file of at most `size` bytes; `place` is where it is named. Raises ConfigError."""
    check_regular(file, place)
    try:
        # The file may have been replaced since: O_NONBLOCK so that a FIFO can't hang us.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(fd, "rb") as stream:
            data = stream.read(size + 1)
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}", place=place or Place(file)) from error
    if len(data) > size:
        raise ConfigError(f"larger than {size} bytes", place=Place(file, 1, 1))
    return data


def decode(data: bytes, file: str, problems: list[Problem] | None = None) -> str:
    """The text of UTF-8 without control characters; `file` goes into places. Raises ConfigError.

    It tells of the first such character; the others are told with it, or are added to `problems`.
    """
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
        stop(found, problems)
    return text
