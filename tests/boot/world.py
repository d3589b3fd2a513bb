# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests are installed from and upgrade to: release states composed with an initramfs, and their RPMs, served
over HTTP by `compose serve` on the host.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.boot import machine
from tests.conftest import TOP

COMPOSE = Path(os.fsdecode(shutil.which("compose", path=str(TOP / ".venv/bin")) or TOP / ".venv/bin/compose"))
#: State → distribution.
STATES = {"12.0": "granite", "12.1": "granite", "13.0": "basalt"}
REMOTE = "site"
_EPOCH, _DAY = 1_700_000_000, 86_400
_REPO = """\
[{name}]
name={name}
baseurl={url}/rpms/{name}-{state}
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-{name}
metadata_expire=0
"""


def branch(name: str) -> str:
    """The branch of a distribution."""
    return f"{name}/{'12' if name == 'granite' else '13'}/{os.uname().machine}/stable"


@dataclass(slots=True)
class World:
    """A directory that is served, and what is in it. `url` is the server's address as a guest has it."""

    top: Path
    distro: Path
    url: str
    #: State → its commit.
    commits: dict[str, str] = field(default_factory=dict)

    @property
    def repo(self) -> Path:
        """The repository that is served."""
        return self.top / "www" / "repo"

    def compose(self, state: str, variant: str = "", **keys: object) -> str:
        """Compose a release state onto its distribution's branch; gives the commit.

        A variant has more `keys` in its treefile, `ref` among them, and is `state`-`variant` in `commits`.
        """
        name, title = STATES[state], f"{state}-{variant}".rstrip("-")
        where = self.top / f"treefile-{title}"
        where.mkdir()
        major = state.partition(".")[0]
        home = self.distro / f"{name}-{major}"
        packages = self.top / "www" / "rpms" / f"{name}-{state}"
        if not packages.exists():
            shutil.copytree(home / state, packages, copy_function=os.link)
        key = home / f"RPM-GPG-KEY-{name}"
        shutil.copy(key, where / "key")
        (where / "compose.repo").write_text(
            f"[{name}]\nname={name}\nbaseurl={(home / state).as_uri()}\ngpgcheck=1\ngpgkey={key.as_uri()}\n"
        )
        (where / "image").write_text(_REPO.format(name=name, url=self.url, state=state))
        document = {
            "include": str(TOP / f"treefiles/{name}-{major}.yaml"),
            "ref": branch(name),
            # Every file is a request of an emulated machine: without these it is two thirds of them.
            "documentation": False,
            "install-langs": ["en"],
            "postprocess": [f"#!/bin/sh\nsed -i 's|^root:[^:]*|root:{machine.PASSWORD_HASH}|' /etc/shadow\n"],
            "add-files": [
                ["image", f"/usr/etc/yum.repos.d/{name}.repo"],
                ["key", f"/usr/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"],
            ],
            **keys,
        }
        (where / "tree.json").write_text(json.dumps(document))
        options = [f"--cachedir={self.top / 'cache'}", f"--allow-outside={TOP}"]
        options.append(f"--add-metadata-string=version={state}")
        epoch = _EPOCH + len(self.commits) * _DAY
        run([COMPOSE, "tree", f"--repo={self.repo}", *options, str(where / "tree.json")], SOURCE_DATE_EPOCH=str(epoch))
        self.commits[title] = ostree(self.repo, "rev-parse", str(document["ref"]))
        return self.commits[title]

    def publish(self, state: str) -> None:
        """Put a distribution's branch at a release state."""
        ostree(self.repo, "refs", "--force", f"--create={branch(STATES[state])}", self.commits[state])
        ostree(self.repo, "summary", "--update")

    def release(self, state: str) -> str:
        """Have the distribution's branch be at a release state, composed if it is not there; gives the commit."""
        if state not in self.commits:
            self.compose(state)
        self.publish(state)
        return self.commits[state]

    def disk(self, name: str, ref: str, *kargs: str) -> Path:
        """Put a branch on a disk, as docs/install.md has it; the machine follows it here."""
        made = self.top / f"{name}.qcow2"
        argv: list[str | Path] = [COMPOSE, "disk", f"--repo={self.repo}", f"--ref={ref}", f"--remote={REMOTE}"]
        argv += [f"--url={self.remote}", "--no-gpg-verify", "--size=8G", "--format=qcow2", "-o", made]
        run([*argv, *(f"--karg={karg}" for karg in (*machine.KARGS, *kargs))])
        return made

    @property
    def remote(self) -> str:
        """The address that machines follow the repository at."""
        return f"{self.url}/repo"


def run(argv: Sequence[str | Path], **environment: str) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(
        [str(word) for word in argv], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{argv} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def ostree(repo: Path, *words: str) -> str:
    """What `ostree` prints."""
    return run(["ostree", f"--repo={repo}", *words]).strip()


@contextmanager
def open_world(top: Path, distro: Path) -> Iterator[World]:
    """An empty world that is served."""
    (top / "www" / "rpms").mkdir(parents=True)
    port = top / "port"
    with (top / "serve.log").open("w") as log:
        server = subprocess.Popen([COMPOSE, "serve", top / "www", f"--port-file={port}"], stdout=log, stderr=log)
    try:
        while not port.exists() or not port.read_text():
            assert server.poll() is None, (top / "serve.log").read_text()
            time.sleep(0.05)
        world = World(top, distro, f"http://{machine.HOST}:{port.read_text().strip()}")
        ostree(world.repo, "init", "--mode=archive")
        yield world
    finally:
        server.terminate()
        server.wait()
