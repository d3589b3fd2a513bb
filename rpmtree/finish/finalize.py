# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of `finalize.d`, which see the finished tree from outside: they run on the host, as root."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rpmtree import command
from rpmtree.errors import CommandFailed
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Run spec.finalize in order, in the tree's top directory; what they print becomes notes.

    As in rpm-ostree (rust/src/compose.rs), RPMOSTREE_WORKDIR is a directory for them alone. Raises CommandFailed.
    """
    for path in spec.finalize:
        with tempfile.TemporaryDirectory(prefix="finalize-") as work:
            environ = {"RPMOSTREE_WORKDIR": work, "SOURCE_DATE_EPOCH": str(spec.source_date_epoch)}
            done = command.run([str(path)], cwd=Path(root.path), env=environ, check=False)
        output = command.tail(done.stdout + done.stderr)
        if done.status != 0:
            raise CommandFailed((f"finalize.d/{path.name}",), done.status, output)
        for line in output.splitlines():
            reporter.note(f"{path.name}: {line}")
