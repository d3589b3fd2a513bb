# SPDX-License-Identifier: GPL-2.0-or-later
"""What a booted system needs below /var and /run before anyone logs in, as tmpfiles.d."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tmpfiles import DIRECTORY
from rpmtree.finish.tree import put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec, OptUsrLocal

PATH = f"{DIRECTORY}/rpm-ostree-0-integration.conf"
_OPT_IN_VAR = f"{DIRECTORY}/rpm-ostree-0-integration-opt-usrlocal.conf"
_OPT_IN_IMAGE = f"{DIRECTORY}/rpm-ostree-0-integration-opt-usrlocal-compat.conf"
_SELINUX_STORE = "L /var/lib/selinux - - - - ../../etc/selinux\n"
_ALWAYS = """\
# Where the links at the top of the tree lead.
d /var/home 0755 root root -
d /var/srv 0755 root root -
d /var/mnt 0755 root root -
d /var/roothome 0700 root root -
d /run/media 0755 root root -
# For programs that look for the rpm database where it was.
L /var/lib/rpm - - - - ../../usr/share/rpm
"""
_OPT_DIRECTORIES = "# /opt and /usr/local are links to these.\nd /var/opt 0755 root root -\n" + "".join(
    f"d /var/usrlocal{name} 0755 root root -\n"
    for name in ("", "/bin", "/etc", "/games", "/include", "/lib", "/man", "/sbin", "/share", "/src")
)
_OPT_LINKS = """\
# /opt and /usr/local are part of the image; for paths kept from a time when they were in /var.
L /var/opt - - - - ../opt
L /var/usrlocal - - - - ../usr/local
"""


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Write the integration file and the one for spec.opt_usrlocal; a container has no links to serve."""
    if spec.container:
        return
    put(root, PATH, _ALWAYS + (_SELINUX_STORE if root.is_dir("etc/selinux") else ""), 0o644)
    in_var = spec.opt_usrlocal is OptUsrLocal.VAR
    put(root, _OPT_IN_VAR if in_var else _OPT_IN_IMAGE, _OPT_DIRECTORIES if in_var else _OPT_LINKS, 0o644)
    root.remove(_OPT_IN_IMAGE if in_var else _OPT_IN_VAR)
