# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded distributions as their users meet them: release states composed, served over HTTP with their RPMs.

Which state a branch and an RPM repository are at is turned by hand: `publish`, `stock`. Machines are sysroots in
which Granite 12.0 is deployed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree import command
from rpmtree.ostree.sysroot import Sysroot, init_fs
from tests.conftest import TOP
from tests.end_to_end.shale import COMPOSE, ostree
from tests.support.webserver import Site, serve

STATES = {"12.0": "granite", "12.1": "granite", "12.2": "granite", "13.0": "basalt", "13.1": "basalt"}
#: The first state's; each has its day.
_EPOCH, _DAY = 1_700_000_000, 86_400
_REPO = """\
[{name}]
name={name} $releasever
baseurl={url}rpms/{name}-$releasever
enabled=1
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-{name}
metadata_expire=0
"""


def branch(name: str) -> str:
    """The branch of a distribution."""
    return f"{name}/{'12' if name == 'granite' else '13'}/{os.uname().machine}/stable"


def ref(name: str) -> str:
    """The branch as the machines' remote has it."""
    return f"site:{branch(name)}"


@dataclass(slots=True)
class Realm:
    """A web server with an OSTree repository and RPM repositories, and a directory for machines."""

    top: Path
    distro: Path
    site: Site
    #: State → its commit.
    commits: dict[str, str] = field(default_factory=dict)
    #: A bare repository that holds Granite 12.0, from which machines get their objects without a transfer.
    seed: Path = Path()

    @property
    def repo(self) -> Path:
        return self.site.root / "ostree"

    def make(self, states: dict[str, str]) -> None:
        """Compose `states` one after another, each on its distribution's branch."""
        ostree(self.repo, "init", "--mode=archive")
        for index, (state, name) in enumerate(states.items()):
            self._compose(state, name, _EPOCH + index * _DAY)
            self.commits[state] = ostree(self.repo, "rev-parse", branch(name)).strip()
        self.seed = self.top / "seed"
        ostree(self.seed, "init", "--mode=bare")
        ostree(self.seed, "pull-local", str(self.repo), self.commits[min(states)])
        self.reset()

    def _compose(self, state: str, name: str, epoch: int) -> None:
        where = self.top / "treefiles" / state
        where.mkdir(parents=True)
        home = self.distro / f"{name}-{state.partition('.')[0]}"
        key = home / f"RPM-GPG-KEY-{name}"
        (where / "compose.repo").write_text(
            f"[{name}]\nname={name}\nbaseurl={(home / state).as_uri()}\ngpgcheck=1\ngpgkey={key.as_uri()}\n"
        )
        (where / "image").write_text(_REPO.format(name=name, url=self.site.url))
        shutil.copy(key, where / "key")
        document = {
            "include": str(TOP / f"treefiles/{name}-{state.partition('.')[0]}.yaml"),
            "no-initramfs": True,  # the slowest part, and another test's
            "add-files": [
                ["image", f"/usr/etc/yum.repos.d/{name}.repo"],
                ["key", f"/usr/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"],
            ],
        }
        (where / "tree.json").write_text(json.dumps(document))
        argv = [str(COMPOSE), "tree", f"--repo={self.repo}", f"--cachedir={self.top / 'cache'}"]
        argv.append(f"--allow-outside={TOP}")
        argv += [f"--add-metadata-string=version={state}", str(where / "tree.json")]
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def publish(self, state: str) -> None:
        """Put a distribution's branch at a release state."""
        path = self.repo / "refs/heads" / branch(STATES[state])
        path.write_text(self.commits[state] + "\n")
        ostree(self.repo, "summary", "--update")

    def stock(self, state: str) -> None:
        """Have the RPM repository of a distribution hold what it held at a release state."""
        name, major = STATES[state], state.partition(".")[0]
        link = self.site.root / "rpms" / f"{name}-{major}"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(self.distro / f"{name}-{major}" / state)

    def reset(self) -> None:
        """Everything at its first state."""
        for state in ("13.0", "12.0"):
            if state in self.commits:
                self.publish(state)
                self.stock(state)

    def only(self, state: str) -> Path:
        """A bare repository that holds a release state and nothing else."""
        repo = self.top / f"only-{state}"
        ostree(repo, "init", "--mode=bare")
        ostree(repo, "pull-local", str(self.repo), self.commits[state])
        return repo

    def rpm(self, state: str, name: str) -> Path:
        """The file of a package as it was at a release state."""
        home = self.distro / f"{STATES[state]}-{state.partition('.')[0]}" / state / "Packages"
        (found,) = home.glob(f"{name}-[0-9]*.rpm")
        return found

    def machine(self, path: Path) -> Sysroot:
        """A sysroot with the stateroot `granite`, in which Granite 12.0 is deployed off the branch."""
        made = init_fs(path)
        repo = made.repo_path
        command.run(["cp", "-al", f"{self.seed}/objects/.", f"{repo}/objects"])  # in a bare repository nothing changes
        ostree(repo, "remote", "add", "--no-gpg-verify", "site", f"{self.site.url}ostree")
        ostree(repo, "pull", "site", f"{branch('granite')}@{self.commits['12.0']}")
        made.init_stateroot("granite")
        with made.lock("test"):
            made.deploy("granite", self.commits["12.0"], f"[origin]\nrefspec={ref('granite')}\n")
        return made


@contextmanager
def open_realm(top: Path, distro: Path) -> Iterator[Realm]:
    """An empty realm that is served."""
    (top / "www").mkdir(parents=True)
    with serve(top / "www") as site:
        yield Realm(top, distro, site)
