# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that move a system to another base: upgrade, rebase, deploy."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from layering.verbs import changing
from layering.verbs.common import Verbs, add_verb
from rpmtree.app import App
from rpmtree.errors import ToolError, UsageError

if TYPE_CHECKING:
    from layering.bases import BaseCommit
    from layering.decision import Context
    from layering.origin import Origin
    from layering.outcome import Outcome
    from layering.refspec import Base, LocalRepo
    from layering.system import System

_NO_UPGRADE = "No upgrade available."


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    _add_upgrade(verbs)
    _add_rebase(verbs)
    _add_deploy(verbs)


def _add_upgrade(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "upgrade", _upgrade, "take the newest base and the newest layered packages", aliases=["update"]
    )
    changing.add_options(parser)
    changing.add_requests(parser)
    parser.add_argument("--allow-downgrade", action="store_true", help="also to a base that is older")
    parser.add_argument("--check", action="store_true", help="only ask whether there is something newer; 77 if not")
    parser.add_argument(
        *("--preview", "--check-diff"), dest="preview", action="store_true", help="show what an upgrade would change"
    )
    parser.add_argument("--best-base", action="store_true", help="the newest base on which all requests can be met")
    parser.add_argument("--drop", action="append", default=[], metavar="PACKAGE", help="give up a request that blocks")
    parser.add_argument("--trigger-automatic-update-policy", action="store_true", help=argparse.SUPPRESS)


def _add_rebase(verbs: Verbs) -> None:
    parser = add_verb(verbs, "rebase", _rebase, "follow another branch, of another distribution even")
    parser.add_argument(
        *("refspec",),
        nargs="?",
        metavar="REFSPEC",
        help="remote:branch, :branch (local), remote:, a commit, /repo:branch",
    )
    parser.add_argument("revision", nargs="?", metavar="COMMIT", help="stay at this commit of the branch")
    parser.add_argument("-b", "--branch", metavar="BRANCH", help="another branch of the same remote")
    parser.add_argument("-m", "--remote", metavar="REMOTE", help="the same branch of another remote")
    parser.add_argument("--skip-purge", action="store_true", help="keep the branch that is left")
    parser.add_argument("--custom-origin-description", metavar="TEXT", help="who manages the commit that is followed")
    parser.add_argument("--custom-origin-url", metavar="URL", help="where that is described")
    parser.add_argument("--experimental", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--disallow-downgrade", action="store_true", help="not to a base that is older")
    changing.add_options(parser)
    changing.add_requests(parser)


def _add_deploy(verbs: Verbs) -> None:
    parser = add_verb(verbs, "deploy", _deploy, "deploy one commit of the branch, and stay at it")
    parser.add_argument("revision", metavar="REVISION", help="version=X, revision=CHECKSUM, or either alone")
    parser.add_argument("--preview", action="store_true", help="show what would change")
    parser.add_argument("--skip-branch-check", action="store_true", help="also a commit that is not of the branch")
    parser.add_argument("--disallow-downgrade", action="store_true", help="not to a base that is older")
    changing.add_options(parser)
    changing.add_requests(parser)


def _upgrade(args: argparse.Namespace, app: App) -> None:
    args.uninstall = [*args.uninstall, *args.drop]
    args.nothing = _NO_UPGRADE
    if args.trigger_automatic_update_policy:
        from layering.verbs.automatic import trigger

        trigger(args, app, _newest(args))
        return
    looking = args.check or args.preview
    asked = changing.requests_of(args)
    options = replace(changing.options_of(args, keep=False), dry_run=args.dry_run or looking)
    # Of an upgrade as it would be without more being asked for.
    after = _note if looking and asked == changing.Requests() and not args.best_base else None
    with changing.offering("--drop", best_base=not args.best_base):
        changing.carry_out(args, app, _newest(args), asked=asked, options=options, looking=looking, after=after)


def _newest(args: argparse.Namespace) -> changing.Locate:
    """Where an upgrade finds the base."""
    from layering import bases
    from layering.refspec import Branch

    def locate(context: Context) -> tuple[Origin, Iterable[BaseCommit]]:
        before = context.before.require_origin()
        if before.unconfigured_state is not None:
            raise ToolError(
                f"this system is not to be upgraded yet: {before.unconfigured_state}",
                hint="`layer rebase` to a branch that is meant for it",
            )
        origin = bases.unpinned(before)
        current = bases.current(context.system, context.before.deployment)
        found = bases.tip(
            context.system, origin,
            newer_than=None if args.allow_downgrade else current.checksum,
            cache_only=context.options.cache_only, reporter=context.reporter,
        )  # fmt: skip
        if args.best_base and isinstance(origin.base, Branch):
            return origin, bases.back_to(context.system, origin.base, found, current, context.options.cache_only)
        return origin, [found]

    return locate


def _note(system: System, outcome: Outcome) -> None:
    """Leave what was found where `status` looks for it, if that is ours to do."""
    from time import time

    from layering import last_look, updates

    if system.writable:
        found = updates.describe(system, system.merge().deployment, outcome)
        last_look.write(system.var, last_look.looked(last_look.read(system.var), int(time()), found))


def _rebase(args: argparse.Namespace, app: App) -> None:
    from layering import bases, requests
    from layering.refspec import Branch, Commit, LocalRepo

    def locate(context: Context) -> tuple[Origin, Iterable[BaseCommit]]:
        before = context.before.require_origin()
        target = _target(args, before.base)
        current = bases.current(context.system, context.before.deployment)
        kept = args.revision
        if isinstance(target, LocalRepo):
            found = bases.from_repo(context.system, target)
            base: Base = Commit(found.checksum)
        else:
            base, found = target, None
        origin = requests.rebase(
            before, base, commit=kept,
            custom_url=args.custom_origin_url, custom_description=args.custom_origin_description,
        )  # fmt: skip
        if found is None:
            remote = before.base.remote if isinstance(before.base, Branch) else None
            found = bases.tip(
                context.system, origin, newer_than=current.checksum if args.disallow_downgrade else None,
                cache_only=context.options.cache_only, reporter=context.reporter, remote=remote,
            )  # fmt: skip
        return origin, [found]

    asked, options = changing.requests_of(args), changing.options_of(args, keep=False)
    with changing.offering("--uninstall"):
        changing.carry_out(args, app, locate, asked=asked, options=options, purge=not args.skip_purge)


def _deploy(args: argparse.Namespace, app: App) -> None:
    from layering import bases, requests

    def locate(context: Context) -> tuple[Origin, Iterable[BaseCommit]]:
        before = context.before.require_origin()
        found = bases.by_revision(
            context.system, before, args.revision,
            skip_branch_check=args.skip_branch_check, cache_only=context.options.cache_only,
        )  # fmt: skip
        if args.disallow_downgrade:
            current = bases.current(context.system, context.before.deployment)
            commit = context.system.sysroot.repository.commit(bytes.fromhex(found.checksum))
            bases.refuse_older(context.system, found.checksum, commit, current.checksum)
        return requests.pin(before, found.checksum), [found]

    options = changing.options_of(args, keep=False)
    if args.preview:
        options = replace(options, dry_run=True)
    changing.carry_out(args, app, locate, asked=changing.requests_of(args), options=options, looking=args.preview)


def _target(args: argparse.Namespace, current: Base) -> Base | LocalRepo:
    from layering.refspec import parse_target, resolve

    if args.refspec is not None and (args.branch or args.remote):
        raise UsageError("REFSPEC, or --branch and --remote, not both")
    text = args.refspec or (f"{args.remote}:{args.branch or ''}" if args.remote else args.branch)
    if not text:
        raise UsageError("where to? Name a REFSPEC, or --branch, or --remote")
    try:
        return resolve(parse_target(text), current)
    except ValueError as error:
        raise UsageError(str(error)) from error
