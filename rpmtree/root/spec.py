# SPDX-License-Identifier: GPL-2.0-or-later
"""What a root is to be: the frozen values that a front end hands to the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from rpmtree.pkgcache.choices import USUAL, ImportChoices


class BootLocation(Enum):
    """Where the kernel goes (treefile key `boot-location`)."""

    NEW = "new"  # /usr/lib/modules, and hard links under /usr/lib/ostree-boot
    MODULES = "modules"  # /usr/lib/modules alone
    KERNEL_INSTALL = "kernel-install"  # the kernel package's own scripts place it


class OptUsrLocal(Enum):
    """What /opt and /usr/local are (treefile key `opt-usrlocal`)."""

    VAR = "var"  # links into /var
    ROOT = "root"  # directories of the image
    STATE_OVERLAY = "state-overlay"  # directories of the image under a writable overlay


class VarPolicy(Enum):
    """What becomes of files that a package's scripts write below /var."""

    WARN = "warn"  # dropped, and named in a warning
    IGNORE = "ignore"  # dropped in silence
    TMPFILES = "tmpfiles"  # directories and links become tmpfiles.d lines; files are dropped with a warning


@dataclass(frozen=True, slots=True)
class ScriptPolicy:
    """How scriptlets run. Mappings are from a package's name."""

    var: Mapping[str, VarPolicy] = field(default_factory=dict)
    #: `name.phase` (rpm-ostree's way to name scripts, such as `bash.post`) that are not run.
    skipped: frozenset[str] = frozenset()
    kernel_install: bool = False
    #: Whether systemd-sysusers is run even where the image's rpm would not.
    sysusers_forced: bool = False
    #: What the files of the packages were imported with.
    choices: ImportChoices = USUAL
    expand_macros: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 600.0
    source_date_epoch: int = 0


@dataclass(frozen=True, slots=True)
class AddFile:
    """A file of the treefile's (`source`, outside the root) that goes to `destination` inside it."""

    source: Path
    destination: str


@dataclass(frozen=True, slots=True)
class AccountsCheck:
    """A check that ids did not move (treefile keys `check-passwd`, `check-groups`).

    `reference` maps a name to its (uid, gid), or to (gid,) for groups; None means that there is nothing
    to compare with. An id of None is not compared. Names in `ignored` may vanish; `*` stands for all.
    """

    reference: Mapping[str, tuple[int | None, ...]] | None = None
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FinishSpec:
    """How an assembled root is made into a tree that OSTree can deploy; a field a decision."""

    boot_location: BootLocation = BootLocation.NEW
    tmp_is_dir: bool = False
    opt_usrlocal: OptUsrLocal = OptUsrLocal.VAR
    container: bool = False
    #: Files will be labelled by the policy in the tree, if there is one.
    selinux: bool = False
    units: tuple[str, ...] = ()
    default_target: str | None = None
    machineid_compat: bool = True
    mutate_os_release: str | None = None
    version: str | None = None
    osname: str | None = None
    etc_group_members: tuple[str, ...] = ()
    check_passwd: AccountsCheck = AccountsCheck()
    check_groups: AccountsCheck = AccountsCheck()
    initramfs: bool = True
    initramfs_args: tuple[str, ...] = ()
    add_files: tuple[AddFile, ...] = ()
    remove_files: tuple[str, ...] = ()
    #: Texts of scripts, each with its `#!` line, run in this order in the sandbox.
    postprocess: tuple[str, ...] = ()
    postprocess_script: Path | None = None
    #: Programs that run on the host when all else is done.
    finalize: tuple[Path, ...] = ()
    #: The flattened treefile, stored in the image; None stores none.
    treefile_json: str | None = None
    source_date_epoch: int = 0


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Which files of packages are left out of a root."""

    documentation: bool = True
    #: As in %_install_langs; empty takes all languages.
    languages: tuple[str, ...] = ()
    #: Package name → expressions; a file of the package that matches one is left out.
    removed: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LayerCommit:
    """A commit (raw checksum) whose tree goes on top of the packages'. With `override` its files replace others."""

    name: str
    checksum: bytes
    override: bool = False


@dataclass(frozen=True, slots=True)
class RootSpec:
    """How packages are put together; which packages is the solution's to say."""

    files: FileFilter = FileFilter()
    scripts: ScriptPolicy = ScriptPolicy()
    opt_usrlocal: OptUsrLocal = OptUsrLocal.VAR
    #: Commits in the store, in the order in which they are put on.
    layers: tuple[LayerCommit, ...] = ()
    #: passwd and group entries of the previous commit, so that ids stay (treefile key `preserve-passwd`).
    passwd: str = ""
    group: str = ""
    #: The same of a machine's own /etc: their ids are taken, and they stay out of the root.
    local_passwd: str = ""
    local_group: str = ""
    source_date_epoch: int = 0
