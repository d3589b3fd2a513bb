# SPDX-License-Identifier: GPL-2.0-or-later
"""Image files and disks to write to: loop devices, partition tables, file systems. All are context managers, and what
a killed process leaves of them the kernel takes back, but for the unfinished file, which the next run removes.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kickstart.layout import Layout, Slot
from rpmtree import command
from rpmtree.errors import BusyError, StoreError, ToolError
from rpmtree.files import fsync_directory
from rpmtree.mounts import filesystem

_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE = 0x4C82, 0x4C0A  # linux/loop.h
_LO_FLAGS_AUTOCLEAR = 4
_BLKRRPART = 0x125F  # linux/fs.h
_TRIES, _PAUSE = 300, 0.05
#: A directory that is there for good. Each process mounts a file system of its own there, in its own namespace.
_MOUNT_POINT = Path("/run/strata")
#: Said in full, since defaults differ: without the features that extlinux can't read.
_EXT4_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,"
    "dir_nlink,extra_isize"
)
_BOOT_CODE_BYTES = 440  # behind it are the disk's id and the table


class _LoopInfo(ctypes.Structure):
    """struct loop_info64."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("device", "inode", "rdevice", "offset", "sizelimit")),
        *((name, ctypes.c_uint32) for name in ("number", "encrypt_type", "encrypt_key_size", "flags")),
        *(("file_name", ctypes.c_uint8 * 64), ("crypt_name", ctypes.c_uint8 * 64)),
        *(("encrypt_key", ctypes.c_uint8 * 32), ("init", ctypes.c_uint64 * 2)),
    )


class _LoopConfig(ctypes.Structure):
    """struct loop_config."""

    _fields_ = (
        *(("fd", ctypes.c_uint32), ("block_size", ctypes.c_uint32)),
        *(("info", _LoopInfo), ("reserved", ctypes.c_uint64 * 8)),
    )


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, which takes its place, durably, when the body has ended well; else it is removed.

    Raises BusyError if another process is making it, StoreError.
    """
    with work_file(path, "new") as work:
        yield work
        with open(work, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(work, 0o644)
        os.rename(work, path)
        fsync_directory(path.parent)


@contextmanager
def work_file(path: Path, kind: str) -> Iterator[Path]:
    """An empty file beside `path` that is gone afterwards, unless it was renamed; one that was left is taken over.

    Raises BusyError if another process has it, StoreError.
    """
    work = path.with_name(f".{path.name}.strata-{kind}")
    try:
        fd = _locked(work)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error.strerror}") from error
    try:
        yield work
    finally:
        if os.path.lexists(work) and os.path.samestat(os.fstat(fd), os.lstat(work)):
            work.unlink()
        os.close(fd)


def _locked(work: Path) -> int:
    """The file, made or emptied, with a lock on it that lasts as long as its descriptor."""
    while True:
        fd = os.open(work, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock before may have renamed or removed it.
            if os.path.lexists(work) and os.path.samestat(os.fstat(fd), os.lstat(work)):
                os.ftruncate(fd, 0)
                return fd
            os.close(fd)
        except BlockingIOError:
            os.close(fd)
            raise BusyError(f"another process is writing {work}", hint="wait for it to end") from None


@contextmanager
def loop_device(path: Path, offset: int = 0, size: int = 0) -> Iterator[Path]:
    """`size` bytes of a file or device as a block device; 0 is all. Raises ToolError."""
    with ExitStack() as stack:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        device, number = _attach(fd, path, offset, size)
        stack.callback(os.close, number)
        yield device
        os.fsync(number)
    # What is attached goes with the last descriptor of it, ours or a mount's (autoclear).


def _attach(fd: int, path: Path, offset: int, size: int) -> tuple[Path, int]:
    """A loop device for what `fd` has open, and the device's own descriptor."""
    info = _LoopInfo(offset=offset, sizelimit=size, flags=_LO_FLAGS_AUTOCLEAR)
    config = _LoopConfig(fd=fd, block_size=512, info=info)
    for _ in range(_TRIES):
        try:
            with open("/dev/loop-control", "rb") as control:
                device = Path(f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}")
            number = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise ToolError(
                f"can't get a loop device for {path}: {error.filename or '/dev/loop-control'}: {error.strerror}",
                hint="run as root; in a container make the host's /dev visible: -v /dev:/dev --privileged",
            ) from error
        try:
            fcntl.ioctl(number, _LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(number)
            if error.errno != errno.EBUSY:  # another process was quicker
                raise ToolError(f"can't attach {path} to {device}: {error.strerror}") from error
        else:
            return device, number
    raise ToolError(f"can't get a loop device for {path}: others always take it first")


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory in memory that nobody else sees and that is gone afterwards; see `enter_private_namespace`."""
    _MOUNT_POINT.mkdir(mode=0o755, exist_ok=True)
    with filesystem("tmpfs", _MOUNT_POINT, "tmpfs", options="mode=0755,size=64m"):
        yield _MOUNT_POINT


def write_table(disk: Path, layout: Layout, disk_id: int) -> None:
    """Write the partition table, with the old one's and old file systems' marks removed. Raises CommandFailed."""
    argv = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "always", "--wipe-partitions", "always"]
    command.run([*argv, str(disk)], stdin=layout.table(disk_id).encode())


def make_file_system(device: Path, slot: Slot, uuid: str, epoch: int) -> None:
    """Make the partition's file system, or swap space, with that UUID. Raises CommandFailed, ToolError."""
    label = ["-L", slot.label] if slot.label else []
    if slot.filesystem == "swap":
        command.run(["mkswap", "--uuid", uuid, *label, str(device)])
    elif slot.filesystem == "xfs":
        command.run(["mkfs.xfs", "-q", "-f", "-m", f"uuid={uuid}", *label, str(device)])
    else:
        layout = ["-b", "4096", "-I", "256", "-i", "16384", "-m", "1", "-O", _EXT4_FEATURES]
        options = [*layout, "-U", uuid, "-E", f"hash_seed={uuid}", *label]
        # e2fsprogs' own variable; SOURCE_DATE_EPOCH is newer.
        environment = {"E2FSPROGS_FAKE_TIME": str(epoch), "MKE2FS_CONFIG": os.devnull}
        command.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, str(device)], env=environment)


@contextmanager
def sysroot_mounted(devices: Mapping[int, Path], layout: Layout, top: Path) -> Iterator[None]:
    """The file systems of / and /boot mounted at `top`; `devices` has those of the slots by number."""
    with ExitStack() as stack:
        for slot in layout.mounted:
            if slot.mountpoint in ("/", "/boot"):
                where = top / slot.mountpoint.lstrip("/")
                where.mkdir(exist_ok=True)
                stack.enter_context(mounted_at(devices[slot.number], slot, where))
        yield


@contextmanager
def var_mounted(devices: Mapping[int, Path], layout: Layout, var: Path) -> Iterator[None]:
    """The file systems of /var and below it mounted at a stateroot's `var`, which has what libostree puts there."""
    with ExitStack() as stack:
        for slot in layout.mounted:
            if slot.mountpoint == "/var":
                beside = var.with_name("new-var")
                beside.mkdir()
                with mounted_at(devices[slot.number], slot, beside):
                    shutil.copytree(var, beside, symlinks=True, dirs_exist_ok=True)
                beside.rmdir()
                stack.enter_context(mounted_at(devices[slot.number], slot, var))
            elif slot.mountpoint.startswith("/var/"):
                where = var / slot.mountpoint.removeprefix("/var/")
                where.mkdir(parents=True, exist_ok=True)
                stack.enter_context(mounted_at(devices[slot.number], slot, where))
        yield


@contextmanager
def mounted_at(device: Path, slot: Slot, where: Path) -> Iterator[None]:
    """One file system mounted at `where`."""
    # Nothing is to happen in the background: the tables that mke2fs has left out, the first boot makes.
    options = "noinit_itable" if slot.filesystem == "ext4" else "nouuid"
    try:
        with filesystem(device, where, slot.filesystem, options=options):
            yield
    except BaseException:
        with suppress(ToolError):
            _wait_until_free(device)
        raise
    _wait_until_free(device)


def _wait_until_free(device: Path) -> None:
    """Wait until nothing has the file system: what a sandbox saw of it goes a moment after the sandbox's last process.

    Only then is everything written out. Raises ToolError.
    """
    for _ in range(_TRIES):
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise ToolError(f"can't open {device}: {error.strerror}") from error
            time.sleep(_PAUSE)
        else:
            return
    raise ToolError(f"{device} is still in use after it was unmounted")


@contextmanager
def letting_go() -> Iterator[None]:
    """Where the body fails, have it let go of what it had open: libostree's objects close files when they are gone, and
    an error keeps the frames that know them. A file system that has open files can't be unmounted.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


def install_boot_code(disk: Path, code: bytes) -> None:
    """Put the program that a BIOS starts into the disk's first sector. Raises ToolError."""
    if len(code) > _BOOT_CODE_BYTES:
        raise ToolError(f"the boot code has {len(code)} bytes, and there is room for {_BOOT_CODE_BYTES}")
    with open(disk, "r+b") as file:
        file.write(code)
        file.flush()
        os.fsync(file.fileno())


def reread_table(disk: Path) -> None:
    """Have the kernel look at a disk's partitions anew, where it does that."""
    with suppress(OSError), open(disk, "rb") as file:
        fcntl.ioctl(file, _BLKRRPART)


@contextmanager
def whole_disk(path: Path) -> Iterator[int]:
    """Hold a disk for ourselves alone; gives its size in bytes.

    Raises ToolError if it is no disk, a partition only, mounted, or otherwise in use.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISBLK(found.st_mode):
            raise ToolError(f"{path} is not a block device", hint="an image file is made by -o FILE")
        system = Path(f"/sys/dev/block/{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}")
        if (system / "partition").exists():
            raise ToolError(f"{path} is a partition, and a whole disk is wanted")
        # Exclusive: refused while the disk or a partition of it is mounted, swapped to, or part of something larger.
        fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise ToolError(f"{path} is in use", hint="unmount what is on it first; `lsblk` shows that") from error
        raise ToolError(f"can't open {path}: {error.strerror}") from error
    try:
        yield os.lseek(fd, 0, os.SEEK_END)
        os.fsync(fd)
    finally:
        os.close(fd)
