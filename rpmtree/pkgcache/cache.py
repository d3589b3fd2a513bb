# SPDX-License-Identifier: GPL-2.0-or-later
"""The package cache: a `bare` repository in which each RPM is a commit on a branch of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

from rpmtree import command, errors
from rpmtree.errors import StoreError, ToolError
from rpmtree.ostree import objects, tree
from rpmtree.ostree.bases import branches
from rpmtree.ostree.checking import Checker, is_whole
from rpmtree.ostree.mending import put_aside
from rpmtree.ostree.objects import Commit, Kind
from rpmtree.ostree.refs import read_ref, write_refs
from rpmtree.ostree.relabel import Order, label_of, relabel_all
from rpmtree.ostree.selinux import Labeller, Policy, labeller_of, packed
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.tree import Directory
from rpmtree.ostree.variant import Variant
from rpmtree.pkgcache.choices import USUAL, ImportChoices
from rpmtree.pkgcache.importer import IMPORT_VERSION, POLICY, Job, import_checked
from rpmtree.pkgcache.paths import local_ref, ref_of
from rpmtree.progress import Reporter
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.signatures import Verifier

#: So few packages, of so many bytes together, are imported in less time than it takes to start processes for them.
_FEW, _FEW_BYTES = 8, 4 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package that a root needs. `checksum` is that of the RPM file ("sha256:HEX")."""

    nevra: Nevra
    checksum: str
    gpgcheck: bool
    keys: tuple[bytes, ...]
    size: int = 0
    #: It came as a file and can't be fetched again: no other build of its name takes its branch.
    local: bool = False
    choices: ImportChoices = USUAL

    @property
    def ref(self) -> str:
        """The branch of its commit."""
        if self.local:
            return local_ref(self.checksum.partition(":")[2])
        return ref_of(self.nevra.name, self.nevra.evra, self.choices.name)

    @property
    def key_set(self) -> str:
        """A name for the keys that the package must be signed by one of; empty without gpgcheck."""
        if not self.gpgcheck:
            return ""
        return hashlib.sha256(b"\0".join(sorted(self.keys))).hexdigest()


@dataclass(frozen=True, slots=True)
class CachedPackage:
    """A package's commit in the cache."""

    nevra: Nevra
    checksum: bytes
    commit: Commit

    @property
    def header(self) -> bytes:
        """The package's header, as rpm.hdr.unload() gave it."""
        return bytes(self.commit.metadata["strata.header"].value)

    @property
    def tree(self) -> Directory:
        """The commit's tree, a new one at each call."""
        return tree.unpack(self.commit.metadata["strata.tree"].value)

    @property
    def file_checksum(self) -> str:
        """The digest of the RPM file that it was imported from ("sha256:HEX")."""
        return str(self.commit.metadata["rpmostree.repodata_checksum"].value)

    @property
    def policy(self) -> str:
        """The checksum of the policy that its files have labels of; empty where they have none."""
        found = self.commit.metadata.get(POLICY)
        return str(found.value) if found is not None else ""

    def is_labelled_by(self, policy: Policy | None) -> bool:
        """Whether its files have the labels of this policy; without one, none."""
        return self.policy == (policy.checksum if policy is not None else "")

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Paths that have no place in a deployed tree."""
        return tuple(self.commit.metadata["strata.unsupported"].value)


class PackageCache:
    """Packages in the `bare` repository of `store`. Each is read once: nobody else may change them meanwhile."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, CachedPackage | None] = {}

    def find(self, wanted: Wanted) -> CachedPackage | None:
        """The package, if it was imported from this very file, and checked as is wanted now, and no file is missing."""
        found = self._read(wanted.nevra, wanted.ref)
        if found is None or found.file_checksum != wanted.checksum:
            return None
        if wanted.gpgcheck and found.commit.metadata["strata.keys"].value != wanted.key_set:
            return None
        return found

    def named(self, nevra: Nevra) -> CachedPackage | None:
        """As `find`, the package of that name, whatever file it was imported from."""
        return self._read(nevra, ref_of(nevra.name, nevra.evra))

    def _read(self, nevra: Nevra, ref: str) -> CachedPackage | None:
        if ref not in self._known:
            self._known[ref] = self._load(nevra, ref)
        return self._known[ref]

    def _load(self, nevra: Nevra, ref: str) -> CachedPackage | None:
        checksum = None
        try:
            checksum = read_ref(self.store.path, ref)
            if checksum is None:
                return None
            commit = self.store.commit(checksum)
        except StoreError:
            if checksum is not None:  # damaged: out of the way, so that it can be imported anew
                Path(self.store.object_path(Kind.COMMIT, checksum)).unlink(missing_ok=True)
            return None
        version = commit.metadata.get("strata.import-version")
        if version is None or version.value != IMPORT_VERSION:
            return None
        found = CachedPackage(nevra, checksum, commit)
        return found if all(self.store.has(Kind.FILE, file) for file in found.tree.all_files()) else None

    def add(
        self, jobs: Sequence[tuple[Wanted, Path]], reporter: Reporter, policy: Policy | None = None
    ) -> list[CachedPackage]:
        """Import RPM files, with labels of `policy`, and make them durable; what was on their branches is gone.

        All or none: raises what the first bad one raises.
        """
        if not jobs:
            return []
        few = len(jobs) <= _FEW and sum(wanted.size for wanted, _ in jobs) <= _FEW_BYTES
        with Staging(self.store, few=few) as staging:
            if few:
                with labeller_of(policy) as labeller:
                    checksums = _import_here(staging, jobs, labeller)
            else:
                checksums = _import_all(self.store, staging, jobs, reporter, policy)
            staging.publish()
        return self._name([(wanted, checksum) for (wanted, _), checksum in zip(jobs, checksums, strict=True)])

    def relabel(self, packages: Sequence[tuple[Wanted, CachedPackage]], policy: Policy | None) -> list[CachedPackage]:
        """Give packages that are here the labels of another policy, or none, durably; as they were they are gone.

        Those that have a damaged file are left as they are, and out. Raises StoreError, ToolError.
        """
        new = []
        with Staging(self.store) as staging, labeller_of(policy) as labeller:
            orders = [_orders(staging, found, labeller) for _, found in packages]
            asked = list(dict.fromkeys(order for theirs in orders for order in theirs.values()))
            made = dict(zip(asked, relabel_all(staging, asked), strict=True))
            for (wanted, found), theirs in zip(packages, orders, strict=True):
                files = {path: done for path, order in theirs.items() if (done := made[order]) is not None}
                if len(files) == len(theirs):
                    new.append((wanted, _rewrite(staging, found, files, policy)))
            staging.publish()
        return self._name(new)

    def damaged(self, found: CachedPackage) -> list[bytes]:
        """The files of a package that are not what their names say; all are read."""
        checker, files = Checker(), found.tree.all_files()
        return [file for file in files if is_whole(self.store, Kind.FILE, file, checker) is False]

    def put_aside_damaged(self, found: CachedPackage) -> bool:
        """Take the names of a package's damaged files away, so that they can be imported anew; whether there were any.

        Raises StoreError.
        """
        damaged = self.damaged(found)
        for file in damaged:
            put_aside(self.store, Kind.FILE, file)
        if damaged:
            self._known.clear()
        return bool(damaged)

    def _name(self, new: Sequence[tuple[Wanted, bytes]]) -> list[CachedPackage]:
        """Put commits on their branches, durably; a commit that no branch names any more is gone.

        Else `ostree fsck` would go on from it to files that a kernel which runs SELinux has labelled.
        """
        refs = {wanted.ref: checksum for wanted, checksum in new}
        before = {checksum for ref in refs if (checksum := self._named(ref)) is not None}
        write_refs(self.store.path, refs)
        if left := before.difference(refs.values()):
            for checksum in left.difference(map(self._named, branches(self.store.path, ""))):
                Path(self.store.object_path(Kind.COMMIT, checksum)).unlink(missing_ok=True)
        self._known.clear()
        return [CachedPackage(wanted.nevra, checksum, self.store.commit(checksum)) for wanted, checksum in new]

    def _named(self, ref: str) -> bytes | None:
        """The checksum that a branch has; None where it is damaged, too."""
        with suppress(StoreError):
            return read_ref(self.store.path, ref)
        return None


def _orders(staging: Staging, found: CachedPackage, labeller: Labeller | None) -> dict[str, Order]:
    """What files of a package are to become, by path; those that have their label stay. Raises StoreError."""
    orders: dict[str, Order] = {}
    for where, directory in found.tree.walk():
        for name, checksum in directory.files.items():
            path = os.path.join(where, name)
            label = labeller.label_in_root(f"/{path}", staging.mode_of(checksum)) if labeller is not None else None
            # In a package without labels what there is on disk is by the kernel.
            if not found.policy or label_of(staging.path_of(checksum)) != label:
                orders[path] = checksum, label
    return orders


def _rewrite(staging: Staging, found: CachedPackage, files: Mapping[str, bytes], policy: Policy | None) -> bytes:
    """Stage the commit of a package with other files, by path; gives its checksum."""
    root = found.tree
    for where, directory in root.walk():
        directory.files = {name: files.get(os.path.join(where, name), old) for name, old in directory.files.items()}
    written = tree.write(staging, root)
    changed = {
        "strata.tree": Variant("ay", tree.pack(root)),
        POLICY: Variant("s", policy.checksum if policy is not None else ""),
    }
    metadata = {**found.commit.metadata, **changed}
    value = replace(found.commit, tree=written.tree, meta=written.meta, metadata=metadata)
    return staging.add_metadata(Kind.COMMIT, objects.commit(value))


def _import_here(staging: Staging, jobs: Sequence[tuple[Wanted, Path]], labeller: Labeller | None) -> list[bytes]:
    """Do the jobs in this process; gives commit checksums in their order."""
    keys = {wanted.key_set: wanted.keys if wanted.gpgcheck else () for wanted, _ in jobs}
    verifiers = {name: Verifier(found) for name, found in keys.items()}
    return [import_checked(_job(*job), verifiers[job[0].key_set], staging, labeller) for job in jobs]


def _job(wanted: Wanted, path: Path) -> Job:
    return Job(str(path), wanted.nevra, wanted.checksum, wanted.gpgcheck, wanted.key_set, wanted.choices)


def _import_all(
    store: Store,
    staging: Staging,
    jobs: Sequence[tuple[Wanted, Path]],
    reporter: Reporter,
    policy: Policy | None,
) -> list[bytes]:
    """Spread the jobs over worker processes, the biggest first; gives commit checksums in the jobs' order."""
    keys = {w.key_set: [base64.b64encode(key).decode() for key in w.keys] for w, _ in jobs if w.gpgcheck}
    waiting = sorted(range(len(jobs)), key=lambda at: jobs[at][0].size)
    results: dict[int, bytes] = {}
    setup = {"store": str(store.path), "staging": str(staging.directory), "keys": keys, "policy": packed(policy)}
    workers = [_Worker(setup) for _ in range(min(os.cpu_count() or 1, 4, len(jobs)))]
    try:
        with selectors.DefaultSelector() as selector:
            for worker in workers:
                worker.give(waiting.pop(), jobs)
                selector.register(worker.process.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]
            while len(results) < len(jobs):
                for ready, _ in selector.select():
                    worker = ready.data
                    results[worker.job] = worker.take(jobs)
                    reporter.advanced(len(results), len(jobs))
                    if waiting:
                        worker.give(waiting.pop(), jobs)
                    else:
                        selector.unregister(worker.process.stdout)
    finally:
        for worker in workers:
            worker.close()
    return [results[at] for at in range(len(jobs))]


class _Worker:
    """One importing process and the job it has."""

    def __init__(self, setup: Mapping[str, object]) -> None:
        # A file and not a pipe: nobody reads while it works, and a full pipe would stop it for good.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        self.process = command.spawn_own("rpmtree.pkgcache.worker", stdin=subprocess.PIPE, stderr=self._stderr.fileno())
        self.job = -1
        self._send(setup)

    def give(self, number: int, jobs: Sequence[tuple[Wanted, Path]]) -> None:
        wanted, path = jobs[number]
        self.job = number
        self._send({**asdict(_job(wanted, path)), "nevra": astuple(wanted.nevra)})

    def take(self, jobs: Sequence[tuple[Wanted, Path]]) -> bytes:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self._stderr.seek(0)
            package, said = jobs[self.job][0].nevra, command.tail(self._stderr.read())
            raise StoreError(f"the process that imports {package} died", detail=said or None)
        answer = json.loads(line)
        if "error" in answer:
            kind: type[ToolError] = getattr(errors, answer["error"])
            raise kind(answer["message"], hint=answer["hint"] or None)
        return bytes.fromhex(answer["commit"])

    def close(self) -> None:
        """End the process; one that is still at work, because another failed, is killed."""
        command.kill(self.process)
        self.process.communicate()
        self._stderr.close()

    def _send(self, value: Mapping[str, object]) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(value).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died: `take` says so, with what it wrote
