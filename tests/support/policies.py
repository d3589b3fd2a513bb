# SPDX-License-Identifier: GPL-2.0-or-later
"""Small SELinux policies in packages, the labels of a tree on disk, and those that libostree would give it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.rpms import Package, file, rpm

ATTRIBUTE = "security.selinux"
_FILES = "/etc/selinux/stone/contexts/files/file_contexts"
#: Type of label → expression, kind of file.
CONTEXTS = r"""
# what is meant by this one is no business of ours
/.*                                     system_u:object_r:default_t:s0
/                               -d      system_u:object_r:root_t:s0
/usr(/.*)?                              system_u:object_r:usr_t:s0
/(usr/)?s?bin(/.*)?                     system_u:object_r:bin_t:s0
/usr/bin/greet                  --      system_u:object_r:greet_exec_t:s0
/usr/lib(64)?(/.*)?                     system_u:object_r:lib_t:s0
/usr/lib/[^/]+\.so(\.[^/]*)*    --      system_u:object_r:lib_so_t:s0
/usr/lib/[^/]+\.so(\.[^/]*)*    -l      system_u:object_r:lib_link_t:s0
/usr/lib/modules(/.*)?                  system_u:object_r:modules_t:s0
/usr/share/greeter              -d      system_u:object_r:greeter_dir_t:s0
/usr/share/greeter/phrases      --      system_u:object_r:phrases_t:s0
/etc(/.*)?                              system_u:object_r:etc_t:s0
/etc/greeter\.(conf|made)       --      system_u:object_r:greeter_etc_t:s0
/etc/(passwd|group)-?           --      system_u:object_r:passwd_file_t:s0
/opt(/.*)?                              system_u:object_r:opt_t:s0
/var(/.*)?                              system_u:object_r:var_t:s0
/var/home                       -l      system_u:object_r:home_link_t:s0
/sysroot                                <<none>>
"""
ALIASES = "/run /var/run\n/etc/systemd/system /usr/lib/systemd/system\n/var/home /home\n"


def policy(
    version: str = "1", *, contexts: str = CONTEXTS, aliases: str | None = ALIASES, mode: str = "enforcing", **said: Any
) -> Package:
    """The package `stone-policy`. Without `aliases` it has no file_contexts.subs_dist."""
    files = {
        "/etc/selinux/config": file(f"# of the test\nSELINUX={mode}\nSELINUXTYPE=stone\n"),
        "/etc/selinux/stone/policy/policy.33": file(f"not a real one: {version}\n"),
        _FILES: file(contexts),
        # libostree has a deployment refresh its policy, if it can.
        "/usr/sbin/semodule": file("#!/bin/sh\n", mode=0o755),
        f"{_FILES}.homedirs": file("/var/home/[^/]+ -d staff_u:object_r:home_dir_t:s0\n"),
    }
    if aliases is not None:
        files[f"{_FILES}.subs_dist"] = file(aliases)
    return rpm("stone-policy", version=version, files=files, **said)


def labels(tree: Path) -> dict[str, tuple[int, str | None]]:
    """Path → (mode, label) of all that is in a tree."""
    return {path: (mode, _label(f"{tree}{path}")) for path, mode in _walk(tree)}


def expected(tree: Path, *, version: int = 0) -> dict[str, tuple[int, str | None]]:
    """The same as libostree has it, by the policy at /usr/etc/selinux of the tree."""
    ask = _judge(tree)

    def label(path: str, mode: int) -> str | None:
        in_etc = version == 1 and (path == "/usr/etc" or path.startswith("/usr/etc/"))
        return ask(path.removeprefix("/usr") if in_etc else path, mode)

    return {path: (mode, label(path, mode)) for path, mode in _walk(tree)}


def by_libostree(contexts: Mapping[str, bytes], where: Path) -> Callable[[str, int], str | None]:
    """What libostree says of a path and mode, of files `file_contexts*`, which are put below `where`."""
    files = where / f"usr{_FILES}"
    files.parent.mkdir(parents=True)
    (where / "usr/etc/selinux/config").write_text("SELINUX=permissive\nSELINUXTYPE=stone\n")
    (where / "usr/etc/selinux/stone/policy").mkdir()
    (where / "usr/etc/selinux/stone/policy/policy.33").touch()
    for suffix, data in contexts.items():
        files.with_name(f"{files.name}{suffix}").write_bytes(data)
    return _judge(where)


def label_as_a_kernel(repo: Path) -> None:
    """Give each object of a repository a label that has none: so a kernel that runs SELinux labels what is made."""
    for path in (repo / "objects").glob("*/*"):
        if _label(str(path)) is None:
            os.setxattr(path, ATTRIBUTE, b"system_u:object_r:usr_t:s0\0", follow_symlinks=False)


def _judge(tree: Path) -> Callable[[str, int], str | None]:
    import gi

    gi.require_version("OSTree", "1.0")
    from gi.repository import Gio, OSTree

    policy = OSTree.SePolicy.new(Gio.File.new_for_path(str(tree)), None)
    assert policy.get_name() == "stone"
    return lambda path, mode: policy.get_label(path, mode, None)[1]


def _walk(tree: Path) -> Iterator[tuple[str, int]]:
    yield "/", os.lstat(tree).st_mode
    for where, directories, files in os.walk(tree):
        for name in sorted([*directories, *files]):
            path = f"{where}/{name}"
            yield path.removeprefix(str(tree)), os.lstat(path).st_mode


def _label(path: str) -> str | None:
    if ATTRIBUTE not in os.listxattr(path, follow_symlinks=False):
        return None
    value = os.getxattr(path, ATTRIBUTE, follow_symlinks=False)
    assert value.endswith(b"\0")
    return value[:-1].decode()
