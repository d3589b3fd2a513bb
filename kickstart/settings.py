# SPDX-License-Identifier: GPL-2.0-or-later
"""What an installation says of a machine, written into a deployment before its first boot."""

from __future__ import annotations

import os
import re
import stat

from kickstart.accounts import Files, Home, add_accounts, defaults
from kickstart.deployed import Deployed
from kickstart.installation import Installation
from rpmtree.errors import ConfigError
from rpmtree.files import Root

_DAY = 86_400
_ZONES = "usr/share/zoneinfo"
_FILES = ("passwd", "group", "shadow", "gshadow")
_SELINUX = "etc/selinux/config"
#: Of a home, and of what ssh takes keys from only if nobody else can write to it (sshd(8)).
_PRIVATE, _KEYS = 0o700, 0o600


def apply(deployed: Deployed, installation: Installation, fstab: str, epoch: int) -> None:
    """Write mounts, names, language, accounts and SELinux's mode; `fstab` has lines of it. Raises ConfigError."""
    if fstab:
        before = deployed.text("etc/fstab")
        deployed.write("etc/fstab", before + ("" if before.endswith("\n") or not before else "\n") + fstab)
    # Empty, and not `uninitialized`: the first boot gives the machine its id, but is none that asks at the console for
    # what was set up here, and that enables again what was disabled (machine-id(5), systemd.preset(5)).
    deployed.tree.write("etc/machine-id", "", 0o444)
    _names(deployed, installation)
    _time_zone(deployed, installation.timezone)
    _accounts(deployed, installation, epoch // _DAY)
    _selinux(deployed, installation.selinux)


def _names(deployed: Deployed, installation: Installation) -> None:
    for path, key, value in (
        ("etc/hostname", "", installation.hostname),  # hostname(5)
        ("etc/locale.conf", "LANG=", installation.lang),  # locale.conf(5)
        ("etc/vconsole.conf", "KEYMAP=", installation.keyboard),  # vconsole.conf(5)
    ):
        if value is not None:
            others = [line for line in deployed.text(path).splitlines() if key and not line.startswith(key)]
            deployed.write(path, "".join(f"{line}\n" for line in (*others, f"{key}{value}")))


def _time_zone(deployed: Deployed, zone: str | None) -> None:
    if zone is None:
        return
    if ".." in zone.split("/") or not deployed.tree.exists(f"{_ZONES}/{zone}"):
        raise ConfigError(f"the image has no time zone {zone}", hint="its zones are in /usr/share/zoneinfo (tzdata)")
    deployed.tree.symlink(f"../{_ZONES}/{zone}", "etc/localtime")
    if deployed.tree.exists("etc/timezone"):
        deployed.write("etc/timezone", f"{zone}\n")


def _selinux(deployed: Deployed, mode: str | None) -> None:
    if mode is None:
        return
    if not deployed.tree.exists(_SELINUX):
        if mode != "disabled":
            raise ConfigError(f"SELinux is to be {mode}, and the image has no policy")
        return
    text, count = re.subn(r"(?m)^\s*SELINUX=.*$", f"SELINUX={mode}", deployed.text(_SELINUX))
    deployed.write(_SELINUX, text if count else f"{text}SELINUX={mode}\n")


def _accounts(deployed: Deployed, installation: Installation, day: int) -> None:
    files = Files(
        *(deployed.text(f"etc/{name}") for name in _FILES),
        *(deployed.text(f"usr/lib/{name}") for name in ("passwd", "group")),
    )
    how = defaults(deployed.text("etc/default/useradd"), deployed.text("etc/login.defs"), day)
    changed, homes = add_accounts(files, installation.root, installation.users, installation.groups, how)
    for name in _FILES:
        if getattr(changed, name) != getattr(files, name):
            if not deployed.tree.exists(f"etc/{name}"):
                deployed.tree.write(f"etc/{name}", "", 0o600 if "shadow" in name else 0o644)
            deployed.write(f"etc/{name}", getattr(changed, name))
    for home in homes:
        make_home(deployed, home)


def make_home(deployed: Deployed, home: Home) -> None:
    """Make a home directory with what /etc/skel has, and the keys that open it by ssh. Raises ConfigError."""
    path, var = deployed.in_var(home.path), deployed.var
    var.makedirs(path.rpartition("/")[0] or path)
    is_new = not var.is_dir(path)
    if is_new:
        var.mkdir(path, _PRIVATE)
        if home.uid:
            _copy(deployed.tree, "etc/skel", var, path, home)
    elif not home.uid:
        var.chmod(path, _PRIVATE)
    if home.uid or is_new:
        var.chown(path, home.uid, home.gid)
    if home.keys:
        if not var.is_dir(f"{path}/.ssh"):
            var.mkdir(f"{path}/.ssh", _PRIVATE)
        var.chown(f"{path}/.ssh", home.uid, home.gid)
        var.write(f"{path}/.ssh/authorized_keys", "".join(f"{key}\n" for key in home.keys), _KEYS)
        var.chown(f"{path}/.ssh/authorized_keys", home.uid, home.gid)


def _copy(source: Root, above: str, target: Root, path: str, home: Home) -> None:
    """Copy a tree of files, directories and links, which then belong to the owner of the home."""
    for name in source.listdir(above):
        inner, there = f"{above}/{name}", f"{path}/{name}"
        found = source.lstat(inner)
        if stat.S_ISDIR(found.st_mode):
            target.mkdir(there, stat.S_IMODE(found.st_mode))
            _copy(source, inner, target, there, home)
        elif stat.S_ISLNK(found.st_mode):
            target.symlink(source.readlink(inner), there)
        elif stat.S_ISREG(found.st_mode):
            with os.fdopen(source.open(inner), "rb") as file:
                target.write(there, file.read(), stat.S_IMODE(found.st_mode))
        target.chown(there, home.uid, home.gid)
