# SPDX-License-Identifier: GPL-2.0-or-later
"""Directives about the disk: part, clearpart, autopart, reqpart, bootloader.

An image is one empty disk with a table of partitions that has no more than what a kickstart file says.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from kickstart import values
from kickstart.document import Directive
from kickstart.draft import Draft
from kickstart.installation import FileSystem, Partition
from rpmtree.errors import Place

BOOT_SIZE = 1024
MAX_PARTITIONS = 32
_FILESYSTEMS: Mapping[str, FileSystem] = {"ext4": "ext4", "xfs": "xfs", "swap": "swap"}
#: Directories that are links into /var in a deployment (libostree's "adapting existing distributions").
_IN_VAR = {
    "/home": "/var/home",
    "/srv": "/var/srv",
    "/opt": "/var/opt",
    "/mnt": "/var/mnt",
    "/root": "/var/roothome",
    "/usr/local": "/var/usrlocal",
}
#: Options that are not supported, as attributes of pykickstart's and how each is spelled.
_ENCRYPTION = {"encrypted": "--encrypted", "passphrase": "--passphrase", "hibernation": "--hibernation"}
_NOT_OF_PART = {
    **_ENCRYPTION,
    "fsprofile": "--fsprofile",
    "mkfsopts": "--mkfsoptions",
}
_NOT_OF_BOOTLOADER = {
    "password": "--password",
    "md5pass": "--md5pass",
    "disabled": "--disabled",
    "nombr": "--nombr",
    "hvArgs": "--hvargs",
    "default": "--default",
}
#: Names that are no mount point, and what a partition of that name would be part of.
_PHYSICAL = {"pv.": "LVM is not supported", "raid.": "RAID is not supported", "btrfs.": "btrfs is not supported"}
#: pykickstart's AUTOPART_TYPE_PLAIN.
_PLAIN = 0
_PLATFORM = ("/boot/efi", "biosboot", "prepboot", "appleboot")


def part(draft: Draft, directive: Directive, said: Any) -> None:
    """`part /var --size=4096 --grow --fstype=xfs`."""
    if reason := _not_made(said):
        draft.unsupported(f"{directive.name} {said.mountpoint}: {reason}", directive.at(said.mountpoint))
        return
    draft.without(said, directive, _NOT_OF_PART)
    if disk := said.disk or said.onbiosdisk:
        draft.disks.setdefault(disk, directive.at(disk))
    mountpoint = _mountpoint(draft, directive, said.mountpoint)
    filesystem = _filesystem(draft, directive, said)
    if mountpoint is None or filesystem is None:
        return
    label = options = None
    if said.label:
        label = draft.checked(lambda text: values.label(text, filesystem), said.label, directive.at("--label"))
    if said.fsopts:
        options = draft.checked(values.mount_options, said.fsopts, directive.at("--fsoptions"))
    size, most = _size(draft, directive, said), _most(draft, directive, said)
    grow = bool(said.grow)
    _add(draft, directive, Partition(mountpoint, filesystem, size, grow, most, label, options or (), directive.place))


def _not_made(said: Any) -> str | None:
    """Why a partition of this kind is not made in an image."""
    for name, reason in _PHYSICAL.items():
        if said.mountpoint.startswith(name):
            return reason
    if said.mountpoint in _PLATFORM:
        return "an image starts from its master boot record, which needs no such partition"
    if said.onPart or not said.format or said.resize:
        return "an image has no partitions yet that could be used"
    if said.recommended:
        return "a size that fits the machine's memory is not known: use --size"
    return None


def _add(draft: Draft, directive: Directive, partition: Partition) -> None:
    if partition.mountpoint != "swap" and partition.mountpoint in [other.mountpoint for other in draft.partitions]:
        draft.wrong(f"a second partition for {partition.mountpoint}", directive.place)
    elif partition.label and partition.label in [other.label for other in draft.partitions]:
        draft.wrong(f"a second partition with the label {partition.label}", directive.at("--label"))
    elif len(draft.partitions) >= MAX_PARTITIONS:
        draft.wrong(f"more than {MAX_PARTITIONS} partitions", directive.place)
    else:
        draft.partitions.append(partition)


def _mountpoint(draft: Draft, directive: Directive, normal: str) -> str | None:
    """Where the partition belongs; pykickstart has resolved `..` in it, which nobody means."""
    place = directive.at(normal)
    for word in directive.words[1:]:
        if word.startswith("/") and posixpath.normpath(word) == normal != (word.rstrip("/") or "/"):
            draft.wrong(f"a mount point is written without //, . and ..: {word}", directive.at(word))
            return None
    if normal == "swap":
        return normal
    for top, real in _IN_VAR.items():
        if normal == top or normal.startswith(f"{top}/"):
            normal = real + normal.removeprefix(top)
            draft.note(f"{top} is a link to {real}, where the partition is mounted", place)
    if normal not in ("/", "/boot", "/var"):
        if draft.checked(values.path, normal, place) is None:
            return None
        if not normal.startswith("/var/"):
            hint = "/, /boot, /var, what is below /var, and swap can be partitions"
            draft.wrong(f"{normal} is part of the deployed branch, or made at boot", place, hint)
            return None
    return normal


def _filesystem(draft: Draft, directive: Directive, said: Any) -> FileSystem | None:
    swap = said.mountpoint == "swap"
    name = said.fstype or ("swap" if swap else "ext4")
    place = directive.at(said.fstype) if said.fstype else directive.place
    if name not in _FILESYSTEMS:
        draft.unsupported(f"file system {name!r} is not supported", place, "ext4, xfs and swap are")
        if said.mountpoint == "/":
            draft.root_skipped = place
        return None
    if (name == "swap") != swap:
        draft.wrong(f"{said.mountpoint} can't be {name}", place)
        return None
    return _FILESYSTEMS[name]


def _size(draft: Draft, directive: Directive, said: Any) -> int:
    if said.size is None:
        if not said.grow:
            draft.wrong("a partition needs --size, --grow or both", directive.place)
        return 0
    return draft.checked(values.size, said.size, directive.at("--size")) or 0


def _most(draft: Draft, directive: Directive, said: Any) -> int | None:
    if "--maxsize" not in directive.line and not said.maxSizeMB:
        return None
    place = directive.at("--maxsize")
    most = draft.checked(values.size, said.maxSizeMB, place)
    if most is not None and said.size is not None and most < said.size:
        draft.wrong(f"--maxsize={most} is less than --size={said.size}", place)
    if not said.grow:
        draft.note("--maxsize without --grow has no effect", place)
        return None
    return most


def clearpart(draft: Draft, directive: Directive, said: Any) -> None:
    """`clearpart --all --initlabel`: an image is empty, and has a partition table of the old kind."""
    if said.disklabel and said.disklabel not in ("msdos", "dos", "mbr"):
        place = directive.at("--disklabel")
        draft.unsupported(f"clearpart --disklabel={said.disklabel} is not supported", place, "msdos is")
    draft.idle.append(directive)


def autopart(draft: Draft, directive: Directive, said: Any) -> None:
    """`autopart --type=plain --fstype=xfs`: /boot and one partition for all the rest."""
    draft.without(said, directive, _ENCRYPTION)
    if said.type != _PLAIN:
        draft.unsupported("autopart without --type=plain means LVM or btrfs", directive.place, "add --type=plain")
    filesystem: FileSystem = "ext4"
    if said.fstype:
        if said.fstype in ("ext4", "xfs"):
            filesystem = _FILESYSTEMS[said.fstype]
        else:
            place = directive.at(said.fstype)
            draft.unsupported(f"file system {said.fstype!r} is not supported", place, "ext4 and xfs are")
    boot = () if said.noboot else (boot_partition(directive.place),)
    draft.automatic = directive.place, (*boot, Partition("/", filesystem, grow=True, place=directive.place))


def boot_partition(place: Place) -> Partition:
    """What Anaconda makes for /boot by itself."""
    return Partition("/boot", "ext4", BOOT_SIZE, place=place)


def reqpart(draft: Draft, directive: Directive, said: Any) -> None:
    """`reqpart --add-boot`: what a platform needs is nothing here."""
    if said.addBoot:
        _add(draft, directive, boot_partition(directive.place))


def bootloader(draft: Draft, directive: Directive, said: Any) -> None:
    """`bootloader --append="console=ttyS0" --timeout=1`."""
    draft.without(said, directive, _NOT_OF_BOOTLOADER)
    if said.location not in ("mbr", "boot"):
        place = directive.at("--location")
        draft.unsupported(f"bootloader --location={said.location} is not supported", place, "mbr is")
    if said.appendLine:
        arguments = draft.checked(values.kernel_arguments, said.appendLine, directive.at("--append"))
        draft.kernel_arguments += arguments or ()
        # Several lines add up, and the kernel has one.
        draft.checked(values.kernel_arguments, " ".join(draft.kernel_arguments), directive.at("--append"))
    if said.timeout is not None:
        draft.boot_timeout = draft.checked(values.seconds, said.timeout, directive.at("--timeout"))
    for disk in [said.bootDrive, *said.driveorder][:1]:
        if disk:
            draft.disks.setdefault(disk, directive.at(disk))


def logvol(draft: Draft, directive: Directive) -> None:
    """An LVM volume, which is left out: was it the root?"""
    if "/" in directive.words[1:]:
        draft.root_skipped = directive.place


def layout(draft: Draft) -> tuple[Partition, ...]:
    """The partitions, when all was said."""
    for disk, place in list(draft.disks.items())[1:]:
        draft.unsupported(f"an image is one disk: {disk} is another than {next(iter(draft.disks))}", place)
    if draft.automatic is not None:
        place, partitions = draft.automatic
        if draft.partitions:
            draft.wrong("autopart and partitions of one's own exclude each other", place)
        return partitions
    found = tuple(draft.partitions)
    if "/" in [partition.mountpoint for partition in found]:
        return found
    if draft.root_skipped is not None:
        if draft.lenient:
            draft.note("the default layout is used, since what was to be / is left out", draft.root_skipped)
    elif found:
        draft.wrong("no partition for /", found[0].place or Place("kickstart"))
    return ()


DIRECTIVES: Mapping[str, Callable[[Draft, Directive, Any], None]] = {
    "part": part,
    "partition": part,
    "autopart": autopart,
    "clearpart": clearpart,
    "reqpart": reqpart,
    "bootloader": bootloader,
}
