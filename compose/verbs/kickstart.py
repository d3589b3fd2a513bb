# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose kickstart`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from compose.verbs.common import Verbs, absolute, add_allow_outside, load_treefile, show
from rpmtree.app import App


def add(verbs: Verbs) -> None:
    """Add the parser of `compose kickstart`."""
    kickstart = verbs.add_parser(
        "kickstart",
        help="write a kickstart file that installs a branch",
        description="Write a kickstart file with which Anaconda, the installer of Fedora and its relatives, installs "
        "a branch or a container image. Values are checked, and the file is parsed for the version asked for.",
    )
    kickstart.set_defaults(action=_kickstart)
    kickstart.add_argument("-o", "--output", type=absolute, metavar="FILE", required=True, help="write it there")
    kickstart.add_argument(
        "--profile",
        choices=("metal", "vm", "cloud"),
        default="metal",
        help="machine of its own (by default), virtual machine, or image for cloud-init",
    )
    kickstart.add_argument(
        *("--for",), dest="version", metavar="VERSION", default="F41",
        help="whose installer reads it: F41 (by default), RHEL9 …",
    )  # fmt: skip
    _add_source(kickstart.add_argument_group("what is installed"))
    _add_system(kickstart.add_argument_group("the system"))
    _add_accounts(kickstart.add_argument_group("who may log in"))


def _add_source(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--treefile", type=Path, metavar="FILE", help="take branch, OS name and target from FILE")
    add_allow_outside(group)
    group.add_argument("--url", metavar="URL", help="repository to install from")
    group.add_argument("--ref", metavar="REF", help="branch to install, if not the treefile's")
    group.add_argument("--remote", metavar="NAME", help="name of the remote on the machine; else the OS name")
    group.add_argument("--osname", metavar="NAME", help="name in /ostree/deploy; else the branch's first part")
    group.add_argument("--final-url", metavar="URL", help="repository that the machine follows once it is installed")
    group.add_argument("--container", metavar="IMAGE", help="install a container image, and no branch")
    trust = group.add_mutually_exclusive_group()
    trust.add_argument("--gpg-key", type=Path, metavar="FILE", help="OpenPGP key that signs the branch")
    trust.add_argument("--no-gpg", dest="gpg", action="store_false", help="don't verify signatures")


def _add_system(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--lang", metavar="LOCALE", help="language; else en_US.UTF-8")
    group.add_argument("--keyboard", metavar="LAYOUT", help="keyboard layout; else us")
    group.add_argument("--timezone", metavar="ZONE", help="time zone; else Etc/UTC")
    group.add_argument("--hostname", metavar="NAME", help="name of the machine")
    _add_list(group, "--karg", "kernel_arguments", "ARG", "kernel argument")
    _add_list(group, "--enable", "enabled", "UNIT", "unit to enable")
    _add_list(group, "--disable", "disabled", "UNIT", "unit to disable")


def _add_accounts(group: argparse._ArgumentGroup) -> None:
    root = group.add_mutually_exclusive_group()
    root.add_argument("--rootpw-hash", metavar="HASH", help="root's password, as in /etc/shadow")
    root.add_argument("--lock-root", action="store_true", help="root has no password (by default)")
    _add_list(group, "--user", "users", "NAME[:GROUP,…]", "user to make")
    _add_list(group, "--user-hash", "user_hashes", "NAME=HASH", "a user's password, as in /etc/shadow")
    _add_list(group, "--ssh-key", "ssh_keys", "NAME=FILE", "public keys that let in NAME, who may be root")


def _add_list(group: argparse._ArgumentGroup, option: str, dest: str, metavar: str, text: str) -> None:
    group.add_argument(option, dest=dest, action="append", default=[], metavar=metavar, help=text)


def _kickstart(args: argparse.Namespace, app: App) -> None:
    from compose.kickstart import KickstartOptions, write_kickstart

    given: dict[str, Any] = {}
    for field in fields(KickstartOptions):
        value = getattr(args, field.name)
        given[field.name] = tuple(value) if isinstance(value, list) else value
    options = KickstartOptions(**given)
    loaded = None if args.treefile is None else load_treefile(args, app)
    show(write_kickstart(options, loaded, app.reporter), app)
