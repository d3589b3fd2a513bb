# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that order, keep and drop deployments: rollback, cleanup, pin, unpin."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from layering.verbs.common import Verbs, add_reboot, add_verb, reboot, unchanged
from rpmtree.app import App
from rpmtree.errors import UsageError

if TYPE_CHECKING:
    from layering.system import System
    from rpmtree.ostree.deployments import Deployment


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    add_reboot(add_verb(verbs, "rollback", _rollback, "boot the other deployment next; done twice, it is undone"))
    _add_cleanup(verbs)
    for name, text in {"pin": "keep a deployment through upgrades", "unpin": "let a pinned deployment go"}.items():
        parser = add_verb(verbs, name, _pin, text)
        parser.add_argument("index", metavar="INDEX", nargs="?", type=int, help="as `status` lists them, from 0 on")
        parser.set_defaults(pinned=name == "pin")


def _add_cleanup(verbs: Verbs) -> None:
    parser = add_verb(verbs, "cleanup", _cleanup, "remove deployments, or what is left of them")
    parser.add_argument("-b", "--base", action="store_true", help="what no deployment needs any more")
    parser.add_argument("-p", "--pending", action="store_true", help="what would boot next instead of what runs")
    parser.add_argument("-r", "--rollback", action="store_true", help="what is kept to go back to")
    parser.add_argument("-m", "--repomd", action="store_true", help="the metadata of package repositories")


def _rollback(args: argparse.Namespace, app: App) -> None:
    from layering.boots import forgive
    from layering.system import open_system

    system = open_system(args)
    with system.locked(args.title, args.wait):
        first, *_ = system.sysroot.rollback()
        forgive(system, first.checksum)
        system.sysroot.discard_unlisted()  # libostree keeps the boot entries of the order before
    if app.json:
        app.print_json({"next": first.id, "checksum": first.checksum, "version": first.version})
    else:
        app.print(f"next to be booted: {_named(first)}")
    reboot(args)


def _cleanup(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_system
    from layering.tidy import tidy
    from layering.unfinished import begin, end, forget_branch, unfinished
    from layering.workspace import clear_leftovers
    from rpmtree.files import remove_tree

    if not (args.base or args.pending or args.rollback or args.repomd):
        raise UsageError("what is to be removed?", hint="at least one of --base --pending --rollback --repomd")
    system = open_system(args)
    freed, removed = None, []
    with system.locked(args.title, args.wait):
        earlier = unfinished(system)
        begin(system, earlier)
        if args.base or earlier is not None:
            clear_leftovers(system)
        if args.pending or args.rollback:
            removed = _drop(system, args)
        if args.base or removed or earlier is not None:
            if earlier is not None:
                forget_branch(system, earlier)
            freed = tidy(system.sysroot, app.reporter)
        end(system)
        if args.repomd:
            remove_tree(system.metadata_cache)
    if app.json:
        document = {"bytes": freed.bytes, "packages": list(freed.packages)} if freed else None
        app.print_json({"removed": [found.id for found in removed], "freed": document})
        return
    for found in removed:
        app.print(f"removed: {_named(found)}")
    if (args.pending or args.rollback) and not removed:
        app.print("Deployments unchanged.")
    if freed:
        app.print(str(freed))


def _drop(system: System, args: argparse.Namespace) -> list[Deployment]:
    """Remove the pending and rollback deployments that are to go; gives them."""
    from rpmtree.ostree import finalization

    before = system.sysroot.deployments()
    left = system.sysroot.cleanup(system.osname, pending=args.pending, rollback=args.rollback)
    kept = {found.id for found in left}
    removed = [found for found in before if found.id not in kept]
    if system.running and any(found.staged for found in removed):
        finalization.hold_back(False)
    return removed


def _pin(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_system

    system = open_system(args)
    with system.locked(args.title, args.wait):
        found = system.at(args.index).deployment
        changed = found.pinned != args.pinned
        if changed:
            found = system.sysroot.pin(found, args.pinned)
    answer = {"id": found.id, "pinned": found.pinned, "changed": changed}
    if not changed:
        text = f"{_named(found)} is {'pinned already' if args.pinned else 'not pinned'}"
        unchanged(args, app, text, answer)
    elif app.json:
        app.print_json(answer)
    else:
        app.print(f"{'pinned' if args.pinned else 'not pinned any more'}: {_named(found)}")


def _named(found: Deployment) -> str:
    from rpmtree.console import printable

    return f"{found.id} ({printable(found.version)})" if found.version else found.id
