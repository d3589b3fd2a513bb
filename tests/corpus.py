# SPDX-License-Identifier: GPL-2.0-or-later
"""Treefiles that others have written, through `compose tree --print-only`: which are accepted, and why others are not.

    python -m tests.corpus [--output FILE]

The collection lies beside this source tree (shared/corpus), on a developer's machine and in CI. Each file is loaded
where it lay in its repository, links in place; a file that it names and that was not collected is empty, which is said.
The status is 1 if one is refused for no known reason, ends in a traceback, or takes longer than half a second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from compose.cli import build_parser
from rpmtree.app import invoke

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
TREEFILES = ("treefile-yaml", "treefile-json")
SLOW = 0.5
_MISSING = re.compile(r"can't read '([^']+)': No such file or directory")

#: What an error says, and what is broken then. The first that fits counts.
REASONS = (
    ("undefined variable", "a part of another treefile, whose variables it uses"),
    ("duplicate key", "has a key twice, of which one would be lost"),
    ("not JSON", "is not JSON"),
    ("not YAML", "is not YAML"),
    ("Unknown field: groups", "has a key that rpm-ostree never had"),
    ("is incompatible with machineid-compat", "units with machineid-compat: false, which rpm-ostree refuses, too"),
    ("expected array of strings", "a list of packages that is none"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the collection's list."""

    kind: str
    role: str
    repository: str
    path: str
    commit: str
    stored: str

    @property
    def snapshot(self) -> tuple[str, str]:
        """What was together once."""
        return self.repository, self.commit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a treefile. `reason` None: it is not known why it was refused."""

    row: Row
    accepted: bool
    seconds: float
    said: str = ""
    reason: str | None = None
    #: Files that it names, and the collection lacks.
    lacking: tuple[str, ...] = ()


def rows() -> list[Row]:
    """The list; empty where the collection is not there."""
    manifest = CORPUS / "manifest.tsv"
    if not manifest.exists():
        return []
    return [Row(*line.split("\t")) for line in manifest.read_text().splitlines()[1:]]


@contextmanager
def laid_out(found: Sequence[Row]) -> Iterator[Path]:
    """A copy of the treefiles and what is beside them; links, which the collection has as texts, are links again."""
    with tempfile.TemporaryDirectory(prefix="treefiles-") as where:
        top = Path(where)
        for row in found:
            if row.kind != "treefile" or not (CORPUS / row.stored).is_file():
                continue
            path = top / row.stored
            path.parent.mkdir(parents=True, exist_ok=True)
            top.joinpath(*Path(row.stored).parts[:3], ".git").mkdir(parents=True, exist_ok=True)
            if row.role == "symlink":
                path.symlink_to((CORPUS / row.stored).read_text().strip())
            else:
                shutil.copyfile(CORPUS / row.stored, path)
                # The collection has no modes. A script that can't be run is refused.
                path.chmod(0o755 if row.role == "script" or path.suffix in (".sh", ".py") else 0o644)
        yield top


def outcome(top: Path, row: Row) -> Outcome:
    """Flatten one treefile as the command does."""
    lacking: list[str] = []
    while True:
        found = _flatten(top, row)
        missing = _MISSING.search(found.said)
        if missing is None or missing[1] in lacking:
            return replace(found, lacking=tuple(lacking))
        lacking.append(missing[1])
        path = (top / missing[1]).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _flatten(top: Path, row: Row) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    started = time.process_time()  # nothing is waited for, and others may use the machine
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = invoke("compose", build_parser, ["tree", "--print-only", str(top / row.stored)], os.environ)
    seconds = time.process_time() - started
    said = err.getvalue().replace(f"{top}/", "")
    if status == 0:
        return Outcome(row, True, seconds)
    error = next((line for line in said.splitlines() if line.startswith("error: ")), said)
    reason = next((reason for text, reason in REASONS if text in said), None) if status == 3 else None
    return Outcome(row, False, seconds, error.removeprefix("error: "), reason)


def outcomes() -> list[Outcome]:
    """All of them, in the list's order."""
    found = rows()
    with laid_out(found) as top:
        return [outcome(top, row) for row in found if row.role in TREEFILES]


def table(found: Sequence[Outcome]) -> Iterator[str]:
    """Lines for people."""
    accepted = [one for one in found if one.accepted]
    yield f"{len(found)} treefiles, {len(accepted)} accepted, {len(found) - len(accepted)} refused"
    lacking = Counter(f"{one.row.repository} {Path(name).name}" for one in found for name in one.lacking)
    yield (
        f"{sum(1 for one in found if one.lacking)} of them name files that were not collected, and are empty here: "
        + (", ".join(f"{name} ({count})" for name, count in lacking.most_common()))
    )
    yield f"slowest: {max(one.seconds for one in found):.3f} s; all: {sum(one.seconds for one in found):.1f} s"
    for reason, count in Counter(one.reason or "UNKNOWN" for one in found if not one.accepted).most_common():
        yield f"{count:5}  {reason}"
        for one in found:
            if not one.accepted and (one.reason or "UNKNOWN") == reason:
                yield f"         {one.row.repository}@{one.row.commit[:10]} {one.row.path}: {one.said}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there, too")
    args = parser.parse_args(argv)
    found = outcomes()
    if not found:
        print("the collection of treefiles is not beside this source tree", file=sys.stderr)
        return 0
    text = "\n".join(table(found)) + "\n"
    print(text, end="")
    if args.output is not None:
        args.output.write_text(text)
    wrong = [one for one in found if not one.accepted and one.reason is None]
    return 1 if wrong or any(one.seconds > SLOW for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
