# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit becomes a disk that boots: an image file, or a disk of this machine.

What is made is a function of commit, installation and epoch as far as the file system tools allow; what they do not is
said in docs/install.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kickstart import image, labels, scripts, settings
from kickstart.deployed import open_deployed
from kickstart.installation import Installation
from kickstart.layout import MIB, Layout, inodes, lay_out, mount_table, usable
from rpmtree import command
from rpmtree.errors import ConfigError, StoreError, ToolError
from rpmtree.mounts import enter_private_namespace
from rpmtree.ostree.deployments import check_kargs, check_name
from rpmtree.ostree.footprint import Footprint, footprint
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.sysroot import Sysroot, init_fs
from rpmtree.progress import Reporter, step

#: For people at a screen and for those at a serial line: the last one is what /dev/console is.
CONSOLES = ("console=tty0", "console=ttyS0")
_PROGRAMS = ("sfdisk", "mke2fs", "extlinux")
_FOR = {"xfs": "mkfs.xfs", "swap": "mkswap"}
#: Where distributions put the parts of the boot loader: Debian, Fedora.
_BOOT_CODE = ("/usr/lib/EXTLINUX/mbr.bin", "/usr/share/syslinux/mbr.bin")
_MODULES = ("/usr/lib/syslinux/modules/bios", "/usr/share/syslinux")
_MENU = ("menu.c32", "libutil.c32")
#: The lines before what libostree writes there (syslinux.cfg): a menu on screen and serial line, for so many tenths of
#: a second. With 0 syslinux would wait for ever, and not at all with the least that it takes.
_CONFIG = "SERIAL 0 115200\nUI menu.c32\nTIMEOUT {}\n"
_WAITS = 2
#: libostree keeps this part of a file system free when it fetches (core.min-free-space-percent).
_KEPT_FREE = 0.03


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """What is asked for on the command line. `target` is a file to make, or with `erase` a disk to overwrite."""

    repo: Path
    rev: str
    target: Path
    erase: bool = False
    #: Bytes, of an image.
    size: int = 8 << 30
    format: Literal["raw", "qcow2"] = "raw"
    kernel_arguments: tuple[str, ...] = ()
    #: The default stateroot is what os-release calls the system.
    osname: str | None = None
    #: OpenPGP keys that the machine trusts the remote's commits by.
    gpg_keys: tuple[Path, ...] = ()
    source_date_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The disk that was made: what is on it, and how the boot loader finds it."""

    target: Path
    commit: str
    osname: str
    root_uuid: str
    kernel_arguments: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The answer for people."""
        return [f"{self.target}: {self.osname} at {self.commit}"]

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return {
            "target": str(self.target),
            "commit": self.commit,
            "osname": self.osname,
            "root-uuid": self.root_uuid,
            "kernel-arguments": list(self.kernel_arguments),
        }


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is decided before the first byte is written."""

    options: DiskOptions
    installation: Installation
    commit: bytes
    osname: str
    epoch: int
    need: Footprint
    kernel_arguments: tuple[str, ...]
    #: The OpenPGP keys, as they are in their files.
    keys: tuple[bytes, ...]

    def uuid(self, purpose: str) -> str:
        """A UUID that is another one for each commit and purpose, and the same in each run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"strata:{self.commit.hex()}:{self.epoch}:{purpose}"))

    @property
    def disk_id(self) -> int:
        """The 32 bits by which a partition table is known."""
        return int.from_bytes(hashlib.sha256(self.uuid("disk").encode()).digest()[:4], "big") or 1


def make_disk(options: DiskOptions, installation: Installation, reporter: Reporter) -> Outcome:
    """Make the image or overwrite the disk; durable when it returns. An image appears whole or not at all.

    Raises ConfigError, StoreError, ScriptletError, BusyError, CommandFailed, ToolError.
    """
    if os.geteuid() != 0:
        raise ToolError("making a disk needs root: owners, loop devices and mounts", hint="run it with sudo")
    plan = _plan(options, installation)
    enter_private_namespace()
    if options.erase:
        with image.whole_disk(options.target) as size:
            layout = _laid_out(plan, size)
            outcome = _write(plan, layout, options.target, reporter)
        image.reread_table(options.target)
        return outcome
    layout = _laid_out(plan, options.size)
    if options.format == "raw":
        with image.new_file(options.target) as work:
            return _write_image(plan, layout, work, reporter)
    with image.work_file(options.target, "raw") as work:
        outcome = _write_image(plan, layout, work, reporter)
        with step(reporter, "Converting"), image.new_file(options.target) as converted:
            command.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(work), str(converted)])
        return outcome


def _plan(options: DiskOptions, installation: Installation) -> _Plan:
    _check_tools(options, installation)
    repository = Repository(options.repo)
    found = repository.resolve(options.rev)
    if found is None:
        raise StoreError(f"{options.repo} has no branch {options.rev}", hint=f"ostree refs --repo={options.repo}")
    timestamp = repository.commit(found).timestamp
    source = installation.source
    if source is not None:
        check_name(source.remote, "remote")
    osname = (source.osname if source is not None else options.osname) or _system_id(repository, found)
    return _Plan(
        options,
        installation,
        found,
        check_name(osname, "stateroot"),
        timestamp if options.source_date_epoch is None else options.source_date_epoch,
        footprint(repository, found),
        check_kargs((*installation.kernel_arguments, *options.kernel_arguments)),
        tuple(_read(path) for path in options.gpg_keys),
    )


def _check_tools(options: DiskOptions, installation: Installation) -> None:
    """Raise ToolError, with the package to install, if something is missing on this machine."""
    wanted = {_FOR[one.filesystem] for one in installation.partitions if one.filesystem in _FOR}
    for program in (*_PROGRAMS, *sorted(wanted), *(("qemu-img",) if options.format == "qcow2" else ())):
        if not command.is_program(program):
            raise command.missing(program)
    boot_code()
    for name in _MENU:
        _first(_MODULES, name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _system_id(repository: Repository, commit: bytes) -> str:
    text = (repository.read_file(commit, "usr/lib/os-release") or b"").decode("utf-8", "replace")
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return found.get("ID", "").strip("\"'") or "default"


def _laid_out(plan: _Plan, size: int) -> Layout:
    """The layout of a disk on which the commit has room. Raises StoreError."""
    layout = lay_out(plan.installation.partitions, size)
    needs = {layout.root: plan.need.root}
    needs[layout.boot] = needs.get(layout.boot, 0) + plan.need.boot
    for slot, need in needs.items():
        least = int(need / (1 - _KEPT_FREE))
        have = usable(slot)
        if least > have or (slot is layout.root and plan.need.inodes > inodes(slot)):
            raise StoreError(
                f"the commit does not fit into the partition for {slot.mountpoint}: {_mib(least)} MiB are needed, "
                f"{_mib(have)} of its {_mib(slot.size)} are given",
                hint="a larger --size, or a larger partition; an upgrade takes room, too",
            )
    return layout


def _mib(size: int) -> int:
    return -(-max(size, 0) // MIB)


def _write_image(plan: _Plan, layout: Layout, work: Path, reporter: Reporter) -> Outcome:
    os.truncate(work, layout.size)
    return _write(plan, layout, work, reporter)


def _write(plan: _Plan, layout: Layout, disk: Path, reporter: Reporter) -> Outcome:
    with step(reporter, "Partitioning"):
        image.write_table(disk, layout, plan.disk_id)
    with ExitStack() as stack:
        devices = {}
        with step(reporter, "Making file systems"):
            for slot in layout.slots:
                device = stack.enter_context(image.loop_device(disk, slot.offset, slot.size))
                image.make_file_system(device, slot, plan.uuid(str(slot.number)), plan.epoch)
                devices[slot.number] = device
        top = stack.enter_context(image.scratch_directory())
        sysroot = top / "sysroot"
        sysroot.mkdir()
        with image.sysroot_mounted(devices, layout, sysroot), image.letting_go():
            outcome = _fill(plan, layout, devices, top, reporter)
    image.install_boot_code(disk, boot_code().read_bytes())
    return outcome


def _fill(plan: _Plan, layout: Layout, devices: Mapping[int, Path], top: Path, reporter: Reporter) -> Outcome:
    """Everything that lies in the file systems, which are mounted below `top`/sysroot."""
    path, kargs = top / "sysroot", _kernel_arguments(plan, layout)
    with step(reporter, "Copying the commit"):
        sysroot = init_fs(path, bootloader="syslinux")
        sysroot.defer_durability()
        sysroot.init_stateroot(plan.osname)
        origin = _take_commit(plan, sysroot)
    with step(reporter, "Deploying"), sysroot.lock("compose disk"):
        _prepare_boot(path / "boot", plan.installation.boot_timeout)
        deployment = sysroot.deploy(plan.osname, plan.commit.hex(), origin, kargs=kargs)
    with step(reporter, "Installing the boot loader"):
        command.run(["extlinux", "--install", str(path / "boot" / "syslinux")])
    var = path / "ostree" / "deploy" / plan.osname / "var"
    with (
        step(reporter, "Setting it up"),
        image.var_mounted(devices, layout, var),
        open_deployed(deployment.path, var) as it,
    ):
        own = [(slot, plan.uuid(str(slot.number))) for slot in layout.slots if slot is not layout.root]
        it.fill_var()
        settings.apply(it, plan.installation, mount_table(own), plan.epoch)
        scratch = top / "scripts"
        scratch.mkdir()
        scripts.run_all(it, plan.installation, scratch, plan.epoch, reporter)
        labels.apply(it, path)
    return Outcome(plan.options.target, plan.commit.hex(), plan.osname, _root_uuid(plan, layout), deployment.kargs)


def _kernel_arguments(plan: _Plan, layout: Layout) -> tuple[str, ...]:
    """Those of every disk, then those that are asked for; who names a console has it instead of ours."""
    asked = plan.kernel_arguments
    consoles = () if any(one.startswith("console=") for one in asked) else CONSOLES
    return (f"root=UUID={_root_uuid(plan, layout)}", "rw", *consoles, *asked)


def _root_uuid(plan: _Plan, layout: Layout) -> str:
    return plan.uuid(str(layout.root.number))


def _take_commit(plan: _Plan, sysroot: Sysroot) -> str:
    """Copy the commit, under the name that the machine follows it by; gives the text of an origin file."""
    remotes, source, checksum = sysroot.remotes, plan.installation.source, plan.commit.hex()
    if source is not None:
        remotes.add(source.remote, source.url, {"gpg-verify": "true" if source.gpg else "false"})
        for keys in plan.keys:
            remotes.import_keys(source.remote, keys)
    remotes.pull_local(plan.options.repo, checksum)
    if source is not None:
        remotes.set_branch(source.remote, source.ref, checksum)
        return f"[origin]\nrefspec={source.remote}:{source.ref}\n"
    if plan.options.rev != checksum:
        remotes.set_branch(None, plan.options.rev, checksum)
    return f"[origin]\nrefspec={plan.options.rev}\n"


def _prepare_boot(boot: Path, seconds: int | None) -> None:
    """What libostree's syslinux backend expects to find (ostree-bootloader-syslinux.c), and the menu."""
    tenths = max((_WAITS if seconds is None else seconds) * 10, 1)
    (boot / "syslinux").mkdir()
    (boot / "loader.0").mkdir()
    (boot / "loader").symlink_to("loader.0")
    (boot / "syslinux" / "syslinux.cfg").symlink_to("../loader/syslinux.cfg")
    (boot / "loader.0" / "syslinux.cfg").write_text(_CONFIG.format(tenths))
    for name in _MENU:
        shutil.copyfile(_first(_MODULES, name), boot / "syslinux" / name)


def boot_code() -> Path:
    """The program for a disk's first sector. Raises ToolError with the package to install."""
    return _first(_BOOT_CODE)


def _first(places: Sequence[str], name: str = "") -> Path:
    """The first file that is there. Raises ToolError with the package to install."""
    paths = [Path(place, name) if name else Path(place) for place in places]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise command.missing(str(paths[0]))
    return found
