# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that change what is layered on a base: install, uninstall, override, reset."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from layering.verbs import changing
from layering.verbs.common import Verbs, add_verb
from rpmtree.app import App
from rpmtree.errors import UsageError

if TYPE_CHECKING:
    from layering.classify import Base
    from layering.decision import Context
    from layering.origin import Origin


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    _add_install(verbs)
    _add_uninstall(verbs)
    _add_override(verbs)
    _add_reset(verbs)


def _add_install(verbs: Verbs) -> None:
    parser = add_verb(verbs, "install", _install, "layer packages on the base", aliases=["pkg-add"])
    parser.add_argument(
        *("packages",), nargs="+", metavar="PACKAGE",
        help="a name, NEVRA, pattern, something provided, /path, @group, or an RPM as a file or URL",
    )  # fmt: skip
    changing.add_options(parser)
    parser.add_argument("--uninstall", action="append", default=[], metavar="PACKAGE", help="take this request back")
    parser.add_argument("--allow-inactive", action="store_true", help="record what the base provides already, too")
    parser.add_argument("--idempotent", action="store_true", help="what is requested already is no error")
    parser.add_argument("--force-replacefiles", action="store_true", help="RPM files may replace files of others")
    parser.add_argument("--follow", action="store_true", help="RPM files give way to a repository's newer version")
    parser.add_argument("-y", "--assumeyes", action="store_true", help="accepted; nothing is asked")


def _add_uninstall(verbs: Verbs) -> None:
    aliases = ["pkg-remove", "remove"]
    parser = add_verb(verbs, "uninstall", _uninstall, "take requests for packages back", aliases=aliases)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="as it was requested, or a name or NEVRA")
    changing.add_options(parser)
    parser.add_argument("--install", action="append", default=[], metavar="PACKAGE", help="request this one as well")
    parser.add_argument("--all", action="store_true", help="take back all requests; overrides stay")
    parser.add_argument("--idempotent", action="store_true", help="what is not requested is no error")
    parser.add_argument("-y", "--assumeyes", action="store_true", help="accepted; nothing is asked")


def _add_override(verbs: Verbs) -> None:
    group = add_verb(verbs, "override", _no_verb, "replace or remove packages of the base", changes=False)
    inner: Verbs = group.add_subparsers(metavar="VERB", title="verbs")
    replace = add_verb(inner, "replace", _override_replace, "put other versions in the place of base packages")
    replace.add_argument("packages", nargs="+", metavar="PACKAGE", help="RPM files or URLs; with --from, names")
    replace.add_argument("--from", dest="source", metavar="repo=ID", help="take them from this repository")
    replace.add_argument("--until-newer", action="store_true", help="until the base has that version or a newer one")
    replace.add_argument("--remove", action="append", default=[], metavar="PACKAGE", help="remove this one as well")
    replace.add_argument("--experimental", action="store_true", help=argparse.SUPPRESS)
    remove = add_verb(inner, "remove", _override_remove, "leave packages of the base out")
    remove.add_argument("packages", nargs="+", metavar="PACKAGE", help="a base package's name")
    remove.add_argument("--replace", action="append", default=[], metavar="FILE", help="replace by this one as well")
    for parser in (replace, remove):
        parser.add_argument("--reason", metavar="TEXT", help="why, shown by status")
    reset = add_verb(inner, "reset", _override_reset, "undo overrides")
    reset.add_argument("packages", nargs="*", metavar="PACKAGE", help="a name or NEVRA")
    reset.add_argument("-a", "--all", action="store_true", help="all of them")
    for parser in (replace, remove, reset):
        changing.add_options(parser)
        changing.add_requests(parser)
    add_verb(inner, "list", _override_list, "list overrides, with what became of them and why", changes=False)


def _add_reset(verbs: Verbs) -> None:
    parser = add_verb(verbs, "reset", _reset, "take requests and overrides back; without an option, all")
    parser.add_argument("-l", "--overlays", action="store_true", help="layered packages")
    parser.add_argument("-o", "--overrides", action="store_true", help="overrides")
    parser.add_argument("-i", "--initramfs", action="store_true", help="an initramfs that is made here")
    changing.add_options(parser)
    changing.add_requests(parser)


def _no_verb(args: argparse.Namespace, app: App) -> None:
    raise UsageError("what is to be overridden? A verb is missing", hint="override replace, remove, reset or list")


def _install(args: argparse.Namespace, app: App) -> None:
    request = changing.Requests(
        install=tuple(args.packages),
        uninstall=tuple(args.uninstall),
        allow_inactive=args.allow_inactive,
        idempotent=args.idempotent,
        fileoverride=args.force_replacefiles,
        follow=args.follow,
    )
    changing.change(args, app, request)


def _uninstall(args: argparse.Namespace, app: App) -> None:
    if bool(args.packages) == args.all:
        raise UsageError("name packages, or --all", hint="`layer status` lists what is requested")
    request = changing.Requests(
        install=tuple(args.install), uninstall=tuple(args.packages), all=args.all, idempotent=args.idempotent
    )
    changing.change(args, app, request, offline_first=True)


def _override_replace(args: argparse.Namespace, app: App) -> None:
    from layering import classify, requests

    def edit(context: Context, origin: Origin, base: Base) -> Origin:
        if args.source is None:
            files = changing.files_of(context, args.packages)
            classify.refuse_not_in_base([package.nevra.name for package in files], base)
            changed = requests.override_replace_local(origin, files, reason=args.reason, until_newer=args.until_newer)
        else:
            classify.refuse_not_in_base(args.packages, base)
            changed = requests.override_replace_from(
                origin, _repo_of(args.source), args.packages, reason=args.reason, until_newer=args.until_newer
            )
        classify.refuse_not_in_base(args.remove, base)
        return requests.override_remove(changed, args.remove, reason=args.reason)

    if args.source is None and (names := [word for word in args.packages if not word.endswith(".rpm")]):
        raise UsageError(
            f"not RPM files: {', '.join(names)}",
            hint="--from repo=ID replaces by what a repository has",
        )
    changing.change(args, app, changing.requests_of(args), edit)


def _override_remove(args: argparse.Namespace, app: App) -> None:
    from layering import classify, requests

    def edit(context: Context, origin: Origin, base: Base) -> Origin:
        classify.refuse_not_in_base(args.packages, base)
        changed = requests.override_remove(origin, args.packages, reason=args.reason)
        if args.replace:
            files = changing.files_of(context, args.replace)
            classify.refuse_not_in_base([package.nevra.name for package in files], base)
            changed = requests.override_replace_local(changed, files, reason=args.reason)
        classify.refuse_removed(changed, base)
        return changed

    changing.change(args, app, changing.requests_of(args), edit, offline_first=True)


def _override_reset(args: argparse.Namespace, app: App) -> None:
    from layering import requests

    if bool(args.packages) == args.all:
        raise UsageError("name packages, or --all", hint="`layer override list` lists what is overridden")

    def edit(context: Context, origin: Origin, base: Base) -> Origin:
        return requests.override_reset_all(origin) if args.all else requests.override_reset(origin, args.packages)

    changing.change(args, app, changing.requests_of(args), edit, offline_first=True)


def _override_list(args: argparse.Namespace, app: App) -> None:
    from layering.overrides import listed
    from layering.system import open_system

    system = open_system(args)
    found = listed(system)
    if app.json:
        app.print_json([entry.as_json() for entry in found])
        return
    for entry in found:
        app.print(str(entry))


def _reset(args: argparse.Namespace, app: App) -> None:
    from layering import requests

    def edit(context: Context, origin: Origin, base: Base) -> Origin:
        return requests.reset(origin, overlays=args.overlays, overrides=args.overrides, initramfs=args.initramfs)

    changing.change(args, app, changing.requests_of(args), edit, offline_first=True)


def _repo_of(text: str) -> str:
    kind, equals, repo = text.partition("=")
    if kind != "repo" or not equals or not repo:
        raise UsageError(f"--from {text}: repo=ID is wanted")
    return repo
