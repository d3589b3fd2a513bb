# SPDX-License-Identifier: GPL-2.0-or-later
"""From a lock to a distribution on disk: download, convert, sign, one repository a release state, a .repo file.

    OUTPUT/granite-12/packages/*.rpm      every version, once
    OUTPUT/granite-12/12.0/               a repository; its RPMs are hardlinks
    OUTPUT/granite-12/granite.repo        [granite] is the last state; [granite-12.0] … each state
    OUTPUT/granite-12/RPM-GPG-KEY-granite
    OUTPUT/granite-12/differences.txt     what the archive no longer had, and what stands in

The whole is made under a temporary name and renamed; `.stamp` in it says of what it was made. Where only this
project's own source has changed since, the other packages (`.made` lists them) are taken over.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.distro import deb, lock, names, own, selinux, strata
from tests.distro.archive import Archive, Stanza, deb_path
from tests.distro.convert import Context, bumped, convert
from tests.distro.versions import clauses
from tests.support import openpgp, repodata, rpms, rpmvalues, rpmwriter
from tests.support.repodata import Advisory, write_repodata
from tests.support.rpmvalues import Package
from tests.support.rpmwriter import write_rpm

#: Packages of which the archive has one version only: rebuilt with a higher release from a state on.
BUMPS: Mapping[str, int] = {"powerline": 1, "python3-powerline": 1, "tree": 1, "htop": 2}


@dataclass(frozen=True, slots=True)
class Made:
    """An RPM on disk: the state from which on it is in the distribution."""

    name: str
    state: int
    path: Path


def build(release: lock.Release, output: Path) -> Path:
    """Make `release` below `output` unless it is there, made of the same things; gives its directory."""
    where = output / release.name
    stamp = fingerprint(release)
    if _read(where / ".stamp") == stamp:
        say(f"{release.name} is up to date")
        return where
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    key = openpgp.Key.load_or_make(output / ".key.json", "Strata embedded distributions <distro@localhost>")
    work = output / f".{release.name}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "packages").mkdir(parents=True)
    if _read(where / ".stamp").partition("\n")[0] == stamp.partition("\n")[0]:
        made = _taken_over(where, work)
    else:
        made = _made(release, output, work, key)
    say(f"{release.name}: {len(made)} RPMs after {time.monotonic() - started:.1f} s")
    made += _strata(release, made, work, key)
    for index, state in enumerate(release.states):
        _repository(release, state, index, made, work)
    _repo_file(release, where.absolute(), work, key)
    (work / ".stamp").write_text(stamp)
    shutil.rmtree(where, ignore_errors=True)
    work.rename(where)
    say(f"{release.name}: made in {time.monotonic() - started:.1f} s at {where}")
    return where


def _made(release: lock.Release, output: Path, work: Path, key: openpgp.Key) -> list[Made]:
    """All packages but this project's own."""
    pinned, differences = fetch(release, output)
    for line in differences:
        say(f"warning: {line}")
    say(f"{release.name}: {len(pinned)} packages fetched")
    made = [
        *_converted(release, output, pinned, work, key),
        *_own(release, output, pinned, work, key),
        *_policy(release, output, pinned, work, key),
    ]
    (work / "differences.txt").write_text("".join(f"{line}\n" for line in differences))
    (work / ".made").write_text("".join(f"{item.state} {item.name} {item.path.name}\n" for item in made))
    return made


def _taken_over(where: Path, work: Path) -> list[Made]:
    """The same, of an earlier run."""
    for name in ("differences.txt", ".made"):
        shutil.copy(where / name, work)
    lines = [line.split() for line in (work / ".made").read_text().splitlines()]
    for name in {name for _, _, name in lines}:  # one that stands in for another may be listed twice
        os.link(where / "packages" / name, work / "packages" / name)
    return [Made(name, int(state), work / "packages" / file) for state, name, file in lines]


def _strata(release: lock.Release, made: Sequence[Made], work: Path, key: openpgp.Key) -> list[Made]:
    """Our own packages, as old as the oldest of the others that are made here: no image is newer by them."""
    filesystem = next(item.path for item in made if item.name == "filesystem")
    argv = ["rpm", "-qp", "--nosignature", "--queryformat", "%{BUILDTIME}", str(filesystem)]
    epoch = int(subprocess.run(argv, capture_output=True, check=True).stdout)
    first = work / ".first"
    _repository(release, release.states[0], 0, made, first)
    dist = f".{release.id}{release.version}"
    paths = strata.build(first / release.states[0], dist, epoch, key, work / "packages")
    shutil.rmtree(first)
    return [Made(path.name.rsplit("-", 2)[0], 0, path) for path in paths]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def fingerprint(release: lock.Release) -> str:
    """Two lines: a digest of the distribution's lock and the programs that make it, and one of this project."""
    digest = hashlib.sha256(release.lock_path.read_bytes())
    modules = [openpgp, repodata, rpms, rpmvalues, rpmwriter]
    sources = [*Path(__file__).parent.glob("*.py"), *(Path(str(module.__file__)) for module in modules)]
    for path in sorted(path for path in sources if not path.name.startswith("test_")):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()}\n{strata.digest()}\n"


def fetch(release: lock.Release, output: Path) -> tuple[list[tuple[lock.Pin, Stanza]], list[str]]:
    """The archive's indexes and every pinned .deb, in OUTPUT/.debs; also what had to be replaced."""
    archive = Archive(release.suite, output / ".apt" / release.suite)
    archive.update()
    pinned, differences = lock.resolve(lock.read(release.lock_path), archive)
    archive.download([stanza for _, stanza in pinned], output / ".debs")
    return pinned, differences


def _converted(
    release: lock.Release, output: Path, pinned: Sequence[tuple[lock.Pin, Stanza]], work: Path, key: openpgp.Key
) -> list[Made]:
    context = _context(release, pinned)
    jobs = [
        (pin.state, deb_path(output / ".debs", stanza), context, work / "packages", key, _bump(pin, pinned, release))
        for pin, stanza in pinned
        if pin.name not in names.VANISHED and pin.name != selinux.POLICY
    ]
    # The big ones first, so that both processes end together.
    jobs.sort(key=lambda job: -job[1].stat().st_size)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return [made for some in pool.imap_unordered(_convert_one, jobs) for made in some]


def _context(release: lock.Release, pinned: Sequence[tuple[lock.Pin, Stanza]]) -> Context:
    provided = (clause[0] for _, stanza in pinned for clause in clauses(stanza.get("Provides", "")))
    return Context(frozenset(item.name for item in provided if not item.operator), f"{release.id.capitalize()} project")


def _bump(pin: lock.Pin, pinned: Iterable[tuple[lock.Pin, Stanza]], release: lock.Release) -> int | None:
    """The state from which on a rebuild of this package is there, if Debian itself has no newer one."""
    state = BUMPS.get(pin.name)
    alone = sum(other.name == pin.name for other, _ in pinned) == 1
    return state if state is not None and alone and state < len(release.states) else None


def _convert_one(job: tuple[int, Path, Context, Path, openpgp.Key, int | None]) -> list[Made]:
    state, source, context, directory, key, bump = job
    package = convert(deb.read(source), context)
    made = [Made(package.name, state, write_rpm(directory, package, key=key))]
    if bump is not None:
        made.append(Made(package.name, bump, write_rpm(directory, bumped(package), key=key)))
    return made


def _own(
    release: lock.Release, output: Path, pinned: Sequence[tuple[lock.Pin, Stanza]], work: Path, key: openpgp.Key
) -> list[Made]:
    taken = {
        pin.name: deb.read(deb_path(output / ".debs", stanza))
        for pin, stanza in pinned
        if pin.name in names.TAKEN_APART
    }
    base, accounts = taken["base-files"].files, taken["base-passwd"].files
    when = max(package.build_time for package in taken.values())
    passwd, group = (accounts[f"/usr/share/base-passwd/{name}.master"].content.decode() for name in ("passwd", "group"))
    profile = base["/usr/share/base-files/profile"].content.decode()
    licenses = {path: item for path, item in base.items() if path.startswith("/usr/share/common-licenses")}
    packages: list[tuple[int, Package]] = [
        (0, replace(own.filesystem(when), files={**own.filesystem(when).files, **licenses})),
        (0, own.setup(passwd, group, profile, when)),
        *((i, own.release_package(release, state, when + i)) for i, state in enumerate(release.states)),
    ]
    return [Made(package.name, state, write_rpm(work / "packages", package, key=key)) for state, package in packages]


def _policy(
    release: lock.Release, output: Path, pinned: Sequence[tuple[lock.Pin, Stanza]], work: Path, key: openpgp.Key
) -> list[Made]:
    """The SELinux policy, where the distribution has one."""
    debs = {pin.name: deb_path(output / ".debs", stanza) for pin, stanza in reversed(pinned)}
    if selinux.POLICY not in debs:
        return []
    kept = output / ".selinux"
    kept.mkdir(exist_ok=True)
    converted = convert(deb.read(debs[selinux.POLICY]), _context(release, pinned))
    package = selinux.with_policy(converted, debs, kept)
    return [Made(package.name, 0, write_rpm(work / "packages", package, key=key))]


def _repository(release: lock.Release, state: str, index: int, made: Iterable[Made], work: Path) -> None:
    """One release state: the newest of each package so far, without those whose time is over or not yet come."""
    current: dict[str, Made] = {}
    for item in sorted(made, key=lambda item: item.state):
        first, last = names.LIFETIMES.get(item.name, (0, len(release.states)))
        if item.state <= index and first <= index <= last:
            current[item.name] = item
    target = work / state / "Packages"
    target.mkdir(parents=True)
    for item in current.values():
        os.link(item.path, target / item.path.name)
    changed = sorted(name for name, item in current.items() if index and item.state == index)
    advisories = [
        Advisory(f"{release.id.upper()}-{state}:1", tuple(changed), title=f"{release.id} {state} security updates",
                 cves=(f"CVE-{release.version}-{index}",)),
    ] if changed else []  # fmt: skip
    core = [*names.BASE, "kernel", "filesystem", "setup", f"{release.id}-release"]
    groups = {"core": core, "client": [*names.CLIENT, *strata.CLIENT], "tools": names.LAYERED}
    write_repodata(
        work / state,
        [(item.path, f"Packages/{item.path.name}") for _, item in sorted(current.items())],
        groups={group: [name for name in members if name in current] for group, members in groups.items()},
        advisories=advisories,
    )


def _repo_file(release: lock.Release, where: Path, work: Path, key: openpgp.Key) -> None:
    armored = f"RPM-GPG-KEY-{release.id}"
    (work / armored).write_text(key.public_key())
    sections = [(release.id, release.states[-1]), *((f"{release.id}-{state}", state) for state in release.states)]
    text = "\n".join(
        f"[{name}]\nname={release.id.capitalize()} Linux {state}\nbaseurl=file://{where}/{state}\n"
        f"enabled={int(name == release.id)}\ngpgcheck=1\ngpgkey=file://{where}/{armored}\n"
        for name, state in sections
    )
    (work / f"{release.id}.repo").write_text(text)
