# SPDX-License-Identifier: GPL-2.0-or-later
"""The two sides of the comparison: which commands make an image, and what must be there before they run.

Ours is `compose tree` into a bare repository with a cache directory. The peer is what a user would write without
it: dnf into an installroot, then `ostree commit` into a bare repository. For both, the RPMs lie in repositories on
the same file system and are used in place, gpgcheck is on, scripts run, no initramfs is made, core.fsync is at its
default, and the file system is synced before the clock stops.

Every run has directories of its own, and nothing is removed until all runs are done: ext4 avoids inodes that were
deleted in the last minutes, and looks at them one by one for each new file. Making files then costs up to ten
times as much, and whoever runs after a big removal pays for it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import Cost, measure
from benchmarks.subject import COMPOSE, EXTRA, Subject, installed, output

_RPMDB = "usr/share/rpm"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: What package scripts, rpm and dnf write to in place. In a checkout of hard links these have to be copies,
#: or the objects of the commit would be written to.
_WRITTEN_IN_PLACE = ("etc", "var", _RPMDB)


@dataclass(frozen=True, slots=True)
class Ours:
    """Our side in the directory `work`, which `prepare` makes."""

    subject: Subject
    work: Path

    @property
    def repo(self) -> Path:
        return self.work / "repo"

    def prepare(self) -> None:
        """An empty repository; no cache at all, not even of metadata."""
        _make_repo(self.repo)

    def compose(self, treefile: Path) -> Cost:
        """Compose what `treefile` says: cold, with one package newer, or with nothing changed."""
        command = [
            COMPOSE,
            "tree",
            f"--repo={self.repo}",
            f"--cachedir={self.work / 'cache'}",
            "--allow-outside=/",
            str(treefile),
        ]
        return _measure([command, ["sync", "-f", str(self.repo)]], self.work, self.work)

    def import_all(self, jobs: Path) -> Cost:
        """Import all packages into a cache that has none."""
        store = self.work / "import"
        return _measure([[sys.executable, "-m", "benchmarks.importing", "import", str(jobs), str(store)]], self.work)

    def packages(self) -> list[str]:
        """`rpm -qa` of the newest commit."""
        database = Path(tempfile.mkdtemp(dir=self.work)) / "rpmdb"
        checkout = ["ostree", "checkout", f"--repo={self.repo}", "-U", f"--subpath=/{_RPMDB}"]
        output([*checkout, self.subject.ref, str(database)])
        return installed(database)


@dataclass(frozen=True, slots=True)
class Peer:
    """dnf and ostree in the directory `work`, which `prepare` makes."""

    subject: Subject
    work: Path

    @property
    def repo(self) -> Path:
        return self.work / "repo"

    @property
    def kept(self) -> Path:
        """The root that dnf made, as dnf leaves it."""
        return self.work / "root"

    @property
    def linked(self) -> Path:
        """A root of hard links to the objects of the last commit."""
        return self.work / "linked"

    def prepare(self, extra: Path) -> None:
        """An empty root, an empty repository, and metadata in the cache, also of the repository in `extra`.

        The cache is beside `work`, for all runs.
        """
        _make_repo(self.repo)
        settings = self.subject.settings
        # With an installroot dnf puts these directories below it: the dots keep them out of the commit.
        lines = ["[main]", "gpgcheck=1", "plugins=0", "keepcache=1", "best=1", "cachedir=/../../../dnf-cache"]
        lines += ["logdir=/../dnf-log", f"reposdir={self.subject.repo_directory},{extra}"]
        lines += [f"install_weak_deps={int(settings.get('recommends', True))}"]
        lines += [f"excludepkgs={','.join(settings.get('exclude-packages', ()))}"]
        lines += [] if settings.get("documentation", True) else ["tsflags=nodocs"]
        (self.work / "dnf.conf").write_text("\n".join([*lines, ""]))
        macros = [f"%_dbpath /{_RPMDB}"]
        if languages := settings.get("install-langs"):
            macros.append(f"%_install_langs {':'.join(languages)}")
        # rpm reads it from the home directory: it is the only place that dnf doesn't reset.
        (self.work / ".rpmmacros").write_text("\n".join([*macros, ""]))
        self.kept.mkdir()
        _measure([self._dnf(self.kept, "makecache", extra=True)], self.work, self.work)

    def cold(self) -> Cost:
        """Install everything and commit."""
        install = self._dnf(self.kept, "install", *self.subject.settings["packages"])
        return _measure([install, self._commit(self.kept), self._sync()], self.work, self.work)

    def prepare_kept(self, key: Path) -> None:
        """The key of the repository with the update is known already."""
        self._import_key(self.kept, key)

    def prepare_linked(self, key: Path) -> None:
        """Check the last commit out, so that the next one of that root is cheapest.

        `ostree commit --link-checkout-speedup` takes a file's checksum from the repository's inode numbers, so it
        is of use only where the root is made of hard links to the objects. Nobody has such a root after
        `dnf --installroot`: here it is made before the clock starts. It is quick rather than safe: a script that
        writes to a linked file in place changes the object, and with it every commit that has it.
        """
        output(["ostree", "checkout", f"--repo={self.repo}", "-H", self.subject.ref, str(self.linked)])
        for name in _WRITTEN_IN_PLACE:
            _break_links(self.linked / name)
        self._import_key(self.linked, key)

    def upgrade_kept(self, package: str) -> Cost:
        """Upgrade one package in the root as dnf left it, and commit.

        Without --link-checkout-speedup, which makes it dearer: the files are none of the repository's inodes, so
        all are digested anyway, and the repository's objects are looked through on top.
        """
        return self._upgrade(self.kept, package)

    def upgrade_linked(self, package: str) -> Cost:
        """Upgrade one package in the root of hard links, and commit; -I means that no attributes are read either."""
        return self._upgrade(self.linked, package, "--link-checkout-speedup", "-I")

    def forget_last(self) -> None:
        """Take the last commit away, and what it alone has."""
        output(["ostree", "reset", f"--repo={self.repo}", self.subject.ref, f"{self.subject.ref}^"])
        output(["ostree", "prune", f"--repo={self.repo}", "--refs-only"])

    def packages(self, root: Path) -> list[str]:
        """`rpm -qa` of a root."""
        return installed(root / _RPMDB)

    def knows_keys(self) -> bool:
        """Whether dnf has recorded a signing key, which it does when it checks the first signature by it."""
        return "gpg-pubkey-" in output(["rpm", "--dbpath", str(self.kept / _RPMDB), "-qa"])

    def _upgrade(self, root: Path, package: str, *options: str) -> Cost:
        upgrade = self._dnf(root, "upgrade", package, extra=True)
        return _measure([upgrade, [*self._commit(root), *options], self._sync()], self.work, self.work)

    def _dnf(self, root: Path, *arguments: str, extra: bool = False) -> list[str]:
        """A dnf command line; `extra` enables the repository with the update."""
        enabled = [f"--repo={name}" for name in [repo.id for repo in self.subject.repos] + [EXTRA] * extra]
        version = self.subject.settings.get("releasever", "1")
        options = [f"--config={self.work / 'dnf.conf'}", f"--installroot={root}", f"--releasever={version}"]
        return ["dnf", *options, *enabled, "--assumeyes", "--quiet", *arguments]

    def _commit(self, root: Path) -> list[str]:
        return ["ostree", "commit", f"--repo={self.repo}", f"--tree=dir={root}", f"--branch={self.subject.ref}"]

    def _sync(self) -> list[str]:
        return ["sync", "-f", str(self.repo)]

    def _import_key(self, root: Path, key: Path) -> None:
        output(["rpmkeys", "--root", str(root), "--dbpath", f"/{_RPMDB}", "--import", str(key)])


def decompress_all(jobs: Path, work: Path) -> Cost:
    """Decompress and digest all payloads in one process."""
    return _measure([[sys.executable, "-m", "benchmarks.importing", "floor", str(jobs)]], work)


def environment(home: Path) -> dict[str, str]:
    """What the commands of both sides see."""
    return {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(home)}


def key_of(extra: Path) -> Path:
    """The signing key of the repository in the directory `extra`."""
    text = next(extra.glob("*.repo")).read_text()
    return Path(urlsplit(next(line for line in text.splitlines() if line.startswith("gpgkey="))[7:]).path)


def _measure(commands: list[list[str]], home: Path, cwd: Path | None = None) -> Cost:
    """`cwd` is the project's directory unless given, for its own modules."""
    return measure(commands, env=environment(home), cwd=cwd or Path.cwd(), log=home.parent / f"{home.name}.log")


def _make_repo(repo: Path) -> None:
    repo.parent.mkdir(parents=True)
    output(["ostree", "init", f"--repo={repo}", "--mode=bare"])


def _break_links(top: Path) -> None:
    """Make every regular file at or below `top` a file of its own, the same in all else."""
    for where, _, names in os.walk(top):
        for name in names:
            path = Path(where, name)
            if path.is_symlink() or path.stat().st_nlink == 1:
                continue
            copy = path.with_name(f".{name}.copy")
            status = path.stat()
            shutil.copy2(path, copy)
            os.chown(copy, status.st_uid, status.st_gid)
            copy.chmod(status.st_mode & 0o7777)
            copy.rename(path)
