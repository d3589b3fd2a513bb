# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that imports RPMs: a damaged or hostile one can take down no more than this.

Speaks JSON lines. First line in: {"store", "staging", "keys": {SET: [base64, …]}, "policy"}; then a job a line.
Out: {"commit": HEX} or {"error": CLASS, "message": TEXT} for each, in order. It ends when its input does.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rpmtree.errors import ToolError
from rpmtree.ostree.selinux import Labeller, labeller_of, unpacked
from rpmtree.ostree.store import Staging, Store
from rpmtree.pkgcache.choices import ImportChoices
from rpmtree.pkgcache.importer import Job, import_checked
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.signatures import Verifier


def main() -> None:
    """Serve jobs from stdin until it ends."""
    setup = json.loads(sys.stdin.readline())
    staging = Staging(Store(Path(setup["store"])), Path(setup["staging"]))
    verifiers = {
        name: Verifier([base64.b64decode(key) for key in keys]) for name, keys in {"": [], **setup["keys"]}.items()
    }
    try:
        with labeller_of(unpacked(setup["policy"])) as labeller:
            for line in sys.stdin:
                _say(_answer(json.loads(line), verifiers, staging, labeller))
    except ToolError as error:  # the policy is refused
        for _ in sys.stdin:
            _say(_refusal(error))


def _say(answer: Mapping[str, str]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answer(
    raw: dict[str, Any], verifiers: dict[str, Verifier], staging: Staging, labeller: Labeller | None
) -> dict[str, str]:
    choices = ImportChoices(**raw["choices"])
    job = Job(raw["path"], Nevra(*raw["nevra"]), raw["checksum"], raw["gpgcheck"], raw["keys"], choices)
    try:
        return {"commit": import_checked(job, verifiers[job.keys], staging, labeller).hex()}
    except ToolError as error:
        return _refusal(error)


def _refusal(error: ToolError) -> dict[str, str]:
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint or ""}


if __name__ == "__main__":
    main()
