# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in the way of a solution, in words: a line for each blocker, with what would unblock it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence

#: What libsolv says of a request as such; it tells nothing once a reason stands beside it.
_EMPTY = "conflicting requests"
_EXCLUDED = re.compile(r"package (?P<package>\S+) is filtered out by exclude filtering")
_ADVICE = (
    (re.compile(r"nothing provides (?P<what>.+?) needed by (?P<who>\S+)"),
     "add a repository that has {what}, or do without {who}"),
    (re.compile(r"package (?P<one>\S+) conflicts with (?P<what>.+?) provided by (?P<other>\S+)"),
     "ask for {one} or {other}, not both"),
    (re.compile(r"package (?P<one>\S+) obsoletes (?P<what>.+?) provided by (?P<other>\S+)"),
     "ask for {one} or {other}, not both"),
    (re.compile(r"cannot install both (?P<one>\S+) and (?P<other>\S+)"),
     "let what asks for one of the two go"),
    (re.compile(r"(?P<one>\S+) does not have a compatible architecture"),
     "compose for that architecture, or do without it"),
)  # fmt: skip


def explain(rules: Sequence[str], why_excluded: Callable[[str], str]) -> str:
    """One line for the rules of one libsolv problem; `why_excluded` says what keeps a package out."""
    said = list(dict.fromkeys(rule for rule in rules if rule != _EMPTY)) or [_EMPTY]
    advice = ""
    lines = []
    for rule in said:
        excluded = _EXCLUDED.fullmatch(rule)
        if excluded:
            lines.append(f"{excluded['package']} is kept out by {why_excluded(excluded['package'])}")
            advice = advice or f"let {excluded['package']} in"
            continue
        lines.append(rule)
        for pattern, text in _ADVICE:
            match = pattern.search(rule)
            if match and not advice:
                advice = text.format(**match.groupdict())
    return "; ".join(lines) + (f" → {advice}" if advice else "")


def missing(specs: Sequence[str], names: Collection[str], repo_ids: Sequence[str]) -> str:
    """The line for all specs that match nothing in the repositories, with names that come close."""
    listed = []
    for spec in specs:
        near = difflib.get_close_matches(spec, names, n=1, cutoff=0.75)
        listed.append(f"{spec} (did you mean {near[0]}?)" if near else spec)
    where = ", ".join(repo_ids)
    return f"no package matches {', '.join(listed)} → correct the name, or add its repository to {where or 'repos'}"


def kept_out(spec: str, reason: str) -> str:
    """The line for a requested spec of which every package is excluded."""
    return f"{spec} is requested, and kept out by {reason} → drop one of the two"
