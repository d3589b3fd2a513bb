# SPDX-License-Identifier: GPL-2.0-or-later
"""An SELinux policy learns where OSTree has things, and its store of modules moves to /etc.

A policy names the places of a system that is no image. Aliases (selabel_file(5), `file_contexts.subs_dist`) make it
label what is at the others as it would there.
"""

from __future__ import annotations

import re

from rpmtree.files import Root
from rpmtree.finish.tree import is_real_dir, move, put, read_if_file
from rpmtree.ostree.selinux import CONFIG, files_directory, policy_name
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

_STORE, _NEW_STORE = "var/lib/selinux", "etc/selinux"
_SETTINGS = "etc/selinux/semanage.conf"
_LOCKS = ("semanage.read.LOCK", "semanage.trans.LOCK")
#: Homes are in /var, and genhomedircon makes their rules for there: the alias that leads away from them goes.
_WRONG = "/var/home"
_ALIASES = ("/home /var/home", "/usr/etc /etc", "/usr/lib/opt /opt")


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Change the policy that is in force, if files are to be labelled by it."""
    if not spec.selinux:
        return
    name = policy_name((read_if_file(root, CONFIG) or "").encode("utf-8", "surrogateescape"))
    if name is None:
        return
    path = f"{files_directory(name)}/file_contexts.subs_dist"
    text = read_if_file(root, path)
    if text is not None:
        put(root, path, with_aliases(text))
    _move_store(root)


def with_aliases(text: str) -> str:
    """A `file_contexts.subs_dist` with the aliases that OSTree needs; one that has the first of them stays as it is."""
    lines = text.splitlines()
    found = [line.split() for line in lines]
    if _ALIASES[0].split() in found:
        return text
    present = {" ".join(words) for words in found}
    wanted = [alias for alias in _ALIASES if alias not in present]
    in_etc = [f"/usr{words[0]} {words[1]}" for words in found if _is_in_etc(words)]
    kept = [f"#{line}" if words[:1] == [_WRONG] else line for line, words in zip(lines, found, strict=True)]
    # Of two aliases that fit libselinux takes the last up to 3.7, and the first from 3.8 on.
    return "".join(f"{line}\n" for line in [*in_etc, *kept, *wanted, *in_etc])


def _is_in_etc(words: list[str]) -> bool:
    return len(words) == 2 and words[0].startswith("/etc/")


def _move_store(root: Root) -> None:
    """Modules that scripts have installed belong to the image, and /var does not.

    `semodule`, which libostree runs before a deployment is booted, is told where they are (semanage.conf(5)).
    """
    if is_real_dir(root, _STORE):
        move(root, _STORE, _NEW_STORE)
    policies = [name for name in root.listdir(_NEW_STORE) if root.is_dir(f"{_NEW_STORE}/{name}/active")]
    if policies:
        text = read_if_file(root, _SETTINGS) or ""
        rest = re.sub(r"(?m)^\s*store-root\s*=.*\n?", "", text)
        put(root, _SETTINGS, f"store-root = /{_NEW_STORE}\n{rest}", None if text else 0o644)
    for name in policies:
        for lock in _LOCKS:
            root.remove(f"{_NEW_STORE}/{name}/{lock}")
