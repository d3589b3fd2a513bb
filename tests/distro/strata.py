# SPDX-License-Identifier: GPL-2.0-or-later
"""The RPMs of this project itself: packaging/strata.spec by rpmbuild, in a root made of the distribution's packages.

So the distribution's rpm decides what is in their headers, and its Python what bytecode they hold. They are made
again, and they alone, whenever the project's source has changed: their release says of which source they are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.support.openpgp import Key
from tests.support.rpmwriter import signed

TOP = Path(__file__).resolve().parent.parent.parent
#: What an image with the client has of them.
CLIENT = ("strata-layer", "strata-layer-automatic")
ALL = ("strata-compose", *CLIENT)
#: What rpmbuild and the spec run; Debian's packages do not require what every Debian has.
_TOOLS = ("bash", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip", "python3", "rpm", "sed", "tar")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@cache
def digest() -> str:
    """Of the source that they are built of, in hexadecimal."""
    return hashlib.sha256(_run([str(TOP / "scripts/tarball")])).hexdigest()


def build(repository: Path, dist: str, epoch: int, key: Key, directory: Path) -> list[Path]:
    """Build them with the packages of `repository`, signed, into `directory`; their times are `epoch`.

    `dist` ends their release (`.granite12`): those of two distributions are not the same.
    """
    if os.geteuid() != 0:
        raise SystemExit("making a root to build Strata's packages in needs root")
    # Beside the distribution, and not in /tmp, which may be small.
    with tempfile.TemporaryDirectory(prefix=".strata.", dir=directory.parent) as scratch:
        root, unsigned = Path(scratch, "root"), Path(scratch, "unsigned")
        unsigned.mkdir()
        _install(repository, root, Path(scratch))
        box = ["bwrap", "--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
        box += ["--ro-bind", str(TOP), "/run/strata", "--bind", str(unsigned), "/mnt"]
        box += ["--unshare-net", "--unshare-pid", "--die-with-parent", "--setenv", "SOURCE_DATE_EPOCH", str(epoch)]
        macros = {"strata_release": f"1.{digest()[:12]}", "dist": dist}
        defined = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        _run([*box, "--", "/run/strata/scripts/rpm", "/mnt", *defined])
        built = sorted(unsigned.iterdir())
        for path in built:
            (directory / path.name).write_bytes(signed(path.read_bytes(), key.sign))
        return [directory / path.name for path in built]


def _install(repository: Path, root: Path, scratch: Path) -> None:
    """A root with what a build needs, scripts and all."""
    # rpm reads it from the home directory: the only place that dnf does not reset.
    (scratch / ".rpmmacros").write_text("%_dbpath /usr/lib/sysimage/rpm\n")
    settings = ["[main]", "plugins=0", "install_weak_deps=0", "reposdir=/none", "logdir=/../log", "cachedir=/../cache"]
    settings += ["[state]", "name=state", f"baseurl=file://{repository.absolute()}", "gpgcheck=0"]
    (scratch / "dnf.conf").write_text("\n".join([*settings, ""]))
    dnf = ["unshare", "-m", "dnf", f"--config={scratch / 'dnf.conf'}", f"--installroot={root.absolute()}"]
    _run([*dnf, "--releasever=1", "--assumeyes", "--quiet", "install", *_TOOLS], home=scratch)
    shutil.rmtree(scratch / "cache", ignore_errors=True)


def _run(argv: Sequence[str], home: Path = Path("/nonexistent")) -> bytes:
    environment = {**_ENVIRONMENT, "HOME": str(home.absolute())}
    done = subprocess.run(argv, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{argv[0]} failed:\n{done.stderr.decode(errors='replace').strip()[-4000:]}")
    return done.stdout
