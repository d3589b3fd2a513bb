# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of commits in a repository, as `layer db` asks for them: reading only."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layering import commits
from rpmtree.errors import StoreError
from rpmtree.ostree.detached import read_detached
from rpmtree.ostree.refs import resolve
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.variant import Variant
from rpmtree.root.rpmdb import HOMES
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.packagediff import Change

_ADVISORIES, _ADVISORY_ROWS = "rpmostree.advisories", "a(suuasa{sv})"
KINDS = ("unknown", "security", "bugfix", "enhancement", "newpackage")
SEVERITIES = ("none", "low", "moderate", "important", "critical")


@dataclass(frozen=True, slots=True)
class Notice:
    """An advisory about packages (NEVRA) of a commit; `cves` are names and addresses."""

    id: str
    kind: int
    severity: int
    packages: tuple[str, ...]
    cves: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        severity = f" {_word(SEVERITIES, self.severity)}" if self.severity else ""
        cves = f": {', '.join(name for name, _ in self.cves)}" if self.cves else ""
        return f"{self.id} ({_word(KINDS, self.kind)}{severity}){cves}"


def find(repository: Repository, rev: str) -> bytes:
    """The commit that `rev` names. Raises StoreError where there is none."""
    found = resolve(repository.path, rev)
    if found is None:
        raise StoreError(f"{repository.path} has no branch or commit {rev}", hint="`ostree refs` lists branches")
    return found


def packages(repository: Repository, checksum: bytes) -> tuple[Nevra, ...]:
    """The packages of a commit, sorted: from its metadata, else from its rpm database. Raises StoreError."""
    from rpmtree.rpm.database import read_database

    listed = commits.package_list(repository.commit(checksum))
    if listed is not None:
        return listed
    with _database(repository, checksum) as directory:
        return read_database(directory)


def changelogs(
    repository: Repository, old: bytes, new: bytes, changes: Iterable[Change]
) -> dict[Change, tuple[tuple[int, str, str], ...]]:
    """What was written (seconds since 1970, by whom, what) about each package that has both an old and a new version.

    Raises StoreError.
    """
    from rpmtree.rpm.changelog import newer, read_changelogs

    both = [(change, change.old, change.new) for change in changes if change.old and change.new]
    with _database(repository, old) as directory:
        before = read_changelogs(directory, {build for _, build, _ in both})
    with _database(repository, new) as directory:
        after = read_changelogs(directory, {build for _, _, build in both})
    found = {change: newer(before.get(was, ()), after.get(build, ())) for change, was, build in both}
    return {
        change: tuple((entry.timestamp, entry.author, entry.text) for entry in entries)
        for change, entries in found.items()
        if entries
    }


def notices(
    repository: Repository, checksum: bytes, names: AbstractSet[str], without: Collection[Notice] = ()
) -> tuple[Notice, ...]:
    """The advisories in a commit's metadata, or beside it, about packages (NEVRA) in `names`.

    Those in `without` are left out. Raises StoreError.
    """
    rows = repository.commit(checksum).metadata.get(_ADVISORIES)
    if rows is None:
        rows = read_detached(repository, checksum, _ADVISORIES, _ADVISORY_ROWS)
    if rows is None or rows.signature != _ADVISORY_ROWS:
        return ()
    known = {notice.id for notice in without}
    found = (_notice(*row) for row in rows.value)
    return tuple(notice for notice in found if notice.id not in known and names & set(notice.packages))


def version(builds: Iterable[Nevra]) -> str:
    """A name for a set of packages: their number, and a digest as yum's `version` has it (it is no safeguard)."""
    names = sorted(f"{n.epoch}:{n.name}-{n.version}-{n.release}.{n.arch}" for n in builds)
    digest = hashlib.sha1("".join(names).encode(), usedforsecurity=False)
    return f"{len(names)}:{digest.hexdigest()}"


@contextmanager
def _database(repository: Repository, checksum: bytes) -> Iterator[Path]:
    """A copy of the rpm database in a commit."""
    from rpmtree.rpm.database import DATABASE_FILE

    found = (repository.read_file(checksum, f"{home}/{DATABASE_FILE}") for home in HOMES)
    data = next((data for data in found if data), None)
    if data is None:
        raise StoreError(f"the commit {checksum.hex()} lists no packages, and has no rpm database in sqlite form")
    with tempfile.TemporaryDirectory(prefix="strata-rpmdb-") as directory:
        (Path(directory) / DATABASE_FILE).write_bytes(data)
        yield Path(directory)


def _notice(name: str, kind: int, severity: int, builds: list[str], more: dict[str, Variant]) -> Notice:
    cves = more.get("cve_references")
    listed = cves.value if cves is not None and cves.signature == "a(ss)" else ()
    return Notice(name, kind, severity, tuple(builds), tuple((title, url) for url, title in listed))


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if number < len(words) else words[0]
