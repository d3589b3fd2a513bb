# SPDX-License-Identifier: GPL-2.0-or-later
"""Where partitions lie on a disk: what an installation asks for and the disk's size become a table in sectors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kickstart.installation import FileSystem, Partition
from rpmtree.errors import ConfigError, StoreError, ToolError

SECTOR = 512
MIB = 1 << 20
#: Partitions begin at multiples of a MiB, the first one behind the first MiB, where boot loaders lie.
_GAP = MIB // SECTOR
#: A DOS partition table counts sectors in 32 bits.
_MAX_SECTORS = 1 << 32
#: It has four entries; where they are not enough, the last one is an extended partition that holds the others, which
#: count from 5, and each of which has a table of its own in front of it. Boot code starts none of those.
_ENTRIES, _EXTENDED = 4, 5
#: mkfs.xfs makes nothing smaller; the others' bounds are what can hold anything.
_SMALLEST = {"ext4": 16, "xfs": 300, "swap": 1}
#: What a root file system, a kernel and an initramfs are no use without.
_DEFAULT = (Partition("/", grow=True),)
#: Links at the top of an OSTree tree, which a mount point can't be.
_LINKS = {"/home": "/var/home", "/srv": "/var/srv", "/mnt": "/var/mnt", "/root": "/var/roothome"}
_TYPES = {"ext4": 0x83, "xfs": 0x83, "swap": 0x82}


@dataclass(frozen=True, slots=True)
class Slot:
    """A partition with its place. `number` is that of its device; `start` and `sectors` are in units of 512 bytes."""

    number: int
    mountpoint: str
    filesystem: FileSystem
    start: int
    sectors: int
    label: str | None = None
    options: tuple[str, ...] = ()

    @property
    def offset(self) -> int:
        """Bytes from the beginning of the disk."""
        return self.start * SECTOR

    @property
    def size(self) -> int:
        """Bytes."""
        return self.sectors * SECTOR


@dataclass(frozen=True, slots=True)
class Layout:
    """A disk of `size` bytes, and its partitions in their order on it."""

    size: int
    slots: tuple[Slot, ...]

    @property
    def mounted(self) -> tuple[Slot, ...]:
        """Those with a file system, each behind the one that it is mounted in."""
        return tuple(sorted((s for s in self.slots if s.filesystem != "swap"), key=lambda s: s.mountpoint.split("/")))

    @property
    def swap(self) -> tuple[Slot, ...]:
        """Those to swap to."""
        return tuple(slot for slot in self.slots if slot.filesystem == "swap")

    def at(self, mountpoint: str) -> Slot | None:
        """The partition that is mounted there."""
        return next((slot for slot in self.slots if slot.mountpoint == mountpoint), None)

    @property
    def root(self) -> Slot:
        """The partition with the sysroot."""
        return next(slot for slot in self.slots if slot.mountpoint == "/")

    @property
    def boot(self) -> Slot:
        """The partition with kernels and boot loader: one of its own, or the root's."""
        return self.at("/boot") or self.root

    def table(self, disk_id: int) -> str:
        """The partition table as sfdisk(8) takes it; `disk_id` has 32 bits."""
        lines = [
            f"{slot.number} : start={slot.start}, size={slot.sectors}, type={_TYPES[slot.filesystem]:x}"
            + (", bootable" if slot is self.boot else "")
            for slot in self.slots
        ]
        if len(lines) > _ENTRIES:
            first, last = self.slots[_ENTRIES - 1], self.slots[-1]
            begin = first.start - _GAP
            size = last.start + last.sectors - begin
            lines.insert(_ENTRIES - 1, f"{_ENTRIES} : start={begin}, size={size}, type={_EXTENDED:x}")
        return "\n".join(["label: dos", f"label-id: 0x{disk_id:08x}", "unit: sectors", *lines, ""])


def lay_out(asked: Sequence[Partition], size: int) -> Layout:
    """The layout of a disk of `size` bytes; no partitions mean one for all.

    What is left over goes to those that grow, in proportion to the sizes that they were asked with (as Anaconda has
    it), up to their `most`. Raises ConfigError, with the partition's place where one is wrong; StoreError if the disk
    is too small.
    """
    partitions = [_resolved(one) for one in asked or _DEFAULT]
    _check(partitions)
    sectors = size // SECTOR
    if sectors > _MAX_SECTORS:
        raise ToolError(f"a disk of {size} bytes is too large for its partition table: 2 TiB is the most")
    is_extended = len(partitions) > _ENTRIES
    gaps = 1 + (len(partitions) - _ENTRIES + 1 if is_extended else 0)
    available = sectors // _GAP - gaps
    least = [max(one.size, _SMALLEST[one.filesystem]) for one in partitions]
    if sum(least) > available:
        raise StoreError(
            f"the disk is too small for its partitions: {sum(least) + gaps} MiB are needed, {size // MIB} given",
            hint="make it larger, or the partitions smaller",
        )
    slots, start = [], _GAP
    for index, (one, mib) in enumerate(zip(partitions, _grown(partitions, least, available), strict=True), 1):
        is_inner = is_extended and index >= _ENTRIES
        start += _GAP if is_inner else 0
        slot = Slot(index + is_inner, one.mountpoint, one.filesystem, start, mib * _GAP, one.label, one.options)
        slots.append(slot)
        start += slot.sectors
    return Layout(size, tuple(slots))


def _resolved(one: Partition) -> Partition:
    """The partition with its mount point as the kernel will have it."""
    if one.filesystem == "swap":
        return Partition("swap", "swap", one.size, one.grow, one.most, one.label, one.options, one.place)
    path = one.mountpoint.rstrip("/") or "/"
    for link, target in _LINKS.items():
        if path == link or path.startswith(f"{link}/"):
            path = target + path.removeprefix(link)
    return Partition(path, one.filesystem, one.size, one.grow, one.most, one.label, one.options, one.place)


def _check(partitions: Sequence[Partition]) -> None:
    for one in partitions:
        _check_one(one)
    seen: set[str] = set()
    for one in partitions:
        if one.mountpoint in seen and one.mountpoint != "swap":
            raise ConfigError(f"two partitions are to be mounted at {one.mountpoint}", place=one.place)
        seen.add(one.mountpoint)
    last = partitions[-1]
    if "/" not in seen:
        raise ConfigError(
            "no partition is to be mounted at /", place=last.place, hint="add one: part / --grow --size=1"
        )
    boot = next((one for one in partitions if one.mountpoint == "/boot"), None)
    root = next(one for one in partitions if one.mountpoint == "/")
    if (boot or root).filesystem != "ext4":
        raise ConfigError(
            f"the boot loader reads ext4 alone, and {(boot or root).mountpoint} is {(boot or root).filesystem}",
            place=(boot or root).place,
            hint="make a /boot of its own: part /boot --fstype=ext4 --size=512",
        )
    if len(partitions) > _ENTRIES and partitions.index(boot or root) >= _ENTRIES - 1:
        raise ConfigError(
            f"of {len(partitions)} partitions, that for {(boot or root).mountpoint} must be one of the first three",
            place=(boot or root).place,
        )


def _check_one(one: Partition) -> None:
    if one.filesystem not in _TYPES:
        raise ConfigError(f"there is no support for the file system {one.filesystem}", place=one.place)
    if one.filesystem != "swap" and not _may_be_mounted(one.mountpoint):
        raise ConfigError(
            f"{one.mountpoint} can't be a partition of its own",
            place=one.place,
            hint="on such a system /, /boot and what is at or below /var can",
        )
    if one.size < 0 or (one.most is not None and one.most < one.size):
        raise ConfigError(f"the sizes of the partition for {one.mountpoint} contradict each other", place=one.place)
    if one.size == 0 and not one.grow:
        raise ConfigError(
            f"the partition for {one.mountpoint} has no size", place=one.place, hint="say --size or --grow"
        )


def _may_be_mounted(path: str) -> bool:
    parts = path.split("/")
    proper = path == "/" or (path.startswith("/") and all(part not in ("", ".", "..") for part in parts[1:]))
    return proper and (path in ("/", "/boot", "/var") or path.startswith("/var/"))


def _grown(partitions: Sequence[Partition], least: Sequence[int], available: int) -> list[int]:
    """The sizes in MiB, what is left over shared out."""
    sizes = list(least)
    growing = {index for index, one in enumerate(partitions) if one.grow}
    while growing and (left := available - sum(sizes)) > 0:
        weight = sum(max(partitions[index].size, 1) for index in growing)
        shares = {index: left * max(partitions[index].size, 1) // weight for index in growing}
        if not any(shares.values()):  # less than a MiB for each: the first ones get it
            shares = dict.fromkeys(sorted(growing)[:left], 1)
        for index, share in shares.items():
            most = partitions[index].most
            sizes[index] += share if most is None else min(share, max(most - sizes[index], 0))
        growing = {index for index in growing if (most := partitions[index].most) is None or sizes[index] < most}
    return sizes


def usable(slot: Slot) -> int:
    """Bytes that fit into a new file system, at the least: what it keeps for itself is taken off."""
    if slot.filesystem == "xfs":
        # A log of 64 MiB or 1/2048; what each allocation group has, and keeps for its trees to grow.
        return slot.size - max(64 * MIB, slot.size >> 11) - (slot.size >> 5) - 12 * MIB
    blocks = slot.size // 4096
    groups = -(-blocks // 32768)
    # ext4(5), as `kickstart.image` has it made: two bitmaps and 8192 inodes of 256 bytes in each group; superblock,
    # descriptors and room for 1024 blocks more of these in some; the journal.
    copies = sum(1 for group in range(groups) if _has_superblock(group))
    return (blocks - groups * 515 - copies * 1026 - _journal(blocks)) * 4096


def _has_superblock(group: int) -> bool:
    """Group 0, 1, and the powers of 3, 5 and 7 (sparse_super)."""
    return group < 2 or any(group == base**exponent for base in (3, 5, 7) for exponent in range(1, 12))


def _journal(blocks: int) -> int:
    """The size that mke2fs gives a journal, in blocks."""
    steps = ((32768, 1024), (262144, 4096), (524288, 8192), (4194304, 16384), (8388608, 32768), (16777216, 65536))
    return next((size for limit, size in (*steps, (33554432, 131072)) if blocks < limit), 262144)


def inodes(slot: Slot) -> int:
    """How many files fit into a new file system; xfs has no such bound."""
    return slot.size // 16384 if slot.filesystem == "ext4" else slot.size // 512


def mount_table(slots: Iterable[tuple[Slot, str]]) -> str:
    """What fstab(5) says of partitions, which come with their UUIDs."""
    return "".join(_line(slot, uuid) for slot, uuid in slots)


def _line(slot: Slot, uuid: str) -> str:
    options = ",".join(slot.options) or "defaults"
    if slot.filesystem == "swap":
        return f"UUID={uuid} none swap {options} 0 0\n"
    # xfs has nothing to check at boot.
    return f"UUID={uuid} {slot.mountpoint} {slot.filesystem} {options} 0 {2 if slot.filesystem == 'ext4' else 0}\n"
