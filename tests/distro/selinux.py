# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's SELinux policy as a package that has it, with its store of modules: Debian's own makes both when installed.

It is built in a root of the very tools that Debian pins, once for each version, and kept in OUTPUT/.selinux.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.distro import deb
from tests.support.rpmvalues import File, Package

POLICY = "selinux-policy-default"
#: What `semodule` needs; the C library and a shell are among it.
TOOLS = (
    "coreutils", "dash", "libacl1", "libattr1", "libaudit1", "libbz2-1.0", "libc6", "libcap-ng0", "libgmp10",
    "libpcre2-8-0", "libselinux1", "libsemanage2", "libsemanage-common", "libsepol2", "policycoreutils",
    "selinux-utils",
)  # fmt: skip
_CONFIG = "SELINUX=permissive\nSELINUXTYPE=default\n"
#: As Debian's postinst: modules that few want are there, and disabled.
_BUILD = """\
cd /usr/share/selinux/default
set -- -X 100 -n -s default
for name in $(cat .modules); do set -- "$@" -i "$PWD/$name.pp.bz2"; done
for name in amtu bugzilla cobbler condor cyphesis git ksmtuned likewise livecd nessus numad oddjob openca \
    soundserver thunderbird updfstab usernetctl; do set -- "$@" -d "$name"; done
exec semodule "$@"
"""


def with_policy(package: Package, debs: Mapping[str, Path], kept: Path) -> Package:
    """The converted package with what its postinst would make, and without the modules that it is made of.

    `debs` are the policy and TOOLS by name; what was built is kept below `kept`.
    """
    digest = hashlib.sha256(_BUILD.encode())
    for name in (POLICY, *TOOLS):
        digest.update(debs[name].name.encode())
    built = kept / f"{digest.hexdigest()[:16]}.tar"
    if not built.exists():
        _build(debs, built)
    files = {path: item for path, item in package.files.items() if not path.startswith("/usr/share/selinux")}
    with tarfile.open(built) as tar:
        for member in tar:
            if member.isreg() and (stream := tar.extractfile(member)):
                files[f"/{member.name}"] = File(stat.S_IFREG | member.mode, stream.read())
            elif member.isdir():
                files.setdefault(f"/{member.name}", File(stat.S_IFDIR | member.mode))
    return replace(package, files={path: replace(item, mtime=package.build_time) for path, item in files.items()})


def _build(debs: Mapping[str, Path], built: Path) -> None:
    root = built.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc/selinux", "dev"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in (*TOOLS, POLICY):
        _unpack(deb.read(debs[name]).files, root)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/selinux/config").write_text(_CONFIG)
    box = ["bwrap", "--bind", str(root), "/", "--dev", "/dev", "--unshare-net", "--die-with-parent"]
    if os.geteuid() != 0:
        box += ["--unshare-user", "--uid", "0", "--gid", "0"]
    environment = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"}
    argv = [*box, "--", "/bin/sh", "-c", _BUILD]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"semodule failed:\n{done.stderr.strip()[-2000:]}")
    partial = built.with_suffix(".partial")
    for lock in (root / "var/lib/selinux/default").glob("*.LOCK"):
        lock.unlink()
    with tarfile.open(partial, "w") as tar:
        for name in ("etc/selinux/config", "etc/selinux/default", "var/lib/selinux/default"):
            tar.add(root / name, name)
    partial.rename(built)
    shutil.rmtree(root)


def _unpack(files: Mapping[str, File], root: Path) -> None:
    for path, item in sorted(files.items()):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(item.mode):
            target.mkdir(exist_ok=True)
        elif stat.S_ISLNK(item.mode):
            target.unlink(missing_ok=True)
            target.symlink_to(item.target)
        else:
            target.write_bytes((files[item.hardlink] if item.hardlink else item).content)
            os.chmod(target, stat.S_IMODE(item.mode))
