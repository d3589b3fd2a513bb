# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository that is served, and a client that pulls from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpmtree.command import run
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.remotes import Remotes
from rpmtree.ostree.repo import Repository, create
from tests.support.sysroots import commit_tree
from tests.support.webserver import Site, serve


@dataclass
class Lab:
    """A bare repository to build in, an archive one that is served, and a client's."""

    build: Path
    archive: Path
    client: Remotes
    site: Site

    def release(self, version: str, timestamp: int, parent: str = "") -> str:
        checksum = commit_tree(
            self.build,
            version=version,
            timestamp=timestamp,
            parent=bytes.fromhex(parent),
            files={f"usr/bin/tool{number}": f"{version} {number}" for number in range(20)},
        )
        Repository(self.archive).pull_commit(self.build, bytes.fromhex(checksum))
        write_refs(self.archive, {"granite/12": bytes.fromhex(checksum)})
        return checksum

    def fsck(self) -> None:
        run(["ostree", f"--repo={self.client.path}", "fsck", "--quiet"])


@contextmanager
def open_lab(top: Path) -> Iterator[Lab]:
    """Repositories below `top`, served while the body runs."""
    create(top / "build", "bare")
    create(top / "archive", "archive")
    create(top / "client", "bare")
    with serve(top / "archive") as site:
        client = Remotes.open(top / "client")
        client.add("site", site.url, {"gpg-verify": "false"})
        yield Lab(top / "build", top / "archive", client, site)
