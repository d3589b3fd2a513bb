# SPDX-License-Identifier: GPL-2.0-or-later
"""Small bootable trees, committed without the `ostree` program, and sysroots that can be deleted again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rpmtree.files import set_immutable
from rpmtree.ostree import objects, tree
from rpmtree.ostree.objects import Commit, FileMeta, Kind
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.tree import Directory
from rpmtree.ostree.variant import Variant

_EMPTY = ("boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var")
_LINKS = {"ostree": "sysroot/ostree", **{name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}}


def commit_tree(
    repo: Path,
    ref: str | None = None,
    *,
    version: str = "1",
    kernel: str = "6.1",
    files: Mapping[str, str | bytes] | None = None,
    links: Mapping[str, str] | None = None,
    timestamp: int = 1_700_000_000,
    parent: bytes = b"",
    metadata: Mapping[str, Variant] | None = None,
) -> str:
    """Commit a tree that libostree deploys; gives the checksum in hexadecimal."""
    content: dict[str, str | bytes] = {
        f"usr/lib/modules/{kernel}/vmlinuz": f"kernel {kernel}",
        f"usr/lib/modules/{kernel}/initramfs.img": f"initramfs {kernel}",
        "usr/lib/os-release": f'ID=granite\nVERSION_ID={version}\nPRETTY_NAME="Granite {version}"\n',
        "usr/etc/hosts": "127.0.0.1 localhost\n",
        **(files or {}),
    }
    root = Directory()
    for name in _EMPTY:
        root.make(name)
    store = Store(repo)
    with Staging(store) as staging:
        for path, text in content.items():
            where, _, name = path.rpartition("/")
            data = text.encode() if isinstance(text, str) else text
            root.make(where).files[name] = staging.add_file(FileMeta(0o100644), data)
        for name, target in {**_LINKS, **(links or {})}.items():
            root.files[name] = staging.add_link(FileMeta(0o120777, target=target))
        written = tree.write(staging, root)
        described = {"version": Variant("s", version), **(metadata or {})}
        value = Commit(written.tree, written.meta, timestamp, described, parent)
        checksum = staging.add_metadata(Kind.COMMIT, objects.commit(value))
        staging.publish()
    if ref is not None:
        write_refs(repo, {ref: checksum})
    return checksum.hex()


def make_mutable(sysroot: Path) -> None:
    """Let deployments be deleted: libostree makes their top directories immutable."""
    for deployed in (sysroot / "ostree" / "deploy").glob("*/deploy/*"):
        if deployed.is_dir():
            set_immutable(deployed, False)
