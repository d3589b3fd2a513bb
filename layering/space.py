# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether there is room for what was decided, asked before anything of it is fetched or written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from layering.bases import is_whole
from layering.commits import new_bytes
from layering.decision import Context, Planned
from layering.labels import policy_of
from rpmtree.errors import StoreError
from rpmtree.ostree.space import kernels, space

#: The rpm database, directory objects, what scripts write, blocks that are not full: seen to be below this.
_MARGIN = 32 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that are needed and that are free on a file system; `where` is for people."""

    where: str
    needed: int
    free: int


def check_space(context: Context, planned: Planned) -> None:
    """Raise StoreError, with all figures, where the repository's file system or /boot is too small."""
    short = [room for room in _rooms(context, planned) if room.needed > room.free]
    if short:
        figures = "; ".join(f"{room.where}: {room.needed:,} bytes are needed, {room.free:,} are free" for room in short)
        raise StoreError(
            f"there is not enough space: {figures}",
            hint="`layer cleanup -b -r` frees what only the rollback needs; `layer cleanup -m` drops cached metadata",
        )


def _rooms(context: Context, planned: Planned) -> list[Room]:
    system = context.system
    repo = system.sysroot.repo_path
    packages = planned.layered.solution.packages if planned.layered else ()
    cached = {package: context.cache.named(package.nevra) for package in packages}
    needed = sum(package.download_size + package.install_size for package, found in cached.items() if found is None)
    policy = policy_of(planned.base)
    needed += sum(
        package.install_size for package, found in cached.items() if found and not found.is_labelled_by(policy)
    )
    deployed = [found.checksum for found in system.sysroot.deployments()]
    if is_whole(system, planned.found.checksum):
        boot = space(system.path, planned.found.checksum, deployed).boot_needed
    else:
        store = context.workspace.store
        before = system.sysroot.repository.commit(bytes.fromhex(context.before.deployment.checksum))
        content, boot = new_bytes(planned.base.commit, before) or (0, 0)  # not ours: libostree looks while it fetches
        needed += content + system.sysroot.repository.kept_free()
        present = {kernels(store, bytes.fromhex(checksum)) for checksum in deployed}
        if boot and kernels(store, planned.base.checksum) in present:
            boot = 0  # a kernel that is there already is not copied again
    room = Room(str(repo), needed + _MARGIN, _free(repo))
    if os.stat(system.path / "boot").st_dev == os.stat(repo).st_dev:
        return [Room(room.where, room.needed + boot, room.free)]
    return [room, Room(str(system.path / "boot"), boot, _free(system.path / "boot"))]


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
