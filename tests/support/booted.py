# SPDX-License-Identifier: GPL-2.0-or-later
"""A sysroot that libostree takes for the system that runs, without a machine.

In mount and process namespaces of its own the deployment becomes `/`, the sysroot `/sysroot`, and /run says
`ostree-booted`; the host's /usr lies over the deployment's, so that Python and `ostree` are there, unless it is the
deployment's own that is tried. When the program ends, so does all of it but what it wrote into the sysroot.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rpmtree.command import run, tail
from rpmtree.errors import CommandFailed

_PROJECT = Path(__file__).resolve().parent.parent.parent
_ENTER = r"""
set -e
deployment=$1 sysroot=$2 stateroot=$3 program=$4 project=$5
mount --make-rprivate /
mount --bind "$deployment" "$deployment"
mount --bind "$sysroot" "$deployment/sysroot"
mount --bind "$sysroot/boot" "$deployment/boot"
mount --bind "$sysroot/ostree/deploy/$stateroot/var" "$deployment/var"
mkdir -p -m 1777 "$deployment/var/tmp"  # as systemd does
usr=/usr
[ -n "$project" ] || usr=$deployment/usr
mount --bind -o ro "$usr" "$deployment/usr"
mount --rbind /dev "$deployment/dev"
mount -t proc proc "$deployment/proc"
tmp=$deployment/tmp
if [ -L "$tmp" ]; then tmp=$deployment/sysroot/tmp; mkdir -p "$tmp"; fi  # a link to sysroot/tmp, in composed trees
mount -t tmpfs tmpfs "$tmp"
mount -t tmpfs tmpfs "$deployment/run"
touch "$deployment/run/ostree-booted"
mkdir "$deployment/run/host" "$deployment/run/project"
[ -z "$project" ] || mount --bind -o ro "$project" "$deployment/run/project"
cd "$deployment"
pivot_root . run/host
cd /
umount -l /run/host
"""
_PYTHON = rf"""{_ENTER}
# There is no systemd that runs, and libostree of Debian 13 stages only where it can start the unit that finishes that.
mkdir /run/bin /run/bin/upper /run/bin/work
printf '#!/bin/sh\n' >/run/bin/upper/systemctl
chmod 755 /run/bin/upper/systemctl
mount -t overlay -o lowerdir=/usr/bin,upperdir=/run/bin/upper,workdir=/run/bin/work overlay /usr/bin
# Not exec: libostree takes a process in the namespace of process 1 for one without a namespace of its own.
PYTHONPATH=/run/project PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -c "$program" || exit $?
"""

#: What a program may use that runs verbs: `layer` in its own process, `start` and `nobody` in others. `systemctl` and
#: `systemd-run` only say that they were called (and fail where /tmp/inhibited is), but for what libostree of Debian 13
#: calls itself; the journal is /tmp/journal.
_VERBS = '''
import contextlib, io, json, os, subprocess, sys
from pathlib import Path
from layering.cli import build_parser
from rpmtree.app import invoke

def stand_in(name, text):
    path = Path("/usr/bin", name)
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\\n{text}\\n")
    path.chmod(0o755)

refusal = "[ ! -e /tmp/inhibited ] || { cat /tmp/inhibited >&2; exit 1; }"
stand_in("systemctl", f"""\
[ "$*" != "start ostree-finalize-staged.service" ] || exit 0
echo $* >>/tmp/called
{refusal}""")
stand_in("systemd-run", f"echo $* >>/tmp/ran\\n{refusal}")
stand_in("journalctl", "cat /tmp/journal 2>/dev/null")

def layer(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = invoke("layer", build_parser, [*words, "--json"], {})
    return status, json.loads(out.getvalue()) if out.getvalue() else None

def argv_of(words):
    return ["/usr/bin/python3", "-c", "from layering.cli import main; main()", *words, "--json"]

def start(*words):
    return subprocess.Popen(argv_of(words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

def nobody(*words):
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv_of(words)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.returncode, json.loads(done.stdout)

def finalize():
    subprocess.run(["ostree", "admin", "finalize-staged"], check=True, stdout=2)

def status():
    return layer("status")[1]["deployments"]

def called():
    path = Path("/tmp/called")
    return path.read_text().split() if path.exists() else []

def ran():
    path = Path("/tmp/ran")
    return path.read_text().splitlines() if path.exists() else []

seen = {}
'''


def run_booted(sysroot: Path, deployment: Path, program: str) -> Any:
    """Run a Python program in `deployment` as if it were booted; gives what it prints, read as JSON.

    The project can be imported; the program stands alone otherwise. Raises CommandFailed.
    """
    return json.loads(_enter(_PYTHON, sysroot, deployment, program, str(_PROJECT)))


def run_image(sysroot: Path, deployment: Path, program: str) -> str:
    """Run a shell program in `deployment` as if it were booted, with nothing but what it holds itself.

    Gives what the program prints. Raises CommandFailed.
    """
    return _enter(f'{_ENTER}sh -e -c "$program" || exit $?', sysroot, deployment, program, "")


def _enter(script: str, sysroot: Path, deployment: Path, program: str, project: str) -> str:
    stateroot = deployment.parent.parent.name
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"]
    done = run([*argv, str(deployment), str(sysroot), stateroot, program, project], timeout=120, check=False)
    sys.stderr.write(done.stderr.decode("utf-8", "replace"))  # for whoever reads why a test failed
    if done.status != 0:
        raise CommandFailed(["booted"], done.status, tail(done.stderr))
    return done.stdout.decode()


def run_verbs(sysroot: Path, deployment: Path, program: str) -> dict[str, Any]:
    """Run a program that runs verbs in `deployment`, as if it were booted; gives what it left in `seen`."""
    seen: dict[str, Any] = run_booted(sysroot, deployment, f"{_VERBS}{program}\nprint(json.dumps(seen))")
    return seen
