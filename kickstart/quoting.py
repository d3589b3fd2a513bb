# SPDX-License-Identifier: GPL-2.0-or-later
"""How values get into a kickstart file: through one function, which quotes or refuses.

A kickstart line is split into words as a shell's is, and scripts in it are a shell's, so that one way of quoting does
for both. What quotes can't hold back is refused: an end of line, and a first character that makes a value an option
or a section.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

#: Python, and so pykickstart, ends a line at more than a newline (str.splitlines).
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


class Unquotable(ValueError):
    """A value that can't stand in a kickstart file, whatever is put around it."""


def quoted(value: object) -> str:
    """The value as one word. Raises Unquotable for a text that can't be one, and for all that is no text or number."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Unquotable(f"not a text or a number: {value!r}")
    text = str(value)
    if _NOT_IN_A_LINE.search(text):
        raise Unquotable(f"a control character or an end of line: {text!r}")
    if text.startswith(("-", "%")):
        raise Unquotable(f"a value that begins with {text[0]}: {text!r}")
    return shlex.quote(text)


def joined(values: Iterable[str], separator: str) -> str:
    """Several values as one, in which none can pass for two; it is still to be quoted. Raises Unquotable."""
    found = list(values)
    for value in found:
        inside = re.sub(r'"[^"]*"', "", value) if separator == " " else value
        if not value or separator in inside or value.count('"') % 2:
            raise Unquotable(f"not one of a list that is joined by {separator!r}: {value!r}")
    return separator.join(found)
