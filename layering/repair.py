# SPDX-License-Identifier: GPL-2.0-or-later
"""Mending a sysroot: damaged and missing objects of what is deployed, then the deployed files themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from layering.refspec import Branch
from layering.system import see
from layering.verify import Finding, Wrong, verify
from rpmtree.errors import StoreError, ToolError
from rpmtree.ostree import mending
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.checking import Checker, is_whole
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.library import make_durable
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.sysroot import Sysroot
from rpmtree.progress import Reporter, step

_Object = tuple[Kind, bytes]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was wrong, what was put right, and what could not be: a line each."""

    #: Objects of the repository, as `checksum.kind`, that were missing or damaged.
    objects: tuple[str, ...] = ()
    #: Paths in deployments that were put right: `deployment: /path`.
    paths: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    #: Where damaged objects are now.
    aside: Path | None = None


def repair(sysroot: Sysroot, sources: Sequence[Path], reporter: Reporter) -> Repaired:
    """Put right what can be, from the remotes that are followed and the repositories `sources`.

    Called with the sysroot's lock held. Nothing is written in place: a crash leaves each object and each file
    damaged, missing or whole. Raises StoreError where the repository or a source is none.
    """
    if sysroot.repository.mode != "bare":
        raise StoreError(f"{sysroot.repo_path} is not of mode bare", hint="deployments share no files with it")
    mender = _Mender(sysroot, [mending.Source(sysroot.repo_path, path) for path in sources], reporter)
    with step(reporter, "Checking the repository") as running:
        found = mender.objects()
        running.summary = f"broken objects: {len(found)}"
    with step(reporter, "Checking deployments") as running:
        paths = [line for deployment in mender.deployments for line in mender.paths(deployment)]
        running.summary = f"mended paths: {len(paths)}"
    make_durable(sysroot.repo_path)
    return Repaired(tuple(found), tuple(paths), tuple(mender.left), mender.aside)


class _Mender:
    def __init__(self, sysroot: Sysroot, sources: Sequence[mending.Source], reporter: Reporter) -> None:
        self.store = Store(sysroot.repo_path)
        self.deployments = sysroot.deployments()
        self.left: list[str] = []
        self.aside: Path | None = None
        self._sysroot = sysroot
        self._sources = sources
        self._reporter = reporter
        self._checker = Checker()
        #: Why objects were not brought back, if some were not in the end.
        self._reasons: list[str] = []

    # -- the repository ----------------------------------------------------------------------------------------

    def objects(self) -> list[str]:
        """Mend the repository; gives the objects that were broken.

        In rounds, since a directory has to be whole before what is below it can be looked at.
        """
        tried: dict[_Object, str] = {}
        broken = self._broken()
        while new := [item for item in broken if item not in tried]:
            for kind, checksum in new:
                tried[kind, checksum] = f"{checksum.hex()}.{kind.value}"
                self.aside = self._put_aside(kind, checksum) or self.aside
            self._mend(new)
            broken = self._broken()
        if broken:
            self.left += self._reasons
        self.left += [f"the object {checksum.hex()}.{kind.value}: found nowhere" for kind, checksum in broken]
        return list(tried.values())

    def _put_aside(self, kind: Kind, checksum: bytes) -> Path | None:
        moved = mending.put_aside(self.store, kind, checksum)
        return moved.parent if moved else None

    def _commits(self) -> Iterator[tuple[bytes, Deployment]]:
        """What is deployed, and the bases of it as far as they can be told."""
        seen: set[bytes] = set()
        for deployment in self.deployments:
            raw = bytes.fromhex(deployment.checksum)
            found = [raw]
            if is_whole(self.store, Kind.COMMIT, raw, self._checker):
                found.insert(0, base_of(raw, self.store.commit(raw)))
            for commit in found:
                if commit not in seen:
                    seen.add(commit)
                    yield commit, deployment

    def _broken(self) -> list[_Object]:
        """All broken objects that can be seen now, each once."""
        commits = [commit for commit, _ in self._commits()]
        return list(
            dict.fromkeys(item for commit in commits for item in mending.broken(self.store, commit, self._checker))
        )

    def _mend(self, wanted: Sequence[_Object]) -> None:
        """Bring back what can be had: from deployed files, from `sources`, then from the remotes."""
        files = {checksum for kind, checksum in wanted if kind is Kind.FILE}
        for deployment in self.deployments if files else ():
            for checksum, path in _whole_files(self.store, deployment, files, self._checker):
                mending.adopt(self.store, checksum, path)
        missing = [(kind, checksum) for kind, checksum in wanted if not self.store.has(kind, checksum)]
        missing = [item for item in missing if not any(source.fetch(*item) for source in self._sources)]
        if missing:
            self._pull()

    def _pull(self) -> None:
        """Fetch what commits lack from where they came from; what fails is said once, at the end."""
        for commit, deployment in list(self._commits()):
            if not any(mending.broken(self.store, commit, self._checker)):
                continue
            checksum = commit.hex()
            layered = commit.hex() == deployment.checksum and self._is_layered(commit)
            for remote in () if layered else self._remotes(deployment):
                mending.mark_partial(self.store.path, checksum)
                try:
                    self._sysroot.remotes.pull(remote, checksum, reporter=self._reporter)
                except ToolError as error:
                    self._reasons.append(error.message)
                if not any(mending.broken(self.store, commit, self._checker)):
                    mending.mark_partial(self.store.path, checksum, False)
                    break
            else:
                if layered:
                    self._reasons.append(f"{checksum} was made here, and no remote has it: make it anew")

    def _is_layered(self, commit: bytes) -> bool:
        return bool(
            is_whole(self.store, Kind.COMMIT, commit, self._checker)
            and base_of(commit, self.store.commit(commit)) != commit
        )

    def _remotes(self, deployment: Deployment) -> Sequence[str]:
        """The remote that is followed; all of them where one commit is."""
        origin = see(deployment).origin
        if origin is not None and isinstance(origin.base, Branch):
            return (origin.base.remote,) if origin.base.remote else ()
        return self._sysroot.remotes.names()

    # -- deployments -------------------------------------------------------------------------------------------

    def paths(self, deployment: Deployment) -> Iterator[str]:
        """Mend one deployment; gives what was put right."""
        for finding in list(verify(self.store, deployment, self._checker)):
            where = f"{deployment.id}: {finding.path}"
            try:
                if self._mend_path(deployment, finding):
                    yield where
                else:
                    self.left.append(f"{deployment.id}: {finding}, left as it is")
            except StoreError as error:
                self.left.append(error.message)

    def _mend_path(self, deployment: Deployment, finding: Finding) -> bool:
        real = f"{deployment.path}{finding.path}"
        if finding.wrong in (Wrong.EXTRA, Wrong.UNKNOWN):
            return False
        if finding.meta is not None:
            mending.dress(real, finding.meta)
            return True
        if finding.file is None or not is_whole(self.store, Kind.FILE, finding.file, self._checker):
            return False
        mending.relink(self.store, finding.file, real)
        return True


def _whole_files(
    store: Store, deployment: Deployment, wanted: set[bytes], checker: Checker
) -> Iterator[tuple[bytes, str]]:
    """Deployed files that are one of the objects in `wanted`, as far as the tree can be read."""
    try:
        from rpmtree.ostree.tree import load

        commit = store.commit(bytes.fromhex(deployment.checksum))
        root = load(store, commit.tree, commit.meta)
    except StoreError:
        return
    for where, directory in root.walk():
        for name, checksum in directory.files.items():
            if checksum in wanted:
                path = f"{deployment.path}/{where}/{name}"
                try:
                    if checker.is_file(path, checksum):
                        yield checksum, path
                except OSError:
                    continue
