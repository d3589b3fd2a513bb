# SPDX-License-Identifier: GPL-2.0-or-later
"""What verbs that make a deployment share: their options, the requests for packages that go along, the answer."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layering.verbs.common import (
    add_cache_only,
    add_dry_run,
    add_lock_finalization,
    add_reboot,
    add_unchanged,
    answered,
    reboot,
)
from rpmtree.app import App
from rpmtree.errors import NothingToDo, SolveError, UsageError

if TYPE_CHECKING:
    from layering.bases import BaseCommit
    from layering.classify import Base
    from layering.decision import Context, Options
    from layering.origin import LocalPackage, Origin
    from layering.outcome import Outcome
    from layering.system import System

    Edit = Callable[[Context, Origin, Base], Origin]
    Locate = Callable[[Context], tuple[Origin, Iterable[BaseCommit]]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that makes a deployment."""
    add_reboot(parser)
    add_dry_run(parser)
    add_cache_only(parser)
    parser.add_argument("--download-only", action="store_true", help="fetch all that is needed, and stop")
    add_unchanged(parser)
    add_lock_finalization(parser)
    # rpm-ostree's: no driver can be registered here, so there is none to be passed by.
    parser.add_argument("--bypass-driver", action="store_true", help=argparse.SUPPRESS)


def add_requests(parser: argparse.ArgumentParser) -> None:
    """`--install` and `--uninstall`: changes of packages in the same transaction."""
    parser.add_argument("--install", action="append", default=[], metavar="PACKAGE", help="request this package, too")
    parser.add_argument(
        "--uninstall", action="append", default=[], metavar="PACKAGE", help="take this request back, too"
    )


@dataclass(frozen=True, slots=True)
class Requests:
    """Changes of the requests for packages that go along with a verb."""

    install: tuple[str, ...] = ()
    uninstall: tuple[str, ...] = ()
    all: bool = False
    allow_inactive: bool = False
    idempotent: bool = False
    fileoverride: bool = False
    follow: bool = False


def requests_of(args: argparse.Namespace) -> Requests:
    """Those of `add_requests`."""
    return Requests(install=tuple(args.install), uninstall=tuple(args.uninstall))


def files_of(context: Context, words: Sequence[str]) -> tuple[LocalPackage, ...]:
    """The RPM files that are named, in the package cache."""
    from layering.labels import policy_of
    from layering.local_files import take_files
    from layering.unfinished import begin

    if words and context.system.writable:
        begin(context.system)  # whoever comes to nothing now has imported something
    policy = policy_of(context.base) if words and context.base is not None else None
    return take_files(words, context.cache, context.workspace.work / "fetched", context.reporter, policy)


def edited(context: Context, origin: Origin, base: Base, asked: Requests) -> Origin:
    """The origin with `asked` done to it. Raises what `layering.requests` and `layering.classify` raise."""
    from layering import classify, requests
    from layering.local_files import is_file

    changed = requests.uninstall_all(origin) if asked.all else origin
    if asked.uninstall:
        changed = requests.uninstall(changed, asked.uninstall, idempotent=asked.idempotent)
    names = [word for word in asked.install if not is_file(word)]
    if names:
        new = [name for name in names if name not in changed.packages]
        if not asked.allow_inactive:
            classify.refuse_provided(changed, new, base)
        changed = requests.install(changed, names, idempotent=asked.idempotent)
        classify.refuse_removed(changed, base)
    files = files_of(context, [word for word in asked.install if is_file(word)])
    if files:
        if not asked.allow_inactive:
            classify.refuse_in_base(files, base)
        changed = requests.install_local(
            changed, files, fileoverride=asked.fileoverride, follow=asked.follow, idempotent=asked.idempotent
        )
    return changed


def change(
    args: argparse.Namespace, app: App, asked: Requests, edit: Edit | None = None, *, offline_first: bool = False
) -> None:
    """Change what is layered on the base that is there."""
    from layering import bases

    def locate(context: Context) -> tuple[Origin, Iterable[BaseCommit]]:
        return context.before.require_origin(), [bases.current(context.system, context.before.deployment)]

    only_files = bool(asked.install) and all(word.endswith(".rpm") for word in asked.install)
    offline = (offline_first and not asked.install) or only_files
    options = options_of(args, offline_first=offline)
    carry_out(args, app, locate, asked=asked, options=options, edit=edit)


def options_of(args: argparse.Namespace, *, keep: bool = True, offline_first: bool = False) -> Options:
    """The options of `add_options` as a value."""
    from layering.decision import Options

    if args.download_only and args.cache_only:
        raise UsageError("--download-only and --cache-only leave nothing to do")
    return Options(
        dry_run=args.dry_run,
        cache_only=args.cache_only,
        download_only=args.download_only,
        lock_finalization=args.lock_finalization,
        keep=keep,
        offline_first=offline_first,
    )


@contextmanager
def offering(option: str, *, best_base: bool = False) -> Iterator[None]:
    """Where the body fails for requests that can't be met, say what would let it go on; `option` takes one back."""
    try:
        yield
    except SolveError as error:
        ways = [f"`{option} {name}`" for name in error.droppable]
        offers = [f"all else can be met with {' '.join(ways)}"] if ways else []
        if best_base:
            offers.append("`--best-base` takes the newest base on which everything can be met")
        error.hint = "; ".join(filter(None, (error.hint, *offers))) or None
        raise


def carry_out(
    args: argparse.Namespace,
    app: App,
    locate: Locate,
    *,
    asked: Requests,
    options: Options,
    edit: Edit | None = None,
    purge: bool = False,
    looking: bool = False,
    after: Callable[[System, Outcome], None] | None = None,
) -> None:
    """Run the transaction, and say what came of it.

    `purge` gives up the branch that is left; with `looking` nothing new is a NothingToDo. `after` is called before
    anything is said.
    """
    from layering.decision import Operation
    from layering.system import open_system
    from layering.transaction import run

    def edit_all(context: Context, origin: Origin, base: Base) -> Origin:
        changed = origin if edit is None else edit(context, origin, base)
        return edited(context, changed, base, asked)

    operation = Operation(args.title, locate, edit_all, options, words=asked.install, purge=purge)
    system = open_system(args)
    outcome = run(system, operation, args.wait, app.reporter)
    if after is not None:
        after(system, outcome)
    if app.json:
        app.print_json(outcome.as_json())
    else:
        for line in outcome.lines:
            app.print(line)
    if outcome.unchanged:
        text = getattr(args, "nothing", "Nothing to do: the system is as it was asked for.")
        if looking or args.unchanged_exit_77:
            raise answered(NothingToDo(text))
        app.reporter.note(text)
    elif outcome.deployment is not None:
        app.reporter.note(outcome.next_step)
        reboot(args)
