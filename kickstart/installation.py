# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to be installed where, as one frozen value: what a kickstart file says, and what a disk is made from.

It knows no kickstart syntax and no disk: `kickstart.reading` makes it of a file, `kickstart.disk` carries it out. Names
in it were checked; passwords are crypt(5) hashes and never plain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rpmtree.errors import Place

FileSystem = Literal["ext4", "xfs", "swap"]


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition to make, in the order in which it is to lie on the disk."""

    #: `/`, `/boot`, `/var`, … or `swap`.
    mountpoint: str
    filesystem: FileSystem = "ext4"
    #: MiB, at least; with `grow` it takes its share of what is left, up to `most`.
    size: int = 0
    grow: bool = False
    most: int | None = None
    label: str | None = None
    #: Options in /etc/fstab.
    options: tuple[str, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The branch to deploy, and the remote that the machine follows afterwards (kickstart: ostreesetup)."""

    url: str
    ref: str
    remote: str
    osname: str
    gpg: bool = True


@dataclass(frozen=True, slots=True)
class Account:
    """A user to make, or root."""

    name: str
    #: As in /etc/shadow; None is no password: only keys let in.
    password: str | None = None
    locked: bool = False
    groups: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None
    home: str | None = None
    shell: str | None = None
    gecos: str = ""
    #: Lines of authorized_keys.
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A group to make."""

    name: str
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A %post of a kickstart file."""

    text: str
    interpreter: str = "/bin/sh"
    #: Whether the installation fails with it (--erroronfail).
    essential: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """One machine, whole. Nothing in it has to be said: the default is one root partition and a locked root."""

    source: Source | None = None
    #: Empty: the default layout.
    partitions: tuple[Partition, ...] = ()
    kernel_arguments: tuple[str, ...] = ()
    #: Seconds that the boot menu waits; None: what the boot loader does by itself.
    boot_timeout: int | None = None
    #: None: as the image has it.
    root: Account | None = field(default_factory=lambda: Account("root", locked=True))
    users: tuple[Account, ...] = ()
    groups: tuple[Group, ...] = ()
    timezone: str | None = None
    lang: str | None = None
    keyboard: str | None = None
    hostname: str | None = None
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    selinux: Literal["enforcing", "permissive", "disabled"] | None = None
    post: tuple[Script, ...] = ()
