# SPDX-License-Identifier: GPL-2.0-or-later
"""/var is the machine's own: the image has it empty, and tmpfiles.d fills it at boot."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tmpfiles import defined_path, package_lines, system_paths
from rpmtree.finish.tree import empty, is_real_dir, leaves, some_of
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

#: Made by every base system at boot (systemd's var.conf), or by us before scripts run.
_EXPECTED = frozenset(
    f"var/{name}"
    for name in (
        *("cache", "lib", "lib/rpm", "lib/rpm-state", "local", "lock", "log", "mail", "opt", "run", "spool", "tmp"),
        "usrlocal",
    )
)


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Empty /var, and name in a warning what is lost. A container image keeps its /var: nothing would fill it."""
    if spec.container:
        return
    if not is_real_dir(root, "var"):
        root.remove("var")
        root.mkdir("var")
    lost = list(_lost(root))
    if lost:
        reporter.warning(f"left in /var by scripts, and not part of the image: {some_of(lost)}")
    empty(root, "var")


def _lost(root: Root) -> list[str]:
    if not root.listdir("var"):
        return []
    made = system_paths(root) | {path for line in package_lines(root) if (path := defined_path(line)) is not None}
    return [path for path in leaves(root, "var") if path not in _EXPECTED and f"/{path}" not in made]
