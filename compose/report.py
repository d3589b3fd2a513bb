# SPDX-License-Identifier: GPL-2.0-or-later
"""What a compose tells: the answer on stdout, the lockfile, the documents that scripts ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compose.lockfile import LockedPackage
from compose.lockfile import to_text as lock_text
from compose.options import TreeOptions
from rpmtree.errors import STORAGE_ERRORS, ToolError
from rpmtree.files import write_atomically
from rpmtree.ostree.objects import PKGLIST, Commit
from rpmtree.ostree.transfer import Figures
from rpmtree.root.commit import CommittedRoot
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.packagediff import difference, to_json
from rpmtree.rpm.request import Solution


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a compose came to. `lines` are for stdout; `commit` is None where none was made."""

    lines: tuple[str, ...]
    packages: tuple[str, ...]
    inputhash: str | None
    commit: str | None = None
    ref: str | None = None
    version: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return {key: value for key, value in asdict(self).items() if key != "lines"}


def transaction(solution: Solution) -> tuple[str, ...]:
    """The lines of `--dry-run`."""
    rows = [f"  {package.nevra} ({package.repo_id})" for package in solution.packages]
    return (f"Installing {len(rows)} packages:", *rows)


def write_lockfile(options: TreeOptions, solution: Solution) -> None:
    """Write the builds that were chosen, where the user asked for that."""
    if options.write_lockfile_to is None:
        return
    packages = [
        LockedPackage(
            package.nevra.name,
            package.nevra.evr,
            package.nevra.arch,
            package.checksum,
            {"sourcerpm": package.source_rpm} if package.source_rpm else {},
        )
        for package in solution.packages
    ]
    repos = {found.id: datetime.fromtimestamp(found.timestamp, UTC) for found in solution.repos}
    _write(options.write_lockfile_to, lock_text(packages, generated=datetime.now(UTC), repos=repos))


def write_documents(
    options: TreeOptions, outcome: Outcome, committed: CommittedRoot, figures: Figures, parent: Commit | None
) -> None:
    """Write what `--write-commitid-to`, `--touch-if-changed` and `--write-composejson-to` name.

    `parent` is the commit before, with which packages are compared.
    """
    if options.write_commitid_to is not None:
        _write(options.write_commitid_to, committed.checksum.hex())
    if options.write_composejson_to is not None:
        document = _composejson(outcome, committed, figures, parent)
        _write(options.write_composejson_to, json.dumps(document, indent=2) + "\n")
    touch(options.touch_if_changed)


def touch(path: Path | None) -> None:
    """Touch what `--touch-if-changed` names, if anything. Raises ToolError."""
    if path is not None:
        with _naming(path):
            path.touch()


def _write(path: Path, text: str) -> None:
    with _naming(path):
        write_atomically(path, text)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file that the user wants written, and which can't be."""
    try:
        yield
    except OSError as error:
        if error.errno in STORAGE_ERRORS:
            raise
        raise ToolError(f"can't write {path}: {error.strerror}") from error


def _composejson(outcome: Outcome, committed: CommittedRoot, figures: Figures, parent: Commit | None) -> dict[str, Any]:
    """Keys are rpm-ostree's, as is the form of `pkgdiff`."""
    time = datetime.fromtimestamp(committed.commit.timestamp, UTC)
    document = {
        "ref": outcome.ref,
        "ostree-n-metadata-total": figures.metadata_total,
        "ostree-n-metadata-written": figures.metadata_written,
        "ostree-n-content-total": figures.content_total,
        "ostree-n-content-written": figures.content_written,
        "ostree-commit": outcome.commit,
        "ostree-content-checksum": committed.content,
        "ostree-version": outcome.version,
        "ostree-timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rpm-ostree-inputhash": outcome.inputhash,
        "pkgdiff": None if parent is None else to_json(difference(_packages(parent), _packages(committed.commit))),
    }
    return {key: value for key, value in document.items() if value is not None}


def _packages(commit: Commit) -> list[Nevra]:
    """What a commit lists; nothing of one that lists none."""
    listed = commit.metadata.get(PKGLIST)
    rows = listed.value if listed is not None and listed.signature == "a(sssss)" else ()
    return [Nevra(name, int(epoch or 0), version, release, arch) for name, epoch, version, release, arch in rows]
