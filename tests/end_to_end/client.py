# SPDX-License-Identifier: GPL-2.0-or-later
"""A small world for `layer`: releases of Shale that are composed in a second, RPM repositories over HTTP, machines.

Which commit the branch is at, and what a repository holds, is turned by hand: `publish`, `stock`, `kill`. Machines
are sysroots in which the first release is deployed; they are not booted.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rpmtree import command
from rpmtree.ostree.sysroot import Sysroot, init_fs
from tests.end_to_end.shale import NEWEST, REF, Bench, Shale, ostree
from tests.support.layer import Done, layer
from tests.support.oracle import State, check_bootable, check_left_nothing, state_of
from tests.support.rpms import Key, Package, file, make_repo, rpm, write_rpm
from tests.support.schema import SCHEMA, faults
from tests.support.sysroots import make_mutable
from tests.support.webserver import Site, serve

KEY_PATH = "/etc/pki/rpm-gpg/RPM-GPG-KEY-signed"
_DAY = 86_400


@dataclass(slots=True)
class Lab:
    """A web server with RPM repositories, a bench that composes releases, the key of the repository `signed`."""

    top: Path
    site: Site
    bench: Bench
    key: Key
    #: Repositories that releases know.
    repos: tuple[str, ...] = ("tools", "extra")
    #: Release → its commit, in the order they were composed in.
    commits: dict[str, str] = field(default_factory=dict)

    def stock(self, packages: Sequence[Package], repo: str = "tools", **said: Any) -> Path:
        """Have a repository hold exactly these; keywords go to `make_repo`."""
        where = self.site.root / "rpms" / repo
        shutil.rmtree(where, ignore_errors=True)
        return make_repo(where, packages, **said)

    def kill(self, repo: str) -> None:
        """Have a repository be gone."""
        shutil.rmtree(self.site.root / "rpms" / repo, ignore_errors=True)

    def file(self, package: Package, key: Key | None = None) -> Path:
        """An RPM as a file below the web server's root."""
        where = self.site.root / "files"
        where.mkdir(exist_ok=True)
        return write_rpm(where, package, key=key)

    def release(
        self, name: str, packages: Sequence[Package] = (), *options: str, ref: str = REF, also: Sequence[str] = ()
    ) -> str:
        """Compose a release with these packages beside what all have, on a branch; gives the commit.

        `also` names packages of Shale's own, `options` are `compose tree`'s.
        """
        own = rpm("shale-repos", files=self._repo_files())
        self.bench.add_repo(f"release-{name}", [own, *packages])
        names = dict.fromkeys(["greeter", "kernel", "shale-repos", *(package.name for package in packages), *also])
        self.bench.treefile |= {"ref": ref, "packages": list(names)}
        epoch = NEWEST + (len(self.commits) + 1) * _DAY
        self.bench.compose(f"--add-metadata-string=version={name}", *options, env={"SOURCE_DATE_EPOCH": str(epoch)})
        self.commits[name] = self.bench.commit(ref)
        return self.commits[name]

    def _repo_files(self) -> dict[str, Any]:
        files = {KEY_PATH: file(self.key.public_key())}
        for name in self.repos:
            check = "gpgcheck=1\ngpgkey=file://" + KEY_PATH if name == "signed" else "gpgcheck=0"
            files[f"/etc/yum.repos.d/{name}.repo"] = file(
                f"[{name}]\nname={name}\nbaseurl={self.site.url}rpms/{name}\nenabled=1\n{check}\nmetadata_expire=0\n"
            )
        return files

    def publish(self, release: str, ref: str = REF) -> None:
        """Have the branch be at a release."""
        (self.bench.repo / "refs/heads" / ref).write_text(self.commits[release] + "\n")

    def machine(self, path: Path, ref: str = REF) -> Machine:
        """A sysroot with the stateroot `shale`, in which the first release is deployed off the branch."""
        first = next(iter(self.commits.values()))
        made = init_fs(path)
        repo = made.repo_path
        # In a bare repository nothing changes: the machine shares the objects.
        command.run(["cp", "-al", f"{self.bench.repo}/objects/.", f"{repo}/objects"])
        ostree(repo, "remote", "add", "--no-gpg-verify", "site", self.bench.repo.as_uri())
        ostree(repo, "refs", "--create", f"site:{ref}", first)
        made.init_stateroot("shale")
        with made.lock("test"):
            made.deploy("shale", first, f"[origin]\nrefspec=site:{ref}\n")
            made.discard_unlisted()
            made.prune()
        return Machine(self, path)


@dataclass(slots=True)
class Machine:
    """A deployed system, and `layer` on it."""

    lab: Lab
    path: Path

    def layer(self, verb: str, *words: str | Path, status: int = 0) -> Done:
        """Run a verb and see how it ends."""
        done = layer(self.path, verb, *map(str, words))
        assert done.status == status, f"{verb} {words} ended with {done.status}: {done.stdout} {done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def change(self, verb: str, *words: str | Path, fetched: bool = False) -> Done:
        """Run a verb that has something to do, and see that it leaves a whole system and nothing else.

        `fetched`: what else it, or one before it, fetched may be there.
        """
        before = self.state.deployed
        done = self.layer(verb, *words)
        assert self.state.deployed != before, f"{verb} {words} changed nothing"
        (check_bootable if fetched else check_left_nothing)(self.path)
        return done

    def refuse(self, status: int, verb: str, *words: str | Path, fetched: bool = False) -> str:
        """Run a verb that ends with `status` and leaves everything as it was; gives what it says.

        `fetched`: what it fetched may be there, for the next attempt to go on from.
        """
        before = self.state
        done = self.layer(verb, *words, status=status)
        after = self.state
        assert after.deployed == before.deployed
        assert after.refs == before.refs
        (check_bootable if fetched else check_left_nothing)(self.path)
        return done.stdout + done.stderr

    def unchanged(self, verb: str, *words: str | Path, fetched: bool = False) -> str:
        """Run a verb that finds nothing to do; gives what it says."""
        self.refuse(77, verb, *words, "--unchanged-exit-77", fetched=fetched)
        return self.refuse(0, verb, *words, fetched=fetched)

    @property
    def state(self) -> State:
        return state_of(self.path)

    @property
    def sysroot(self) -> Sysroot:
        return Sysroot.open(self.path)

    @property
    def tree(self) -> Path:
        """What boots next."""
        return self.sysroot.deployments()[0].path

    @property
    def first(self) -> dict[str, Any]:
        """What `status --json` says of it."""
        document = self.layer("status", "--json").json
        assert list(faults(document, SCHEMA)) == []
        found: dict[str, Any] = document["deployments"][0]
        return found

    @property
    def text(self) -> str:
        """What `status` says of it, to people."""
        return self.layer("status").stdout.partition("\n\n")[0]

    @property
    def origin(self) -> configparser.ConfigParser:
        """The origin file of what boots next."""
        parsed = configparser.ConfigParser(interpolation=None)
        parsed.read_string(self.state.entries[0].origin)
        return parsed

    @property
    def packages(self) -> set[str]:
        """name-version of all in the rpm database of what boots next."""
        argv = ["rpm", f"--dbpath={self.tree / 'usr/share/rpm'}", "-qa", "--qf", "%{NAME}-%{VERSION}\n"]
        return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())

    def has(self, *names: str) -> bool:
        """Whether all these (name or name-version) are in the rpm database."""
        found = self.packages
        plain = {re.sub(r"-[^-]+$", "", name) for name in found}
        return set(names) <= found | plain

    def read(self, path: str) -> str:
        """A file of what boots next."""
        return (self.tree / path.lstrip("/")).read_text()


@contextmanager
def open_lab(top: Path, shale: Shale, *, repos: tuple[str, ...] = ("tools", "extra")) -> Iterator[Lab]:
    """A lab without releases; repositories that nobody stocks hold one package that nobody wants."""
    (top / "www").mkdir(parents=True)
    with serve(top / "www") as site:
        lab = Lab(top, site, Bench(top / "bench", shale), Key.generate("Signed <signed@localhost>"), repos)
        for name in repos:
            lab.stock([rpm(f"of-{name}")], name, key=lab.key if name == "signed" else None)
        yield lab


@contextmanager
def machine_of(lab: Lab, path: Path, ref: str = REF) -> Iterator[Machine]:
    """A machine, whose files can be deleted afterwards."""
    made = lab.machine(path, ref)
    try:
        yield made
    finally:
        make_mutable(path)


def tool(name: str, version: str = "1", **said: Any) -> Package:
    """A package with a program of its name, which requires the base's shell."""
    files = {f"/usr/bin/{name}": file(f"#!/bin/sh\necho {name} {version}\n", mode=0o755), **said.pop("files", {})}
    return rpm(name, version=version, files=files, requires=["shell", *said.pop("requires", [])], **said)
