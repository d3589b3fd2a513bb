# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be true of a sysroot, whatever happened to it: read without the code that is judged where that matters.

    check_bootable(sysroot)        at every moment: what the boot loader is told leads to whole deployments
    check_left_nothing(sysroot)    after a command: what is there is needed by something, and nothing is damaged
    state_of(sysroot)              to be compared: what is deployed in which order, all branches, all objects

All raise Wrong, which says what is wrong. Sysroots are not booted.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from layering.commits import package_list
from rpmtree import command
from rpmtree.ostree import tree
from rpmtree.ostree.bases import PACKAGES, base_of
from rpmtree.ostree.objects import FileMeta, Kind, file_header, parse_dirmeta
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.paths import local_ref, ref_of
from rpmtree.rpm.database import read_records
from rpmtree.rpm.package import nevra_of
from rpmtree.rpm.signatures import read_header_blob

_HEX = re.compile(r"[0-9a-f]{64}")
_DATABASE = "usr/share/rpm/rpmdb.sqlite"
#: What libostree keeps for itself.
_OWN_BRANCHES = re.compile(r"heads/ostree/[01]/[01]/\d+")


class Wrong(AssertionError):
    """What a sysroot must not be."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A deployment as files say it is: stateroot, commit, its origin file."""

    osname: str
    checksum: str
    origin: str


@dataclass(frozen=True, slots=True)
class State:
    """What an admin asked for and got, and what is kept for it."""

    entries: tuple[Entry, ...]
    refs: frozenset[tuple[str, str]]
    objects: frozenset[str]

    @property
    def deployed(self) -> tuple[tuple[str, str], ...]:
        return tuple((entry.checksum, entry.origin) for entry in self.entries)


def state_of(sysroot: Path) -> State:
    """The state of a sysroot; branches that libostree keeps for itself are left out, for their names alternate."""
    repo = sysroot / "ostree/repo"
    refs = frozenset(item for item in branches(repo).items() if not _OWN_BRANCHES.fullmatch(item[0]))
    objects = frozenset(str(path.relative_to(repo / "objects")) for path in (repo / "objects").glob("*/*"))
    return State(tuple(entry for entry, _ in entries(sysroot)), refs, objects)


def branches(repo: Path) -> dict[str, str]:
    """All branches with what they name: `heads/…`, `remotes/NAME/…`."""
    found = {}
    for where, _, names in os.walk(repo / "refs"):
        for name in names:
            path = Path(where, name)
            if path.is_symlink():
                continue
            text = path.read_text().strip()
            if not _HEX.fullmatch(text):
                raise Wrong(f"{path} names no commit: {text!r}")
            found[str(path.relative_to(repo / "refs"))] = text
    return found


def entries(sysroot: Path) -> list[tuple[Entry, Path]]:
    """What the boot loader is told, in its order, followed to the deployments' directories."""
    found = []
    for path in (sysroot / "boot/loader/entries").glob("*.conf"):
        said = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
        link = next((word for word in said["options"].split() if word.startswith("ostree=")), None)
        if link is None:
            raise Wrong(f"{path} names no deployment")
        place = sysroot / link.removeprefix("ostree=/")
        deployed = place.resolve()
        if not place.is_symlink() or not deployed.is_dir():
            raise Wrong(f"{path} leads to {place}, which is not there")
        checksum, _, _ = deployed.name.partition(".")
        for key in ("linux", "initrd"):
            if key in said and not (sysroot / "boot" / said[key].lstrip("/").removeprefix("boot/")).is_file():
                raise Wrong(f"{path}: {key} {said[key]} is not there")
        kernel = sysroot / "boot" / said["linux"].lstrip("/").removeprefix("boot/")
        there = [digest(path) for path in deployed.glob("usr/lib/modules/*/vmlinuz")]
        if digest(kernel) not in there:
            raise Wrong(f"{path} boots a kernel that {deployed} has not got")
        origin = deployed.with_name(f"{deployed.name}.origin")
        if not origin.is_file():
            raise Wrong(f"{origin} is not there")
        entry = Entry(deployed.parent.parent.name, checksum, origin.read_text())
        found.append((int(said["version"]), entry, deployed))
    return [(entry, path) for _, entry, path in sorted(found, key=lambda item: -item[0])]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_bootable(sysroot: Path) -> None:
    """See that the machine would boot, now, without repair, and that libostree can read what there is."""
    status = command.run(["ostree", "admin", "status", f"--sysroot={sysroot}"], check=False)
    if status.status != 0:
        raise Wrong(f"ostree admin status: {status.stderr.decode()}")
    found = entries(sysroot)
    if not found:
        raise Wrong("there is nothing to boot")
    listed = re.findall(r"^[* ] (\S+) ([0-9a-f]{64})\.\d+", status.stdout.decode(), re.M)
    if listed != [(entry.osname, entry.checksum) for entry, _ in found]:
        raise Wrong(f"the boot loader and libostree disagree: {found} {listed}")
    reader = _Reader(sysroot / "ostree/repo")
    for entry, path in found:
        reader.check_deployment(entry.checksum, path)
    for name, checksum in branches(sysroot / "ostree/repo").items():
        if not is_arriving(sysroot / "ostree/repo", name, checksum):
            reader.read(checksum)


def is_arriving(repo: Path, name: str, checksum: str) -> bool:
    """Whether a branch has the name aside of a commit whose content is still to come, which libostree knows.

    Nothing may be left of that after a command.
    """
    partial = repo / "state" / f"{checksum}.commitpartial"
    return re.match(r"remotes/[^/]+\.strata-incoming/", name) is not None and partial.exists()


def check_left_nothing(sysroot: Path) -> None:
    """See that all is whole, and that nothing is there which nobody needs. The file system may hold nothing else."""
    check_bootable(sysroot)
    repo = sysroot / "ostree/repo"
    for verb in (["fsck", "--quiet"], ["prune", "--refs-only", "--no-prune"]):
        done = command.run(["ostree", *verb, f"--repo={repo}"], check=False)
        if done.status != 0 or b"Would delete" in done.stdout:
            raise Wrong(f"ostree {verb[0]}: {done.stdout.decode()}{done.stderr.decode()}")
    found = entries(sysroot)
    _check_names(sysroot, found)
    _check_branches(repo, found)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if left := [place for place in mounts if place.startswith(f"{sysroot}/")]:
        raise Wrong(f"still mounted: {left}")


def _check_names(sysroot: Path, found: list[tuple[Entry, Path]]) -> None:
    """Directories that a killed command may have left: in the repository, beside the deployments, in /boot."""
    repo, boot = sysroot / "ostree/repo", sysroot / "boot"
    left = [path for path in (repo / "tmp").iterdir() if path.name != "cache"]
    left += [path for path in (repo / "extensions").glob("*") if path.name != "rpmostree"]
    left += list((repo / "state").glob("*"))
    left += list(repo.glob("refs/**/.*"))
    wanted = {path for _, path in found}
    wanted |= {path.with_name(f"{path.name}.origin") for path in wanted}
    left += [path for path in (sysroot / "ostree/deploy").glob("*/deploy/*") if path.resolve() not in wanted]
    kernels = {Path(line.split()[1]).parent.name for entry in (boot / "loader/entries").iterdir()
               for line in entry.read_text().splitlines() if line.startswith("linux ")}  # fmt: skip
    left += [path for path in (boot / "ostree").iterdir() if path.name not in kernels]
    current = os.readlink(boot / "loader")
    left += [path for path in boot.iterdir() if path.name not in {"loader", "ostree", "lost+found", current, "boot"}]
    version = current.removeprefix("loader.")
    known = {"repo", "deploy", "strata.lock", "lock", f"boot.{version}"}
    known.add(os.readlink(sysroot / f"ostree/boot.{version}"))
    left += [path for path in (sysroot / "ostree").iterdir() if path.name not in known]
    left += sysroot.glob("ostree/deploy/*/var/**/*.strata-new")
    if left:
        raise Wrong(f"left behind: {sorted(str(path.relative_to(sysroot)) for path in left)}")


def _check_branches(repo: Path, found: list[tuple[Entry, Path]]) -> None:
    """Each deployment's base and packages have branches, and no others are there."""
    store = Store(repo)
    present = branches(repo)
    bases, packages = set(), set()
    for entry, _ in found:
        raw = bytes.fromhex(entry.checksum)
        value = store.commit(raw)
        if (base := base_of(raw, value)) != raw:
            bases.add(base.hex())
            packages.update(ref_of(nevra.name, nevra.evra) for nevra in package_list(value) or ())
        packages.update(map(local_ref, re.findall(r"\b([0-9a-f]{64}):", entry.origin)))
    if bases != {checksum for ref, checksum in present.items() if ref.startswith("heads/rpmostree/base/")}:
        raise Wrong(f"branches of bases: {present}, and {bases} are wanted")
    prefixes = tuple(f"heads/{prefix}/" for prefix in PACKAGES)
    if stray := {ref for ref in present if ref.startswith(prefixes) and ref.removeprefix("heads/") not in packages}:
        raise Wrong(f"packages that nobody uses: {sorted(stray)}")
    own = sorted(checksum for ref, checksum in present.items() if _OWN_BRANCHES.fullmatch(ref))
    if set(own) != {entry.checksum for entry, _ in found}:
        raise Wrong(f"libostree's branches: {own}")


class _Reader:
    """The objects of a repository, each read and checked once."""

    def __init__(self, repo: Path) -> None:
        self._store = Store(repo)
        self._files: set[bytes] = set()
        self._read: dict[str, Directory] = {}

    def read(self, checksum: str) -> Directory:
        """The tree of a commit, all whose objects are there and are what they are called."""
        if checksum not in self._read:
            commit = self._store.commit(bytes.fromhex(checksum))
            root = tree.load(self._store, commit.tree, commit.meta)
            for _, directory in root.walk():
                for content in directory.files.values():
                    self._check(content)
            self._read[checksum] = root
        return self._read[checksum]

    def _check(self, content: bytes) -> None:
        if content not in self._files:
            path = self._store.object_path(Kind.FILE, content)
            if content_checksum(path) != content:
                raise Wrong(f"{path} is missing or damaged")
            self._files.add(content)

    def check_deployment(self, checksum: str, path: Path) -> None:
        """See that a deployment is its commit: names, content, owners, modes, xattrs; and its rpm database too."""
        commit = self._store.commit(bytes.fromhex(checksum))
        root = self.read(checksum)
        for where, directory in root.dirs["usr"].walk("usr"):
            place = path / where
            names = {*directory.files, *directory.dirs}
            if set(os.listdir(place)) != names:
                raise Wrong(f"{place} holds {sorted(names ^ set(os.listdir(place)))} more or less than its commit")
            found = place.lstat()
            if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != parse_dirmeta(directory.meta):
                raise Wrong(f"{place}: mode or owner")
            for name, content in directory.files.items():
                deployed, stored = os.lstat(place / name), os.lstat(self._store.object_path(Kind.FILE, content))
                same = (deployed.st_ino, deployed.st_dev) == (stored.st_ino, stored.st_dev)
                if not same and content_checksum(f"{place}/{name}") != content:
                    raise Wrong(f"{place / name} is not what its commit says")
        if not (path / "etc").is_dir():
            raise Wrong(f"{path} has no /etc")
        listed = package_list(commit)
        if listed is not None:
            there = sorted(str(nevra_of(read_header_blob(found.header))) for found in read_records(path / _DATABASE))
            if there != sorted(map(str, listed)):
                raise Wrong(f"{path}: the rpm database has {there}, the commit {listed}")


def content_checksum(path: str) -> bytes | None:
    """The checksum that a file or link would have as an object; None where there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
    names = sorted(name for name in os.listxattr(path, follow_symlinks=False))
    xattrs = tuple((name.encode(), os.getxattr(path, name, follow_symlinks=False)) for name in names)
    known = hashlib.sha256(file_header(FileMeta(found.st_mode, found.st_uid, found.st_gid, target, xattrs)))
    if not target:
        known.update(Path(path).read_bytes())
    return known.digest()
