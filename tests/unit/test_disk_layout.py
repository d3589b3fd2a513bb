# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of partitions: what is asked for and a disk's size in, sectors out; and what can't be laid out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickstart.installation import FileSystem, Partition
from kickstart.layout import MIB, SECTOR, Layout, Slot, inodes, lay_out, mount_table, usable
from rpmtree.errors import ConfigError, Place, StoreError, ToolError

ROOT = Partition("/", grow=True)
_GIB = 1 << 30


def places(layout: Layout) -> list[tuple[str, int, int]]:
    """Mount point, first MiB and MiB of each partition."""
    return [(slot.mountpoint, slot.offset // MIB, slot.size // MIB) for slot in layout.slots]


@pytest.mark.parametrize(
    ("asked", "mib", "expected"),
    [
        ((), 1024, [("/", 1, 1023)]),
        ((Partition("/boot", size=256), ROOT), 1024, [("/boot", 1, 256), ("/", 257, 767)]),
        ((Partition("/", size=500),), 1024, [("/", 1, 500)]),
        (
            (Partition("/", size=300, grow=True), Partition("/var", size=100, grow=True)),
            1001,
            [("/", 1, 750), ("/var", 751, 250)],  # three to one, as they were asked for
        ),
        (
            (Partition("/", size=100, grow=True, most=200), Partition("/var", grow=True)),
            1024,
            [("/", 1, 200), ("/var", 201, 823)],  # what the first may not have, the second gets
        ),
        ((Partition("swap", "swap", 128), ROOT), 512, [("swap", 1, 128), ("/", 129, 383)]),
        ((Partition("swap", "swap", 64), Partition("swap", "swap", 64), ROOT), 512,
         [("swap", 1, 64), ("swap", 65, 64), ("/", 129, 383)]),
        ((ROOT, Partition("/home", size=100)), 512, [("/", 1, 411), ("/var/home", 412, 100)]),
        ((ROOT, Partition("/var/", size=100)), 512, [("/", 1, 411), ("/var", 412, 100)]),
    ],
)  # fmt: skip
def test_where_partitions_lie(asked: tuple[Partition, ...], mib: int, expected: list[tuple[str, int, int]]) -> None:
    assert places(lay_out(asked, mib * MIB)) == expected


AT = Place("ks.cfg", 7)


@pytest.mark.parametrize(
    "asked",
    [
        (Partition("/boot", size=100, place=AT),),  # no root
        (Partition("/", "xfs", grow=True, place=AT),),  # which the boot loader can't read
        (Partition("/", "xfs", grow=True), Partition("/boot", "xfs", 400, place=AT)),
        (ROOT, Partition("/usr", size=100, place=AT)),
        (ROOT, Partition("/boot/efi", size=100, place=AT)),
        (ROOT, Partition("/var/../usr", size=100, place=AT)),
        (ROOT, Partition("var", size=100, place=AT)),
        (ROOT, Partition("/", size=100, place=AT)),
        (ROOT, Partition("/home", size=100), Partition("/var/home", size=100, place=AT)),
        (ROOT, Partition("/var", size=0, place=AT)),
        (ROOT, Partition("/var", size=200, most=100, grow=True, place=AT)),
        (*(Partition(f"/var/{name}", size=100) for name in "abcd"), replace(ROOT, place=AT)),
    ],
)
def test_what_no_disk_can_have(asked: tuple[Partition, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        lay_out(asked, 4 * _GIB)
    assert caught.value.place == AT


def test_xfs_with_a_boot_of_its_own() -> None:
    layout = lay_out((Partition("/boot", size=512), replace(ROOT, filesystem="xfs")), 4 * _GIB)
    assert (layout.root.filesystem, layout.boot.mountpoint) == ("xfs", "/boot")


@pytest.mark.parametrize("asked", [(Partition("/", size=1024),), (ROOT, Partition("/var", "xfs", 10))])
def test_a_disk_that_is_too_small(asked: tuple[Partition, ...]) -> None:
    need = sum(max(one.size, {"xfs": 300, "ext4": 16}[one.filesystem]) for one in asked) + 1
    lay_out(asked, need * MIB)  # the control
    with pytest.raises(StoreError) as caught:
        lay_out(asked, need * MIB - SECTOR)
    assert f"{need} MiB are needed, {need - 1} given" in caught.value.message


def test_a_disk_that_is_too_large() -> None:
    lay_out((), 2 << 40)
    with pytest.raises(ToolError, match="2 TiB"):
        lay_out((), (2 << 40) + MIB)


partitions = st.lists(
    st.tuples(st.integers(0, 400), st.booleans(), st.none() | st.integers(400, 5000)), min_size=1, max_size=4
)


@given(partitions, st.integers(2000, 10_000))
def test_partitions_never_overlap(said: list[tuple[int, bool, int | None]], mib: int) -> None:
    names = ("/", "/boot", "/var", "/var/log")
    asked = [
        Partition(name, size=max(size, 16), grow=grow, most=most)
        for name, (size, grow, most) in zip(names, said, strict=False)
    ]
    layout = lay_out(asked, mib * MIB)
    end = MIB
    for slot, one in zip(layout.slots, asked, strict=True):
        assert slot.offset == end
        assert slot.size >= one.size * MIB
        assert one.most is None or slot.size <= max(one.most, one.size) * MIB
        end += slot.size
    assert end <= mib * MIB
    if any(one.grow and one.most is None for one in asked):
        assert end == mib * MIB  # nothing is left over


def test_the_table() -> None:
    layout = lay_out((Partition("/boot", size=256), Partition("swap", "swap", 64), ROOT), _GIB)
    assert layout.table(0xABC).splitlines() == [
        "label: dos",
        "label-id: 0x00000abc",
        "unit: sectors",
        "1 : start=2048, size=524288, type=83, bootable",
        "2 : start=526336, size=131072, type=82",
        "3 : start=657408, size=1439744, type=83",
    ]


def test_more_partitions_than_entries() -> None:
    asked = (Partition("/boot", size=100), ROOT, *(Partition(f"/var/{name}", size=100) for name in "abc"))
    layout = lay_out(asked, _GIB)
    assert [(slot.number, slot.offset // MIB, slot.size // MIB) for slot in layout.slots] == [
        (1, 1, 100),
        (2, 101, 621),
        (3, 722, 100),
        (5, 823, 100),
        (6, 924, 100),
    ]
    assert layout.table(1).splitlines()[5:] == [
        f"3 : start={722 * 2048}, size={100 * 2048}, type=83",
        f"4 : start={822 * 2048}, size={202 * 2048}, type=5",
        f"5 : start={823 * 2048}, size={100 * 2048}, type=83",
        f"6 : start={924 * 2048}, size={100 * 2048}, type=83",
    ]
    assert lay_out(asked[:4], _GIB).slots[-1].number == 4


def test_the_mount_table() -> None:
    layout = lay_out((ROOT, Partition("/var", "xfs", 400, options=("noatime", "nodev")), Partition("swap", "swap", 64)),
                     _GIB)  # fmt: skip
    assert mount_table((slot, f"id-{slot.number}") for slot in layout.slots).splitlines() == [
        "UUID=id-1 / ext4 defaults 0 2",
        "UUID=id-2 /var xfs noatime,nodev 0 0",
        "UUID=id-3 none swap defaults 0 0",
    ]


def test_mounts_are_ordered_by_depth() -> None:
    layout = lay_out(
        (Partition("/var/log", size=64), Partition("/boot", size=64), Partition("/var", size=64), ROOT), _GIB
    )
    assert [slot.mountpoint for slot in layout.mounted] == ["/", "/boot", "/var", "/var/log"]


@pytest.mark.parametrize(("filesystem", "mib"), [("ext4", 512), ("ext4", 8192), ("xfs", 512), ("xfs", 8192)])
def test_what_fits_grows_with_the_partition(filesystem: FileSystem, mib: int) -> None:
    slot = Slot(1, "/", filesystem, 2048, mib * MIB // SECTOR)
    assert 0.7 * slot.size < usable(slot) < slot.size
    assert inodes(slot) > mib * 60
