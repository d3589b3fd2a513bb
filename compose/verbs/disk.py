# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose disk`."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compose.verbs.common import Verbs, absolute, epoch, show
from rpmtree.app import App
from rpmtree.errors import UsageError

if TYPE_CHECKING:
    from kickstart.installation import Installation, Source

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def add(verbs: Verbs) -> None:
    """Add the parser of `compose disk`."""
    disk = verbs.add_parser(
        "disk",
        help="make a disk image of a branch that boots",
        description="Deploy a branch on a disk: an image file, which appears when it is whole, or a disk of this "
        "machine, all of which is overwritten. It boots by BIOS, with extlinux.",
    )
    disk.set_defaults(action=_disk)
    disk.add_argument("--repo", type=absolute, metavar="REPO", required=True, help="repository that has the commit")
    disk.add_argument("--ref", metavar="REF", help="its branch or checksum; by default the kickstart file's branch")
    to = disk.add_mutually_exclusive_group(required=True)
    to.add_argument("-o", "--output", type=absolute, metavar="IMAGE", help="the file to make; one that is there goes")
    to.add_argument("--erase-device", type=absolute, metavar="DEVICE", help="overwrite this disk")
    disk.add_argument("--size", type=size, metavar="SIZE", default=8 << 30, help="of the image: 8G by default")
    disk.add_argument("--format", choices=("raw", "qcow2"), default="raw", help="of the image: raw by default")
    machine = disk.add_argument_group("the machine")
    machine.add_argument("--kickstart", type=Path, metavar="FILE", help="what else is to be on the disk")
    machine.add_argument("--lenient", action="store_true", help="warn of what is not supported in FILE, and go on")
    machine.add_argument("--remote", metavar="NAME", help="the remote that the machine gets upgrades from")
    machine.add_argument("--url", help="that remote's address")
    machine.add_argument("--no-gpg-verify", action="store_true", help="it takes commits without a signature, too")
    machine.add_argument(
        *("--gpg-import",), dest="gpg_keys", type=absolute, action="append", default=[], metavar="FILE",
        help="it trusts commits by the OpenPGP keys in FILE",
    )  # fmt: skip
    machine.add_argument("--osname", metavar="NAME", help="name of the stateroot; by default the ID of os-release")
    machine.add_argument(
        *("--karg",), dest="kargs", action="append", default=[], metavar="ARG", help="one more kernel argument"
    )


def _disk(args: argparse.Namespace, app: App) -> None:
    from kickstart.disk import DiskOptions, make_disk

    installation = _installation(args, app)
    rev = args.ref or (installation.source.ref if installation.source else None)
    if rev is None:
        raise UsageError("which branch? None is named", hint="name one: --ref=REF")
    options = DiskOptions(
        repo=args.repo,
        rev=rev,
        target=args.erase_device or args.output,
        erase=args.erase_device is not None,
        size=args.size,
        format=args.format,
        kernel_arguments=tuple(args.kargs),
        osname=args.osname,
        gpg_keys=tuple(args.gpg_keys),
        source_date_epoch=epoch(app.environ.get("SOURCE_DATE_EPOCH")),
    )
    if args.output is not None and args.output.exists() and not args.output.is_file():
        raise UsageError(f"{args.output} is no file", hint="a whole disk is overwritten by --erase-device=DEVICE")
    show(make_disk(options, installation, app.reporter), app)


def _installation(args: argparse.Namespace, app: App) -> Installation:
    """What the kickstart file says, with what the command line says instead."""
    from kickstart.installation import Installation

    if args.kickstart is None:
        installation = Installation(root=None)
    else:
        from kickstart.reading import read

        installation, notices = read(args.kickstart, lenient=args.lenient)
        for notice in notices:
            app.reporter.warning(str(notice))
    return replace(installation, source=remote_of(args, installation.source))


def remote_of(args: argparse.Namespace, said: Source | None) -> Source | None:
    """The remote that the machine follows: the kickstart file's (`said`), with what options say. Raises UsageError."""
    from kickstart.installation import Source

    if said is None and args.remote is None and args.url is None:
        if args.gpg_keys or args.no_gpg_verify:
            raise UsageError("--gpg-import and --no-gpg-verify are about a remote", hint="name it: --remote and --url")
        return None
    name, url = args.remote or (said and said.remote), args.url or (said and said.url)
    if not name or not url:
        raise UsageError("a remote needs a name and an address", hint="give both: --remote=NAME --url=URL")
    if said is None and args.ref is None:
        raise UsageError("which branch? None is named", hint="name one: --ref=REF")
    ref = said.ref if said else args.ref
    osname = args.osname or (said and said.osname) or ""
    gpg = not args.no_gpg_verify and (said is None or said.gpg)
    return Source(url, ref, name, osname, gpg)


def size(text: str) -> int:
    """A size in bytes, with K, M, G or T for powers of 1024. Raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d+)([kmgt]?)(?:i?b)?", text.lower(), re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: such as 8G or 512M")
    return int(found[1]) << _UNITS[found[2]]
