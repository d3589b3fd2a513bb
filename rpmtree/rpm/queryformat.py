# SPDX-License-Identifier: GPL-2.0-or-later
"""Header query formats (`%{NAME}` …) for scripts that ask for them (`%post -q`)."""

from __future__ import annotations

import re

from rpmtree.errors import ToolError

# `%{SUMMARY:expand}` expands macros in the value, and a macro can run a program, here and not in a sandbox.
_EXPANDS = re.compile(r":\s*expand\b")


def format_header(header: bytes, template: str) -> str:
    """`template` filled from `header` (as rpm.hdr.unload() gives it), as `rpm --queryformat` does.

    Raises ToolError for a template that librpm refuses, or that would expand macros.
    """
    import rpm

    if _EXPANDS.search(template):
        raise ToolError("the query format of a script expands macros, which is not supported")
    try:
        return str(rpm.hdr(header).format(template))
    except rpm.error as error:
        raise ToolError(f"the query format of a script is wrong: {error}") from error
