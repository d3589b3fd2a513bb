# SPDX-License-Identifier: GPL-2.0-or-later
"""Shale, a distribution of eight synthetic packages that composes in a second, and a bench to compose it on.

Its shell and tools are copies of this machine's, so that scripts run for real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rpmtree import command
from tests.support.openpgp import Key
from tests.support.rpms import (
    Advisory,
    Package,
    directory,
    file,
    hardlink,
    lua,
    make_repo,
    repo_file,
    rpm,
    symlink,
    trigger,
)
from tests.support.rpmvalues import File

COMPOSE = Path(sys.executable).with_name("compose")
PROGRAMS = ("sh", "cat", "chmod", "chown", "mkdir", "ln", "rm", "sleep", "touch", "true")
NEWEST = 1_700_000_500
REF = "shale/1/stable"
_LIBRARY = re.compile(r"(/\S+) \(0x")
_DIRECTORIES = ("boot", "dev", "etc", "opt", "proc", "run", "sys", "usr", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin",
                "usr/share", "var", "var/lib", "var/tmp")  # fmt: skip
_ACCOUNTS = {
    "passwd": ("root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/usr/sbin/nologin\n", 0o644),
    "group": ("root:x:0:\ndaemon:x:1:\n", 0o644),
    "shadow": ("root:*:19000::::::\ndaemon:*:19000::::::\n", 0o640),
    "gshadow": ("root:*::\ndaemon:*::\n", 0o640),
    "nsswitch.conf": ("passwd: files\ngroup: files\n", 0o644),
}
_GREETER_PRE = """\
case "$(cat /etc/passwd)" in *greeter:*) exit 0 ;; esac  # the accounts of the previous commit are there
echo greeter:x:400:400:Says hello:/:/usr/sbin/nologin >>/etc/passwd
echo greeter:x:400: >>/etc/group
"""


def packages() -> list[Package]:
    """All packages of Shale; `greeter` requires the others but `manual`, which it recommends, and `kernel`."""
    return [
        rpm("filesystem", files=_filesystem()),
        rpm("setup", files={f"/etc/{name}": file(text, mode=mode) for name, (text, mode) in _ACCOUNTS.items()},
            requires_pre=["filesystem"]),
        rpm("shell", version="5.0", arch="x86_64", provides=["/bin/sh"], requires_pre=["setup"],
            files=programs(*PROGRAMS)),
        rpm("shale-release", version="1", files={"/usr/lib/os-release": _OS_RELEASE, "/etc/os-release":
            symlink("../usr/lib/os-release"), "/usr/share/man/man7/shale.7": file("man", doc=True)}),
        rpm("libstone", version="3.1", requires=["shell"], files={"/usr/lib/libstone.so.3.1": "stone\n",
            "/usr/lib/libstone.so.3": symlink("libstone.so.3.1")},
            triggers=[trigger("transfiletriggerin", "/usr/lib/libstone", "cat >/etc/stone.cache"),
                      trigger("triggerin", "greeter", "echo greeter came >/etc/stone.seen")]),
        greeter(),
        rpm("manual", files={"/usr/share/doc/greeter/manual.txt": file("Read me.\n", doc=True)}),
        rpm("kernel", version="6.0", arch="x86_64", files={"/usr/lib/modules/6.0/vmlinuz": "a kernel\n",
            "/usr/lib/modules/6.0/config": "CONFIG_X=y\n"}),
    ]  # fmt: skip


def greeter(version: str = "2.0~rc1", **said: Any) -> Package:
    """The package with everything in it; keywords replace its own."""
    files = {
        "/usr/bin/greet": file("#!/bin/sh\necho hello\n", mode=0o755, caps="cap_net_raw=ep"),
        "/usr/bin/greet-root": file("#!/bin/sh\necho root\n", mode=0o4755),
        "/usr/share/greeter": directory(mode=0o750, group="greeter"),
        "/usr/share/greeter/words": file(f"hello {version}\n", mode=0o640, user="greeter", group="greeter"),
        "/usr/share/greeter/phrases": hardlink("/usr/share/greeter/words", mode=0o640, user="greeter", group="greeter"),
        "/usr/share/locale/de/greeter.mo": file("hallo\n", lang="de"),
        "/usr/share/locale/fr/greeter.mo": file("bonjour\n", lang="fr"),
        "/etc/greeter.conf": file("polite = yes\n", config="noreplace"),
        "/var/lib/greeter": directory(mode=0o700, user="greeter", group="greeter"),
        "/var/lib/greeter/seen": file(ghost=True),
    }
    chosen: dict[str, Any] = {
        "version": version, "epoch": 1, "build_time": NEWEST, "files": files,
        "requires": ["filesystem", "shale-release", "libstone >= 3"], "requires_pre": ["shell"],
        "recommends": ["manual"], "pre": _GREETER_PRE, "post": "echo made of $1 >/etc/greeter.made; echo greeter ran",
        "posttrans": lua("local f = io.open('/etc/greeter.lua', 'w'); f:write('lua\\n'); f:close()"), **said,
    }  # fmt: skip
    return rpm("greeter", **chosen)


_OS_RELEASE = 'NAME=Shale\nID=shale\nVERSION="1 (X)"\nPRETTY_NAME="Shale 1 (X)"\nVERSION_ID=1\n'


def _filesystem() -> dict[str, File]:
    links = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
    return {
        **{f"/{name}": directory() for name in _DIRECTORIES},
        **{path: symlink(target) for path, target in links.items()},
        "/tmp": directory(mode=0o1777),
        "/root": directory(mode=0o700),
    }


def programs(*names: str) -> dict[str, File]:
    """Copies of programs of the machine that runs this, in /usr/bin, with their libraries."""
    found = [Path(shutil.which(name, path="/usr/bin:/bin:/usr/sbin") or name) for name in names]
    libraries = sorted(set(_LIBRARY.findall(command.run(["ldd", *map(str, found)]).stdout.decode())))
    files = {f"/usr/bin/{path.name}": file(path.read_bytes(), mode=0o755) for path in found}
    for library in libraries:
        place = library if library.startswith("/usr/") else f"/usr{library}"
        files[place] = file(Path(library).read_bytes(), mode=0o755)
    return files


@dataclass(frozen=True, slots=True)
class Shale:
    """The repository on disk."""

    repository: Path
    key: Key

    @classmethod
    def make(cls, where: Path) -> Shale:
        key = Key.generate("Shale <shale@localhost>")
        notice = Advisory("SHALE-2024-1", ("greeter",), cves=("CVE-2024-1", "CVE-2024-2"))
        make_repo(where, packages(), key=key, groups={"core": ["greeter"]}, advisories=[notice])
        return cls(where, key)


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of the command ended."""

    status: int
    stdout: str
    stderr: str


@dataclass(slots=True)
class Bench:
    """A directory with a treefile, .repo files, an OSTree repository and a cache directory."""

    top: Path
    shale: Shale
    treefile: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.top.mkdir(parents=True, exist_ok=True)
        repo_file(self.top / "shale.repo", "shale", self.shale.repository, gpgcheck=True, gpgkey=self.shale.key)
        self.treefile = {"ref": REF, "repos": ["shale"], "packages": ["greeter", "kernel"], "selinux": False,
                         "no-initramfs": True, "boot-location": "modules", "recommends": False}  # fmt: skip
        self.init()

    @property
    def repo(self) -> Path:
        return self.top / "repo"

    @property
    def cachedir(self) -> Path:
        return self.top / "cache"

    @property
    def treefile_path(self) -> Path:
        return self.top / "shale.yaml"

    def init(self, mode: str = "bare") -> None:
        """Make the repository anew."""
        shutil.rmtree(self.repo, ignore_errors=True)
        ostree(self.repo, "init", f"--mode={mode}")

    def add_repo(
        self,
        name: str,
        packages: Sequence[Package],
        *,
        key: Key | None = None,
        gpgcheck: bool = True,
        advisories: Sequence[Advisory] = (),
    ) -> Path:
        """One more repository of packages, named in the treefile; `key` signs them, by default Shale's does."""
        key = key or (self.shale.key if gpgcheck else None)
        where = make_repo(self.top / f"rpms-{name}", packages, key=key, advisories=advisories)
        repo_file(
            self.top / f"{name}.repo", name, where, gpgcheck=gpgcheck, gpgkey=self.shale.key if gpgcheck else None
        )
        self.treefile["repos"] = ["shale", name]
        return where

    def add_layer(self, repo: Path, name: str, **files: str) -> None:
        """Commit a tree of those files in /usr to a branch of `repo`; `__` stands for a slash."""
        source = self.top / "layer-source"
        shutil.rmtree(source, ignore_errors=True)
        for path, content in files.items():
            target = source / "usr" / path.replace("__", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        ostree(repo, "commit", f"--branch={name}", f"--tree=dir={source}", "--owner-uid=0", "--owner-gid=0")

    def argv(self, *options: str | Path, cached: bool = True) -> list[str]:
        """The command line; the treefile is written."""
        self.treefile_path.write_text(json.dumps(self.treefile))  # JSON is YAML
        cachedir = [f"--cachedir={self.cachedir}"] if cached else []
        return [str(COMPOSE), "tree", f"--repo={self.repo}", *cachedir, *map(str, options), str(self.treefile_path)]

    def compose(
        self,
        *options: str | Path,
        status: int = 0,
        cached: bool = True,
        env: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> Done:
        """Run `compose tree`, through another program if one is given, and see that it ends with `status`."""
        return _run([*through, *self.argv(*options, cached=cached)], status, env, cwd)

    def commit(self, ref: str = REF) -> str:
        """The branch's commit, in hex."""
        return ostree(self.repo, "rev-parse", ref).strip()

    def refs(self) -> dict[str, str]:
        names = ostree(self.repo, "refs").split()
        return {name: self.commit(name) for name in names}

    def objects(self) -> frozenset[str]:
        """Names of all objects in the repository."""
        return frozenset(str(path.relative_to(self.repo)) for path in (self.repo / "objects").glob("*/*"))

    def state(self) -> dict[str, object]:
        """What a failed compose must leave as it was: branches, objects, scratch space, mounts."""
        scratch = sorted(path.name for path in (self.repo / "tmp").iterdir() if path.name != "cache")
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.top) in line]
        return {"refs": self.refs(), "objects": self.objects(), "scratch": scratch, "mounts": mounts}

    def check(self) -> None:
        """`ostree fsck`, which must be clean."""
        ostree(self.repo, "fsck", "--quiet")

    def cat(self, path: str, rev: str = REF) -> str:
        return ostree(self.repo, "cat", rev, path)

    def paths(self, rev: str = REF) -> dict[str, str]:
        """Path → the line that `ostree ls -R` prints for it."""
        lines = ostree(self.repo, "ls", "-R", rev).splitlines()
        return {line.split()[4]: line for line in lines}

    def packages(self, rev: str = REF) -> list[str]:
        """Names in the commit's package list."""
        text = ostree(self.repo, "show", "--print-metadata-key=rpmostree.rpmdb.pkglist", rev)
        return re.findall(r"\('([^']*)', '", text)


def run_verb(
    bench: Bench, verb: str, *words: str | Path, status: int = 0, env: Mapping[str, str] | None = None
) -> Done:
    """Run another verb than `tree`, and see that it ends with `status`; the treefile is written."""
    bench.argv()
    return _run([str(COMPOSE), verb, *map(str, words)], status, env)


def _run(argv: Sequence[str], status: int, env: Mapping[str, str] | None, cwd: Path | None = None) -> Done:
    environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"} | dict(env or {})
    ended = subprocess.run(argv, capture_output=True, text=True, env=environ, cwd=cwd, timeout=120, check=False)
    done = Done(ended.returncode, ended.stdout, ended.stderr)
    assert done.status == status, f"{argv} ended with {done.status}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def ostree(repo: Path, verb: str, *arguments: str) -> str:
    """What `ostree VERB --repo=REPO …` prints."""
    return command.run(["ostree", verb, f"--repo={repo}", *arguments]).stdout.decode()
