# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose lock`: which builds a treefile's packages would be now, without composing."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose.gather import opened, request_of, solve
from compose.load import LoadedTreefile
from compose.options import TreeOptions
from compose.report import write_lockfile
from compose.workspace import open_workspace
from rpmtree.progress import Reporter


@dataclass(frozen=True, slots=True)
class Locked:
    """The builds that the lockfile at `file` names."""

    file: str
    packages: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The answer for people."""
        return [f"Locked {len(self.packages)} packages in {self.file}"]

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return {"file": self.file, "packages": list(self.packages)}


def lock(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Locked:
    """Solve, and write the lockfile that the options name. Raises ConfigError, FetchError, SolveError."""
    request = request_of(options, loaded, basearch, reporter)
    with ExitStack() as stack:
        # Nobody's data is in it, so that it may be where the system has its scratch space.
        scratch = options.cachedir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strata-lock-")))
        workspace = stack.enter_context(open_workspace(scratch, scratch))
        solution = solve(stack.enter_context(opened(request, options, workspace, reporter)), reporter)
        write_lockfile(options, solution)
    return Locked(str(options.write_lockfile_to), tuple(str(package.nevra) for package in solution.packages))
