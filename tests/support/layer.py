# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `layer`, run in this process on a sysroot that is not booted."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layering.cli import build_parser
from rpmtree.app import invoke


@dataclass(frozen=True)
class Done:
    """How it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.stdout)


def layer(sysroot: Path | None, verb: str, *words: str, environ: Mapping[str, str] | None = None) -> Done:
    """Run a verb (two words for one of two: `remote add`) on `sysroot`."""
    out, err = io.StringIO(), io.StringIO()
    where = [] if sysroot is None else [f"--sysroot={sysroot}"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = invoke("layer", build_parser, [*verb.split(), *where, *words], environ or {})
    return Done(status, out.getvalue(), err.getvalue())
