# SPDX-License-Identifier: GPL-2.0-or-later
"""Granite 12 composed, checked out and entered; and what dnf makes of the same packages."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rpmtree import command
from tests.end_to_end.shale import COMPOSE, ostree

RPMDB = "usr/share/rpm"
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "home": "var/home",
          "root": "var/roothome", "srv": "var/srv", "mnt": "var/mnt", "media": "run/media", "opt": "var/opt",
          "tmp": "sysroot/tmp"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """A commit, and its checkout, which shares inodes with the repository: never write to it."""

    repo: Path
    ref: str
    tree: Path

    def packages(self) -> list[str]:
        """Sorted `name-epoch:version-release.arch`, from the commit's metadata."""
        text = ostree(self.repo, "show", "--print-metadata-key=rpmostree.rpmdb.pkglist", self.ref)
        rows = ast.literal_eval(text.removeprefix("@a(sssss) "))
        return sorted(f"{name}-{epoch}:{version}-{release}.{arch}" for name, epoch, version, release, arch in rows)

    def run(self, *argv: str, status: int = 0) -> str:
        """What a program of the image prints, in a box where /usr and /etc are read-only as on a machine.

        /var is empty but for what tmpfiles.d makes there, if argv does that.
        """
        mounts = ["--ro-bind", f"{self.tree}/usr", "/usr", "--ro-bind", f"{self.tree}/usr/etc", "/etc"]
        mounts += ["--ro-bind", f"{self.tree}/boot", "/boot", "--dev", "/dev", "--proc", "/proc", "--dir", "/sys"]
        mounts += ["--tmpfs", "/var", "--tmpfs", "/run", "--perms", "1777", "--tmpfs", "/sysroot/tmp"]
        for name, target in _LINKS.items():
            mounts += ["--symlink", target, f"/{name}"]
        box = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent", "--clearenv"]
        box += ["--setenv", "PATH", "/usr/sbin:/usr/bin", "--setenv", "LANG", "C.UTF-8"]
        done = command.run([*box, *mounts, "--", *argv], check=False)
        text = done.stdout.decode()
        assert done.status == status, f"{argv} ended with {done.status}: {text} {done.stderr.decode()}"
        return text


def compose(treefile: Path, top: Path, ref: str) -> Image:
    """Compose into an empty bare repository below `top`, check that with fsck, and check the commit out."""
    repo = compose_into(treefile, top)
    ostree(repo, "fsck", "--quiet")
    return check_out(repo, ref, top / "tree")


def compose_into(treefile: Path, top: Path) -> Path:
    """Compose into an empty bare repository below `top`, which it gives. What else was needed is gone."""
    repo = top / "repo"
    ostree(repo, "init", "--mode=bare")
    done = command.run([str(COMPOSE), "tree", f"--repo={repo}", str(treefile)], check=False)
    assert done.status == 0, done.stderr.decode()
    return repo


def check_out(repo: Path, ref: str, tree: Path) -> Image:
    ostree(repo, "checkout", "-H", ref, str(tree))
    return Image(repo, ref, tree)


def install(packages: Sequence[str], repositories: Path, repo: str, root: Path) -> None:
    """Install packages with dnf into `root`, with gpgcheck, all documentation and all languages."""
    home = root.parent / "dnf-home"
    home.mkdir()
    root.mkdir()
    # rpm reads it from the home directory: the only place that dnf does not reset.
    (home / ".rpmmacros").write_text(f"%_dbpath /{RPMDB}\n")
    settings = ["gpgcheck=1", "plugins=0", "best=1", "install_weak_deps=1", f"reposdir={repositories}"]
    # Below the installroot: the dots lead out of it.
    settings += ["cachedir=/../dnf-cache", "logdir=/../dnf-log"]
    (home / "dnf.conf").write_text("\n".join(["[main]", *settings, ""]))
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    environment = ["env", "-i", f"PATH={path}", "LANG=C.UTF-8", f"HOME={home}", "SOURCE_DATE_EPOCH=1700000000"]
    options = [f"--config={home / 'dnf.conf'}", f"--installroot={root}", "--releasever=12", "--assumeyes", "--quiet"]
    options.append(f"--repo={repo}")
    # In a mount namespace of its own: scripts of packages run in a plain chroot.
    done = command.run([*environment, "unshare", "-m", "dnf", *options, "install", *packages], check=False)
    assert done.status == 0, done.stderr.decode()[-4000:]


def repositories(distro: Path, where: Path) -> Path:
    """A directory with Granite's .repo file, for treefiles to stand in."""
    where.mkdir(parents=True)
    shutil.copy(distro / "granite-12/granite.repo", where)
    return where
