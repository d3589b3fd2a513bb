# SPDX-License-Identifier: GPL-2.0-or-later
"""What is composed: a treefile's packages as files on disk, and the same treefile with one package newer.

Below the work directory there are then `before/tree.json` and `after/tree.json`. Both include the treefile that
is measured; `after` has one more repository, with a newer build of one small package of the image.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import rpmfile
from benchmarks.measure import BenchmarkError
from benchmarks.rpmfile import Tags
from rpmtree.rpm.repos import Repo, find_repos
from tests.support.openpgp import Key
from tests.support.repodata import write_repodata
from tests.support.rpms import repo_file

COMPOSE = str(Path(sys.executable).with_name("compose"))
EXTRA = "benchmark-update"
#: The changed package is the one whose RPM's size is nearest to this.
_SMALL = 100_000


@dataclass(frozen=True, slots=True)
class Rpm:
    """A package's file; `tags` are its header's."""

    path: Path
    tags: Tags

    @property
    def name(self) -> str:
        return rpmfile.text(self.tags, rpmfile.NAME)

    @property
    def nevra(self) -> str:
        """`name-[epoch:]version-release.arch`, as rpm -qa prints it for %{NEVRA}."""
        return f"{self.name}-{rpmfile.evr(self.tags)}.{rpmfile.text(self.tags, rpmfile.ARCH)}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What both sides make. `settings` is the flattened treefile; `repos` are those it names."""

    work: Path
    settings: Mapping[str, Any]
    repos: tuple[Repo, ...]
    repo_directory: Path

    @property
    def ref(self) -> str:
        return str(self.settings["ref"])

    @property
    def before(self) -> Path:
        return self.work / "before" / "tree.json"

    @property
    def after(self) -> Path:
        return self.work / "after" / "tree.json"


def open_subject(treefile: Path, work: Path) -> Subject:
    """Read `treefile` and write `before`. Raises BenchmarkError where a repository is not a local one with gpgcheck."""
    settings = json.loads(output([COMPOSE, "tree", "--print-only", str(treefile)]))
    variables = {"releasever": str(settings.get("releasever", "")), "basearch": "x86_64", "arch": "x86_64"}
    repos = find_repos([treefile.parent], settings["repos"], variables)
    for repo in repos:
        if repo.local is None or not repo.gpgcheck or not repo.gpgkey:
            raise BenchmarkError(f"the repository {repo.id} is not a local one with gpgcheck and gpgkey")
        if not repo.local.is_dir():
            raise BenchmarkError(f"{repo.local} is not there: `make distro` makes it")
    subject = Subject(work, settings, repos, treefile.parent)
    _write_treefile(subject.before, treefile, [])
    return subject


def _write_treefile(path: Path, base: Path, repos: Sequence[str]) -> None:
    """A treefile on top of `base` that makes no initramfs: the peer makes none either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"include": str(base), "no-initramfs": True, "repos": list(repos)}))


def find_rpms(subject: Subject, nevras: Sequence[str]) -> list[Rpm]:
    """The files of the packages in an image. Raises BenchmarkError if one is not to be found."""
    found: dict[str, Rpm] = {}
    for repo in subject.repos:
        assert repo.local is not None
        for path in sorted(repo.local.rglob("*.rpm")):
            rpm = Rpm(path, rpmfile.read_tags(rpmfile.split(path.read_bytes())[0]))
            found[rpm.nevra] = rpm
    if missing := sorted(set(nevras) - found.keys()):
        raise BenchmarkError(f"no file of {missing[0]} in the repositories")
    return [found[nevra] for nevra in nevras]


def write_jobs(subject: Subject, rpms: Sequence[Rpm]) -> Path:
    """The input of `benchmarks.importing`."""
    keys = [Path(urlsplit(url).path).read_text() for repo in subject.repos for url in repo.gpgkey]
    listed = []
    for rpm in rpms:
        data = rpm.path.read_bytes()
        epoch = rpm.tags[rpmfile.EPOCH][1][0] if rpmfile.EPOCH in rpm.tags else 0
        version, release, arch = (rpm.tags[tag][1] for tag in (rpmfile.VERSION, rpmfile.RELEASE, rpmfile.ARCH))
        checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
        nevra = [rpm.name, epoch, version, release, arch]
        listed.append({"path": str(rpm.path), "nevra": nevra, "checksum": checksum, "size": len(data)})
    jobs = subject.work / "jobs.json"
    jobs.write_text(json.dumps({"keys": keys, "rpms": listed}))
    return jobs


def write_update(subject: Subject, treefile: Path, rpms: Sequence[Rpm]) -> Rpm:
    """Make the newer build, its repository, and `after`; gives the newer build."""
    chosen, changed = choose(rpms)
    after = subject.after.parent
    key = Key.load_or_make(after / "key.json", "Benchmark <benchmark@localhost>")
    data = rpmfile.bump(chosen.path.read_bytes(), changed, key)
    tags = rpmfile.read_tags(rpmfile.split(data)[0])
    newer = Rpm(after / "rpms" / f"{chosen.name}-{rpmfile.text(tags, rpmfile.RELEASE)}.rpm", tags)
    newer.path.parent.mkdir()
    newer.path.write_bytes(data)
    write_repodata(newer.path.parent, [(newer.path, newer.path.name)])
    repo_file(after / f"{EXTRA}.repo", EXTRA, newer.path.parent, gpgcheck=True, gpgkey=key)
    _write_treefile(subject.after, treefile, [EXTRA])
    return newer


def choose(rpms: Sequence[Rpm]) -> tuple[Rpm, str]:
    """The package to change, and the file in it: a small one of which no other requires this very build."""
    pinned = {name for rpm in rpms for name, version in rpmfile.exact_requires(rpm.tags) if "-" in version}
    for rpm in sorted(rpms, key=lambda rpm: (abs(rpm.path.stat().st_size - _SMALL), rpm.name)):
        files = rpmfile.plain_files(rpm.tags, "/usr/share/")
        if files and rpm.name not in pinned:
            return rpm, files[0]
    raise BenchmarkError("no package has a plain file below /usr/share that could change")


def output(argv: Sequence[str]) -> str:
    """What a command prints, outside of any measurement. Raises BenchmarkError if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"status {done.returncode}: {' '.join(argv)}\n{done.stderr}")
    return done.stdout


def installed(database: Path) -> list[str]:
    """`rpm -qa` of a database directory, but for the keys that dnf records there."""
    lines = output(["rpm", "--dbpath", str(database), "-qa", "--qf", "%{NEVRA}\\n"]).splitlines()
    return sorted(line for line in lines if not line.startswith("gpg-pubkey-"))
