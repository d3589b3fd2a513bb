# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs `remote add`, `delete`, `list`, `show`: where commits come from, with the habits of `ostree remote`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layering.verbs.common import Verbs, add_verb
from rpmtree.app import App
from rpmtree.errors import ConfigError, StoreError, UsageError

if TYPE_CHECKING:
    from rpmtree.ostree.remotes import Remote, Remotes


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    text = "add, delete and show the remotes that commits come from"
    parser = verbs.add_parser("remote", help=text, description=f"{text.capitalize()}.")
    below = parser.add_subparsers(metavar="VERB", title="verbs")
    _add_add(below)
    delete = add_verb(below, "delete", _delete, "forget a remote and its keys; its branches stay", group="remote")
    delete.add_argument("name", metavar="NAME")
    delete.add_argument("--if-exists", action="store_true", help="do nothing if there is no such remote")
    listed = add_verb(below, "list", _list, "name all remotes", changes=False, group="remote")
    listed.add_argument("-u", "--show-urls", action="store_true", help="with their URLs")
    show = add_verb(below, "show", _show, "show one remote", changes=False, group="remote")
    show.add_argument("name", metavar="NAME")


def _add_add(below: Verbs) -> None:
    parser = add_verb(below, "add", _add, "add a remote", group="remote")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--no-gpg-verify", action="store_true", help="take commits without a signature")
    parser.add_argument(
        "--gpg-import", type=Path, action="append", default=[], metavar="FILE", help="trust the OpenPGP keys in FILE"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the remote")
    present = parser.add_mutually_exclusive_group()
    present.add_argument("--if-not-exists", action="store_true", help="do nothing if there is such a remote")
    present.add_argument("--force", action="store_true", help="replace a remote that is there")


def _add(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_sysroot, require_root

    options = _options(args)
    keys = [_read(path) for path in args.gpg_import]
    require_root(args.title)
    sysroot = open_sysroot(args)
    with sysroot.lock(args.title, wait=args.wait):
        remotes = sysroot.remotes
        present = args.name in remotes.names()
        if present and args.if_not_exists:
            _answer(remotes.show(args.name), {"changed": False}, app)
            return
        if present and not args.force:
            hint = "--force replaces it, --if-not-exists leaves it"
            raise StoreError(f"there is a remote {args.name} already", hint=hint)
        imported = _set(remotes, args, options, keys, present=present)
        _answer(remotes.show(args.name), {"changed": True, "keys": imported}, app)
    if imported:
        app.reporter.note(f"{imported} OpenPGP {'key' if imported == 1 else 'keys'} imported")


def _set(
    remotes: Remotes, args: argparse.Namespace, options: dict[str, str], keys: list[bytes], *, present: bool
) -> int:
    """Write the remote; gives the number of new keys. Where a key is none, all stays as it was."""
    if present:
        imported = sum(remotes.import_keys(args.name, key) for key in keys)
        remotes.add(args.name, args.url, options, replace=True)
        return imported
    remotes.add(args.name, args.url, options)
    try:
        return sum(remotes.import_keys(args.name, key) for key in keys)
    except BaseException:
        remotes.delete(args.name)
        raise


def _options(args: argparse.Namespace) -> dict[str, str]:
    options: dict[str, str] = {}
    for setting in args.set:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: not KEY=VALUE")
        options[key] = value
    if args.no_gpg_verify:
        if args.gpg_import:
            raise UsageError("--no-gpg-verify and --gpg-import exclude one another")
        options["gpg-verify"] = "false"
    return options


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _delete(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_sysroot, require_root

    require_root(args.title)
    sysroot = open_sysroot(args)
    with sysroot.lock(args.title, wait=args.wait):
        changed = not args.if_exists or args.name in sysroot.remotes.names()
        if changed:
            sysroot.remotes.delete(args.name)
    if app.json:
        app.print_json({"name": args.name, "changed": changed})


def _list(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_sysroot

    found = open_sysroot(args).remotes.list()
    if app.json:
        app.print_json([_json(remote) for remote in found])
        return
    width = max((len(remote.name) for remote in found), default=0)
    for remote in found:
        app.print(f"{remote.name:{width}}  {remote.url}" if args.show_urls else remote.name)


def _show(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_sysroot

    _answer(open_sysroot(args).remotes.show(args.name), {}, app)


def _answer(remote: Remote, more: dict[str, Any], app: App) -> None:
    if app.json:
        app.print_json({**_json(remote), **more})
        return
    fields = {"name": remote.name, "url": remote.url, "gpg-verify": "true" if remote.gpg_verify else "false"}
    if remote.contenturl:
        fields["contenturl"] = remote.contenturl
    for key, value in {**fields, **remote.options}.items():
        app.print(f"{key}={value}")


def _json(remote: Remote) -> dict[str, Any]:
    return {
        "name": remote.name,
        "url": remote.url,
        "gpg-verify": remote.gpg_verify,
        "contenturl": remote.contenturl,
        "options": dict(remote.options),
    }
