# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the image run on a deployment before its first boot: %post scripts, systemctl for units.

They see the machine as it will be, but that nothing runs: /etc and /var are writable, /usr is not, and there is no
network.
"""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kickstart.deployed import Deployed
from kickstart.installation import Installation, Script
from rpmtree import command
from rpmtree.errors import CommandFailed, ConfigError, ScriptletError
from rpmtree.progress import Reporter
from rpmtree.root import seccomp
from rpmtree.root.sandbox import Bind, ScriptSandbox, blaming_host, pids_limit

#: Seconds that a script may take.
TIMEOUT = 1800
_INSIDE = "/run/kickstart-post"
#: Entries at the top that the sandbox brings itself.
_OWN = ("dev", "proc", "sys", "run", "tmp", "var", "sysroot")


def run_all(deployed: Deployed, installation: Installation, scratch: Path, epoch: int, reporter: Reporter) -> None:
    """Enable and disable units, then run the scripts in their order; `scratch` is an empty directory of ours.

    What a script prints becomes notes. Raises ConfigError for units that can't be had, ScriptletError for a script
    that fails and must not; of others the failure is a warning.
    """
    if not (installation.enabled or installation.disabled or installation.post):
        return
    with blaming_host(), _sandbox(deployed, scratch, epoch) as box:
        for verb, units in (("enable", installation.enabled), ("disable", installation.disabled)):
            if units:
                _systemctl(box, verb, units)
        for number, script in enumerate(installation.post, 1):
            _run(box, script, number, scratch, reporter)


@contextmanager
def _sandbox(deployed: Deployed, scratch: Path, epoch: int) -> Iterator[ScriptSandbox]:
    """The sandbox. Its / is put together anew: the deployment's has links where something must be mounted."""
    top = scratch / "root"
    top.mkdir()
    binds = []
    for name in (*_OWN, *(name for name in deployed.tree.listdir("") if name not in _OWN)):
        mode = deployed.tree.lstat(name).st_mode if deployed.tree.lexists(name) else stat.S_IFDIR
        if stat.S_ISLNK(mode) and name not in _OWN:
            (top / name).symlink_to(deployed.tree.readlink(name))
        elif name in _OWN or stat.S_ISDIR(mode):
            (top / name).mkdir()
            if name not in _OWN:
                binds.append(Bind(deployed.tree.path / name, f"/{name}", writable=name == "etc"))
    scripts = scratch / "scripts"
    scripts.mkdir()
    with pids_limit() as cgroup:
        yield ScriptSandbox(
            root=top,
            var=deployed.var.path,
            bpf=seccomp.filter_path(),
            var_writable=True,
            env={"SOURCE_DATE_EPOCH": str(epoch)},
            binds=(*binds, Bind(scripts, _INSIDE)),
            cgroup=cgroup,
            writable=False,  # what is written beside /etc and /var would be lost
        )


def _systemctl(box: ScriptSandbox, verb: str, units: Sequence[str]) -> None:
    names = [unit if "." in unit else f"{unit}.service" for unit in units]
    done = command.run(["systemctl", "--quiet", verb, "--", *names], sandbox=box, check=False, timeout=TIMEOUT)
    if done.status != 0:
        raise ConfigError(
            f"can't {verb} {', '.join(units)}", detail=command.tail(done.stderr), hint="the image must bring the units"
        )


def _run(box: ScriptSandbox, script: Script, number: int, scratch: Path, reporter: Reporter) -> None:
    name = str(script.place) if script.place else f"script {number}"
    path = scratch / "scripts" / str(number)
    path.write_text(script.text)
    argv = [*script.interpreter.split(), f"{_INSIDE}/{number}"]
    try:
        done = command.run(argv, sandbox=box, stderr=subprocess.STDOUT, check=False, timeout=TIMEOUT)
        failure = f"exited with status {done.status}" if done.status else ""
        said = command.tail(done.stdout)
    except CommandFailed as error:
        failure, said = f"ran longer than {TIMEOUT} s", error.detail or ""
    if failure and script.essential:
        raise ScriptletError(name, "post", failure, said)
    for line in said.splitlines():
        reporter.note(f"%post of {name}: {line}")
    if failure:
        reporter.warning(f"%post of {name} {failure}")
