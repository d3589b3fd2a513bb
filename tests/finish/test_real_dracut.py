# SPDX-License-Identifier: GPL-2.0-or-later
"""dracut itself, with this machine as the image: whether `--reproducible` and our environment keep their word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.files import Root
from rpmtree.finish import initramfs
from rpmtree.mounts import overlay
from rpmtree.root.spec import FinishSpec
from tests.finish.golden import Recorder
from tests.support.trees import plant

V = "usr/lib/modules/6.1-demo"
#: A kernel without modules, and a stand-in for the dracut module that OSTree brings.
ADDED = rf"""
{V}/vmlinuz "kernel"
{V}/modules.builtin
{V}/modules.order
{V}/modules.dep
usr/lib/ostree/ostree-prepare-root 0755 "#!/bin/sh\n"
usr/lib/dracut/modules.d/98ostree/module-setup.sh 0755
| #!/bin/bash
| check() {{ return 255; }}
| install() {{ inst /usr/lib/ostree/ostree-prepare-root; }}
"""
ARGS = ("--modules", "base bash ostree udev-rules fs-lib rootfs-block shutdown")


@contextmanager
def host_as_image(place: Path) -> Iterator[Path]:
    """The root of this machine with changes of our own, in a file system in memory."""
    with ExitStack() as undo:
        place.mkdir()
        command.run(["mount", "-t", "tmpfs", "tmpfs", str(place)])
        undo.callback(command.run, ["umount", str(place)])
        for name in ("upper", "work", "root"):
            (place / name).mkdir()
        undo.enter_context(overlay(place / "root", lower=[Path("/")], upper=place / "upper", work=place / "work"))
        plant(place / "root", ADDED)
        yield place / "root"


@pytest.mark.slow
@pytest.mark.needs("bwrap", "root", "seccomp:", "dracut", "cpio", "lsinitrd")
def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for number in range(2):
        with host_as_image(tmp_path / str(number)) as image, Root(image) as root:
            os.utime(image / V / "vmlinuz", (number, number))
            initramfs.apply(root, FinishSpec(initramfs_args=ARGS, source_date_epoch=1_600_000_000), Recorder())
            made.append(root.read(f"{V}/initramfs.img"))
            names = command.run(["lsinitrd", str(image / V / "initramfs.img")]).stdout.decode()
    assert "usr/lib/ostree/ostree-prepare-root" in names
    assert len(made[0]) > 1_000_000
    assert made[0] == made[1]
