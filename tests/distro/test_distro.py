# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded distributions as rpm and dnf see them: what they must hold, and that it installs cleanly."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import rpm as librpm

from rpmtree.rpm.comps import read_groups
from tests.conftest import TOP
from tests.distro.build import fingerprint
from tests.distro.lock import RELEASES, Release
from tests.end_to_end import granite

pytestmark = pytest.mark.needs("root", "rpm", "dnf", "rpm:", "createrepo_c:")
GROUPS = ["core", "client", "tools"]
#: Files that scriptlets write to: accounts by useradd, shells by %post and %triggerin.
CHANGED = {"/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/etc/shells"}
STATES = [(release, state) for release in RELEASES for state in release.states]


def headers(directory: Path) -> dict[str, librpm.hdr]:
    """Package name → header of each RPM of a repository, digests checked."""
    transaction = librpm.TransactionSet()
    transaction.setVSFlags(librpm.RPMVSF_MASK_NOSIGNATURES)
    found = {}
    for path in sorted(directory.glob("Packages/*.rpm")):
        with path.open("rb") as stream:
            header = transaction.hdrFromFdno(stream.fileno())
        found[header["name"]] = header
    return found


@pytest.fixture(scope="module")
def made(distro: Path) -> dict[str, dict[str, librpm.hdr]]:
    """State → package name → header."""
    return {state: headers(distro / release.name / state) for release, state in STATES}


@pytest.fixture(scope="module")
def root(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of Granite 12.0 installed by dnf, with gpgcheck."""
    top = tmp_path_factory.mktemp("distro")
    wanted = members(distro / "granite-12/12.0")
    granite.install(wanted, granite.repositories(distro, top / "repos"), "granite-12.0", top / "root")
    return top / "root"


def members(repository: Path) -> list[str]:
    """The packages of all groups. Not asked of dnf: Python 3.13 sees no group of libcomps 0.1.21's."""
    groups = read_groups(sorted((repository / "repodata").glob("*comps.xml")))
    return [name for group in GROUPS for name in groups.packages[group]]


def rpm(*argv: str, check: bool = True) -> str:
    return subprocess.run(["rpm", *argv], capture_output=True, text=True, check=check, timeout=200).stdout


def test_what_is_installed_verifies(root: Path) -> None:
    lines = rpm("--root", str(root), "--define", f"_dbpath /{granite.RPMDB}", "-Va", check=False).splitlines()
    assert {line.split()[-1] for line in lines} == CHANGED
    assert len(rpm("--root", str(root), "--define", f"_dbpath /{granite.RPMDB}", "-qa").splitlines()) >= 220


def test_verification_sees_a_change(root: Path) -> None:
    path = root / "usr/bin/tree"
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    try:
        assert "/usr/bin/tree" in rpm(
            "--root", str(root), "--define", f"_dbpath /{granite.RPMDB}", "-V", "tree", check=False
        )
    finally:
        path.write_bytes(content)


def test_scriptlets_had_their_effects(root: Path) -> None:
    shells = (root / "etc/shells").read_text().split()
    assert "/bin/bash" in shells, "Lua %post"
    assert "/usr/bin/tmux" in shells, "%triggerin"
    assert (root / "etc/ld.so.cache").stat().st_size > 1000, "%transfiletriggerin"
    assert (root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 50, "%posttrans"
    assert (root / "bin").is_symlink(), "Lua %pretrans"
    assert "render:x:106:" in (root / "etc/group").read_text(), "systemd-sysusers by a file trigger"
    assert "sshd:x:74:" in (root / "etc/passwd").read_text(), "useradd in %pre"
    assert "security.capability" in os.listxattr(root / "usr/bin/ping")
    helper = (root / "usr/lib/dbus-1.0/dbus-daemon-launch-helper").stat()
    assert stat.S_IMODE(helper.st_mode) == 0o4754
    assert f"messagebus:x:{helper.st_gid}:" in (root / "etc/group").read_text()
    assert (root / "usr/bin/gunzip").stat().st_ino == (root / "usr/bin/uncompress").stat().st_ino


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_packages_are_signed_and_whole(distro: Path, tmp_path: Path, release: Release) -> None:
    packages = [str(path) for path in sorted((distro / release.name / "packages").glob("*.rpm"))]
    database = ["--define", f"_dbpath {tmp_path}"]
    unknown = rpm(*database, "-K", *packages[:1], check=False)
    assert "SIGNATURES NOT OK" in unknown
    subprocess.run(["rpmkeys", *database, "--import", distro / release.name / f"RPM-GPG-KEY-{release.id}"], check=True)
    lines = rpm(*database, "-K", *packages).splitlines()
    assert len(lines) == len(packages) >= 240
    assert [line for line in lines if not line.endswith("digests signatures OK")] == []


FEATURES: dict[str, Callable[[librpm.hdr], object]] = {
    "shell %pre": lambda h: h["prein"] and h["preinprog"] == ["/bin/sh"],
    "shell %post": lambda h: h["postin"] and h["postinprog"] == ["/bin/sh"],
    "%posttrans": lambda h: h["posttrans"],
    "Lua %post": lambda h: h["postinprog"] == ["<lua>"],
    "Lua %pretrans": lambda h: h["pretransprog"] == ["<lua>"],
    "ldconfig's %transfiletriggerin": lambda h: any("ldconfig" in body for body in h["transfiletriggerscripts"]),
    "%triggerin": lambda h: any(flags & 1 << 16 for flags in h["triggerflags"]),
    "%preun and %postun": lambda h: h["preun"] and h["postun"],
    "sysusers": lambda h: any(path.startswith("/usr/lib/sysusers.d/") for path in h["filenames"]),
    "capabilities": lambda h: any(h["filecaps"]),
    "setuid": lambda h: any(mode & 0o4000 for mode in h["filemodes"]),
    "groups": lambda h: set(h["filegroupname"]) - {"root"},
    "hardlinks": lambda h: len(set(h["fileinodes"])) < len(h["fileinodes"]),
    "%config": lambda h: any(flags & 1 for flags in h["fileflags"]),
    "%doc": lambda h: any(flags & 2 for flags in h["fileflags"]),
    "%ghost": lambda h: any(flags & 64 for flags in h["fileflags"]),
    "%license": lambda h: any(flags & 128 for flags in h["fileflags"]),
    "languages": lambda h: {"de", "fr"} <= set(h["filelangs"]),
    "linked directories": lambda h: "usr/lib" in h["filelinktos"],
    "epoch": lambda h: h["epoch"],
    "~ in a version": lambda h: "~" in h["evr"],
    "rich dependencies": lambda h: any(name.startswith("(") for name in h["requirename"]),
    "weak dependencies": lambda h: h["recommendname"] and h["suggestname"],
    "Requires(pre)": lambda h: any(flags & 512 for flags in h["requireflags"]),
    "a kernel": lambda h: any(re.fullmatch(r"/usr/lib/modules/[^/]+/vmlinuz", path) for path in h["filenames"]),
}  # fmt: skip


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_there_for_real(made: dict[str, dict[str, librpm.hdr]], release: Release, feature: str) -> None:
    assert any(FEATURES[feature](header) for header in made[release.states[0]].values())


@pytest.mark.parametrize(("release", "index"), [(r, i) for r in RELEASES for i in range(1, len(r.states))],
                         ids=lambda value: getattr(value, "name", str(value)))  # fmt: skip
def test_each_state_moves_on(made: dict[str, dict[str, librpm.hdr]], release: Release, index: int) -> None:
    old, new = made[release.states[index - 1]], made[release.states[index]]
    both = old.keys() & new.keys()
    # Releases of two states lose and gain in one step; newer ones must sort higher for rpm.
    assert old.keys() - new.keys()
    assert new.keys() - old.keys()
    steps = [librpm.versionCompare(new[name], old[name]) for name in both]
    assert steps.count(1) >= 4
    assert -1 not in steps


@pytest.mark.parametrize(("release", "state"), STATES, ids=lambda value: value if isinstance(value, str) else value.id)
def test_everything_in_a_state_can_be_installed(distro: Path, tmp_path: Path, release: Release, state: str) -> None:
    import dnf

    with dnf.Base() as base:
        base.conf.installroot, base.conf.cachedir = str(tmp_path), str(tmp_path / "cache")
        base.conf.logdir, base.conf.reposdir = str(tmp_path), []
        base.conf.releasever = release.version
        base.repos.add_new_repo("state", base.conf, baseurl=[f"file://{distro / release.name / state}"])
        base.fill_sack(load_system_repo=False)
        for name in members(distro / release.name / state):
            base.install(name)
        assert base.resolve()
        assert len(base.transaction.install_set) >= 300
    librpm.reloadConfig()


def test_an_advisory_names_what_is_newer(distro: Path) -> None:
    text = next((distro / "granite-12/12.1/repodata").glob("*updateinfo.xml")).read_text()
    assert '<package name="powerline"' in text
    assert "CVE-" in text
    assert not list((distro / "granite-12/12.0/repodata").glob("*updateinfo.xml"))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_making_it_again_changes_nothing(distro: Path, tmp_path: Path, release: Release) -> None:
    there = tmp_path / release.name
    there.mkdir()
    shutil.copy(distro / release.name / ".stamp", there)
    assert (there / ".stamp").read_text() == fingerprint(release), "`make distro` is due"
    # Were anything to be made, the directory would be replaced; and there is no network to make it from.
    before = there.stat().st_ino
    argv = [sys.executable, "-m", "tests.distro", release.name, f"--output={tmp_path}"]
    subprocess.run(argv, cwd=TOP, check=True, timeout=20, stderr=subprocess.DEVNULL)
    assert there.stat().st_ino == before
    assert os.listdir(there) == [".stamp"]
