# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel and what is made of it: one version, its files in one place, an initramfs that boots OSTree."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.errors import CommandFailed, ToolError
from rpmtree.files import Root
from rpmtree.finish import boot_links, initramfs, kernel
from rpmtree.root.spec import BootLocation, FinishSpec
from tests.finish.golden import Recorder, check, run
from tests.finish.tinyroot import make

V = "usr/lib/modules/6.1-demo"
B = "usr/lib/ostree-boot"
MODULES_ONLY = FinishSpec(boot_location=BootLocation.MODULES)
CONTAINER = FinishSpec(container=True)


def test_kernel_from_boot(tmp_path: Path) -> None:
    before = f"""
    boot/loader/entries/x.conf
    boot/0123456789abcdef0123456789abcdef/x
    boot/efi/EFI/x.efi "efi"
    boot/System.map-6.1-demo "map"
    {B}/vmlinuz-6.1-demo 0755 "kernel"
    {B}/.vmlinuz-6.1-demo.hmac "abcd  /boot/vmlinuz-6.1-demo\\n"
    {B}/config-6.1-demo "of boot"
    {B}/initramfs-6.1-demo.img "made by a script"
    {B}/vmlinuz-0-rescue-77 "r"
    {B}/vmlinuz-5.0-{"a" * 64} "ours, of an earlier run"
    {V}/config "of the package"
    {V}/initramfs.img "made by a script"
    """
    after = f"""
    boot/
    {B}/efi/EFI/x.efi "efi"
    {B}/vmlinuz-0-rescue-77 "r"
    {V}/vmlinuz 0755 "kernel"
    {V}/.vmlinuz.hmac "abcd  vmlinuz\\n"
    {V}/System.map "map"
    {V}/config "of the package"
    """
    check(tmp_path, kernel.apply, before, after, MODULES_ONLY)


def test_kernel_in_place_is_not_touched(tmp_path: Path) -> None:
    tree = f'{V}/vmlinuz "kernel"\n{V}/initramfs.img "kept"\n{V}/kernel/a.ko.xz\n{V}/modules.dep.bin\n'
    tree += f"{V}/modules.dep\n| kernel/a.ko.xz:\nusr/lib/modules/5.0-left-behind/x"
    check(tmp_path / "own", kernel.apply, tree, tree, replace(MODULES_ONLY, initramfs=False))
    check(tmp_path / "scripts", kernel.apply, tree, tree, FinishSpec(boot_location=BootLocation.KERNEL_INSTALL))


@pytest.mark.parametrize(
    ("tree", "about"),
    [
        ("usr/lib/modules/6.1/kernel/x.ko", "no kernel"),
        ("usr/lib/modules/6.1/vmlinuz\nusr/lib/modules/6.2/vmlinuz", "6.1, 6.2"),
        (f"usr/lib/modules/6.1/vmlinuz\n{B}/vmlinuz-6.2", "6.1, 6.2"),
        ("usr/lib/modules/6.1/vmlinuz\nusr/lib/modules/6.1/kernel/x.ko", "depmod"),
    ],
)
def test_kernel_refuses(tmp_path: Path, tree: str, about: str) -> None:
    with pytest.raises(ToolError, match=about) as caught:
        run(tmp_path, kernel.apply, tree)
    assert caught.value.hint
    check(tmp_path / "container", kernel.apply, tree, tree, CONTAINER)


@pytest.mark.parametrize(
    ("dep", "modules", "stale"),
    [
        ("kernel/a.ko: kernel/b.ko\nkernel/b.ko:\n", ("a.ko", "b.ko"), False),
        ("kernel/a.ko:\n", ("a.ko", "b.ko"), True),
        ("kernel/a.ko:\nkernel/b.ko:\n", ("a.ko",), True),
        ("", ("a.ko.zst",), True),
        ("", ("a.kox", "ko"), False),
    ],
)
def test_modules_dep(tmp_path: Path, dep: str, modules: tuple[str, ...], stale: bool) -> None:
    directory = tmp_path / V
    (directory / "kernel").mkdir(parents=True)
    for name in modules:
        (directory / "kernel" / name).touch()
    (directory / "modules.dep").write_text(dep)
    (directory / "modules.dep.bin").touch()
    with Root(tmp_path) as root:
        assert kernel.modules_dep_is_stale(root, "6.1-demo") == stale


@pytest.mark.needs("bwrap", "root", "seccomp:")
def test_depmod_runs_in_the_image(tmp_path: Path) -> None:
    depmod = r'usr/sbin/depmod 0755 "#!/bin/sh\necho \"$@\" > /usr/lib/modules/6.1-demo/modules.dep\n"'
    make(tmp_path / "root", f"{depmod}\n{V}/vmlinuz\n{V}/kernel/a.ko")
    with Root(tmp_path / "root") as root:
        kernel.apply(root, MODULES_ONLY, Recorder())
        assert root.read_text(f"{V}/modules.dep") == "-a 6.1-demo\n"


def test_boot_links(tmp_path: Path) -> None:
    before = f'{V}/vmlinuz "kernel"\n{V}/initramfs.img "initramfs"'
    checksum = hashlib.sha256(b"kernelinitramfs").hexdigest()
    after = f"{before}\n{B}/vmlinuz-6.1-demo-{checksum} == {V}/vmlinuz\n"
    after += f"{B}/initramfs-6.1-demo.img-{checksum} == {V}/initramfs.img"
    check(tmp_path / "new", boot_links.apply, before, after)
    check(tmp_path / "modules", boot_links.apply, before, before, MODULES_ONLY)
    check(tmp_path / "container", boot_links.apply, before, before, CONTAINER)
    alone = hashlib.sha256(b"kernel").hexdigest()
    before = f'{V}/vmlinuz "kernel"'
    check(tmp_path / "none", boot_links.apply, before, f"{before}\n{B}/vmlinuz-6.1-demo-{alone} == {V}/vmlinuz")


DRACUT_MODULE = "usr/lib/dracut/modules.d/98ostree/module-setup.sh"
FAKE_DRACUT = r"""usr/bin/dracut 0755
| #!/bin/sh
| [ -d /tmp/dracut ] || exit 9
| echo "epoch $SOURCE_DATE_EPOCH" >/usr/lib/modules/6.1-demo/initramfs.img
| for word in "$@"; do
| case $word in --fail) echo "cannot find everything" >&2; exit 3;; esac
| echo "$word" >>/usr/lib/modules/6.1-demo/initramfs.img
| done
"""


@pytest.mark.needs("bwrap", "root", "seccomp:")
def test_initramfs_by_a_dracut_that_tells_how_it_was_called(tmp_path: Path) -> None:
    make(tmp_path / "root", f"{FAKE_DRACUT}\n{DRACUT_MODULE}\n{V}/vmlinuz")
    spec = FinishSpec(initramfs_args=("--omit", "nfs"), source_date_epoch=86400)
    with Root(tmp_path / "root") as root:
        initramfs.apply(root, spec, Recorder())
        made = root.read(f"{V}/initramfs.img")
        assert root.lstat(f"{V}/initramfs.img").st_mode & 0o7777 == 0o644
    said = made.partition(b"\0")[0]
    assert said.decode().splitlines() == [
        "epoch 86400", "--no-hostonly", "--reproducible", "-v", "--add", "ostree", "--tmpdir=/tmp/dracut", "-f",
        "--omit", "nfs", "--kver", "6.1-demo", f"/{V}/initramfs.img",
    ]  # fmt: skip
    offset = made.index(b"070701")
    assert offset % 4 == 0
    assert offset - len(said) >= 4
    assert made[offset:] == initramfs.random_devices()
    with pytest.raises(CommandFailed) as caught, Root(tmp_path / "root") as root:
        initramfs.apply(root, replace(spec, initramfs_args=("--fail",)), Recorder())
    assert caught.value.status == 3
    assert caught.value.detail == "cannot find everything"


@pytest.mark.needs("cpio")
def test_the_random_devices_are_an_archive() -> None:
    listing = command.run(["cpio", "-itv", "--numeric-uid-gid"], stdin=initramfs.random_devices()).stdout.decode()
    assert [line.split()[0] + " " + line.split()[-1] for line in listing.splitlines()] == [
        "drwxr-xr-x dev", "crw-r--r-- dev/random", "crw-r--r-- dev/urandom",
    ]  # fmt: skip
    assert "1,   8" in listing
    assert "1,   9" in listing


@pytest.mark.parametrize(
    ("tree", "about"),
    [("usr/bin/", "no dracut"), ("usr/bin/dracut\nusr/lib/dracut/modules.d/98notostree/", "ostree module")],
)
def test_initramfs_refuses(tmp_path: Path, tree: str, about: str) -> None:
    tree = f"{tree}\n{V}/vmlinuz"
    with pytest.raises(ToolError, match=about) as caught:
        run(tmp_path / "refused", initramfs.apply, tree)
    assert "no-initramfs" in (caught.value.hint or "")
    check(tmp_path / "unwanted", initramfs.apply, tree, tree, FinishSpec(initramfs=False))
    check(tmp_path / "container", initramfs.apply, tree, tree, CONTAINER)
    made = f'{tree}\n{V}/initramfs.img "made by kernel-install"'
    check(tmp_path / "made", initramfs.apply, made, made, FinishSpec(boot_location=BootLocation.KERNEL_INSTALL))
