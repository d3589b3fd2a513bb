# SPDX-License-Identifier: GPL-2.0-or-later
"""One transaction: an origin is changed, and a deployment made of what it asks for. The pipeline, from left to right.

    origin ─ base ─ requests that take effect ─ solution ─ packages ─ root ─ commit ─ deployment

Everything is made anew from the base, nothing from the deployment before. What is durable when is said at
`layering.deploy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from layering import bases, history
from layering.decision import Context, Operation, Planned
from layering.outcome import Outcome, as_it_is, outcome_of
from layering.packagediff import summary
from layering.planning import make_plan
from layering.refspec import Branch
from layering.requests import DoneAlready
from layering.system import System, see
from layering.unfinished import Unfinished, begin, end, forget_branch, unfinished
from layering.workspace import Workspace, borrowed_workspace, clear_leftovers, open_workspace
from rpmtree.collector import without_collector
from rpmtree.errors import NothingToDo, StoreError
from rpmtree.ostree.deployments import Deployment
from rpmtree.progress import Reporter
from rpmtree.root.base import read_base


def run(system: System, operation: Operation, wait: float | None, reporter: Reporter) -> Outcome:
    """Carry an operation out. When it returns, what it did is durable; when it raises, nothing was changed.

    Raises every ToolError there is.
    """
    if operation.options.dry_run:
        return look(system, operation, wait, reporter)
    with without_collector(), system.locked(operation.title, wait):
        earlier = unfinished(system)
        try:
            return _run_alone(system, operation, earlier, reporter)
        except BaseException:
            with suppress(StoreError, OSError):  # what went wrong before is the news; the next transaction goes on
                _clear(system, earlier)
            raise


def _run_alone(system: System, operation: Operation, earlier: Unfinished | None, reporter: Reporter) -> Outcome:
    from layering.deploy import follow_again

    before = {found.checksum for found in system.sysroot.deployments()}
    with open_workspace(system) as workspace:
        context = Context(system, system.merge(), workspace, operation.options, reporter)
        try:
            outcome = _carry_out(context, operation)
        except DoneAlready as error:
            if earlier is None:
                raise
            # By a run of this very command, most likely, that was ended before it could say so.
            reporter.note(f"{error.message}: an interrupted command did that")
            follow_again(context)
            outcome = as_it_is(context)
    after = {found.checksum for found in system.sysroot.deployments()}
    try:
        _finish(system, outcome, earlier, dropped=bool(before - after), reporter=reporter)
    except StoreError as error:  # what was asked for is done; this is done by the next transaction
        reporter.warning(f"what is not needed any more could not be removed: {error.message}")
    if outcome.deployment is not None:
        history.note(system.var, _event(operation, outcome, outcome.deployment), reporter)
    return outcome


def _event(operation: Operation, outcome: Outcome, made: Deployment) -> history.Event:
    origin = see(made).origin
    return history.Event(
        when=history.now(),
        command=" ".join((operation.title, *operation.words)),
        id=made.id,
        origin=None if origin is None else str(origin.base),
        version=outcome.version,
        base=outcome.base,
        requested=() if origin is None else origin.packages,
        diff=summary(outcome.changes),
    )


def _clear(system: System, earlier: Unfinished | None) -> None:
    """Remove what a transaction has made that failed or was stopped, packages and content too. Raises StoreError."""
    from layering.tidy import tidy

    clear_leftovers(system)
    left = unfinished(system)
    if left is None and not bases.are_partial(system):
        return  # it came to nothing: why look at all that is there?
    for note in (earlier, left):
        if note is not None:
            forget_branch(system, note)  # unless the deployment was not made that leaves it
    tidy(system.sysroot, Reporter())  # in silence: the step that failed has the last line
    end(system)


def _finish(system: System, outcome: Outcome, earlier: Unfinished | None, *, dropped: bool, reporter: Reporter) -> None:
    """Remove what is not needed any more, also of an `earlier` transaction that did not end. Raises StoreError."""
    if outcome.downloaded and earlier is not None:
        return  # what was fetched is named by nothing that is deployed
    if earlier is not None and outcome.unchanged:
        forget_branch(system, earlier)
    if dropped or earlier is not None:
        from layering.tidy import tidy

        tidy(system.sysroot, reporter)
    elif outcome.deployment is not None:
        system.sysroot.discard_unlisted()  # this names the commit, which any prune would take else
    end(system)


def look(system: System, operation: Operation, wait: float | None, reporter: Reporter) -> Outcome:
    """What an operation would do, by the solve that it would be done by; the deployments stay as they are.

    root holds the lock meanwhile, so that metadata that is fetched can be kept; anyone else reads what is there.
    """
    with _looking(system, operation, wait) as workspace:
        options = operation.options
        if not system.writable:
            options = replace(options, cache_only=True)
        context = Context(system, system.merge(), workspace, options, reporter)
        planned = make_plan(context, operation)
        refuse(planned, operation.refused)
        return outcome_of(context, planned)


def refuse(planned: Planned, refused: frozenset[str]) -> None:
    """Raise NothingToDo where what was decided is one of those that are not to be deployed."""
    if planned.identity in refused:
        version = planned.base.version or planned.found.checksum
        raise NothingToDo(f"{version} is passed over: it did not boot here before ({planned.identity})")


def _carry_out(context: Context, operation: Operation) -> Outcome:
    from layering.assembly import import_packages, make_commit
    from layering.deploy import deploy, follow
    from layering.space import check_space

    planned = make_plan(context, operation)
    refuse(planned, operation.refused)
    outcome = outcome_of(context, planned)
    if outcome.unchanged:
        follow(context, planned)  # a transaction that was killed may not have come to it
        return outcome
    begin(context.system, _left(context, planned) if operation.purge else None)
    check_space(context, planned)
    if not bases.is_whole(context.system, planned.found.checksum):
        bases.fetch(context.system, planned.found, context.reporter)
        planned = replace(planned, base=read_base(context.workspace.store, planned.base.checksum))
    packages = import_packages(context, planned)
    if context.options.download_only:
        follow(context, planned)  # whoever has no network then finds the commit by it, and no prune takes it
        return replace(outcome, downloaded=True)
    commit = outcome.commit
    if commit is None:
        assert planned.layered is not None
        commit = make_commit(context, planned, planned.layered, packages)
    made = deploy(context, planned, commit)
    if operation.purge and (left := _left(context, planned)) is not None:
        forget_branch(context.system, left)
    return outcome.deployed_as(made)


def _left(context: Context, planned: Planned) -> Unfinished | None:
    """The branch of a remote that is followed no longer; deployments made of it keep its commits."""
    left = context.before.require_origin().base
    if left != planned.origin.base and isinstance(left, Branch) and left.remote is not None:
        return Unfinished(left.remote, left.branch)
    return None


@contextmanager
def _looking(system: System, operation: Operation, wait: float | None) -> Iterator[Workspace]:
    if not system.writable:
        with borrowed_workspace(system) as workspace:
            yield workspace
        return
    with system.locked(operation.title, wait):
        earlier = unfinished(system)
        try:
            with open_workspace(system) as workspace:
                yield workspace
        finally:
            # RPM files that are named are imported to be looked at. What was fetched of a base is for who goes on.
            if operation.options.keep:
                with suppress(StoreError, OSError):
                    _clear(system, earlier)
