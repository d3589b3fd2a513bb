# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstart files that others have written, through the reader: accepted, accepted leniently, or why not.

    python -m tests.kickstart_corpus [--output FILE]

The collection is that of `tests.corpus`, whose list says which files are in it. The status is 1 if one is refused for
no known reason; a traceback ends the run.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kickstart.installation import Installation
from kickstart.reading import read
from rpmtree.errors import ConfigError
from tests.corpus import CORPUS, Row, rows

#: What an error says, and what is wrong then. The first that fits counts; the later ones can be left out.
REASONS = (
    ("no such file", "includes a file that was not collected"),
    ("'@OSTREE_", "a template whose variables are not filled in"),
    ("must use file, HTTP or HTTPS", "a template whose variables are not filled in"),
    ("not an http:", "a template whose variables are not filled in"),
    ("LVM", "LVM"),
    ("autopart without", "LVM"),
    ("--disklabel=gpt", "a GPT"),
    ("%packages", "lists packages, which come with a branch"),
    ("--nochroot", "a script outside of the new system"),
    ("container images", "a container image"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: `strict` and `lenient` are None where it was accepted so, else what was said."""

    row: Row
    strict: str | None
    lenient: str | None
    installation: Installation | None

    @property
    def reason(self) -> str | None:
        """Why the strict reader refused it; None is not known."""
        return next((reason for text, reason in REASONS if text in (self.lenient or self.strict or "")), None)


def outcomes() -> list[Outcome]:
    """All of them, in the list's order; none where the collection is not there."""
    return [_outcome(row) for row in rows() if row.kind == "kickstart" and row.stored.endswith(".ks")]


def _outcome(row: Row) -> Outcome:
    strict, _ = _read(row, lenient=False)
    lenient, installation = _read(row, lenient=True)
    return Outcome(row, strict, lenient, installation)


def _read(row: Row, *, lenient: bool) -> tuple[str | None, Installation | None]:
    path = CORPUS / row.stored
    try:
        return None, read(path, lenient=lenient, basearch="x86_64")[0]
    except ConfigError as error:
        said = "\n".join(part for part in (f"{error.place}: {error.message}", error.detail) if part)
        return said.replace(f"{CORPUS}/", ""), None


def table(found: Sequence[Outcome]) -> Iterator[str]:
    """Lines for people."""
    strict = [one for one in found if one.strict is None]
    lenient = [one for one in found if one.strict is not None and one.lenient is None]
    refused = [one for one in found if one.lenient is not None]
    yield f"{len(found)} kickstart files: {len(strict)} accepted, {len(lenient)} only leniently, {len(refused)} refused"
    for title, group in (("only leniently", lenient), ("refused", refused)):
        for reason, count in Counter(one.reason or "UNKNOWN" for one in group).most_common():
            yield f"{count:5}  {title}: {reason}"
            for one in group:
                if (one.reason or "UNKNOWN") == reason:
                    first, *others = (one.lenient or one.strict or "").splitlines()
                    yield f"         {first}" + (f" (and {len(others)} more)" if others else "")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.kickstart_corpus")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there, too")
    args = parser.parse_args(argv)
    found = outcomes()
    if not found:
        print("the collection of kickstart files is not beside this source tree", file=sys.stderr)
        return 0
    text = "\n".join(table(found)) + "\n"
    print(text, end="")
    if args.output is not None:
        args.output.write_text(text)
    return 1 if any(one.strict and one.reason is None for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
