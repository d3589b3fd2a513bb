# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs `verify` and `repair`: is what is deployed what was committed?"""

from __future__ import annotations

import argparse
from pathlib import Path

from layering.verbs.common import Verbs, add_verb, answered
from rpmtree.app import App
from rpmtree.errors import StoreError


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    parser = add_verb(verbs, "verify", _verify, "compare each deployed file with its commit", changes=False)
    parser.add_argument(
        "index", metavar="INDEX", nargs="?", type=int, help="only this deployment, as `status` lists it"
    )
    parser = add_verb(verbs, "repair", _repair, "put right what is damaged in the repository and in deployments")
    parser.add_argument(
        *("--from",),
        dest="sources",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="take what is missing from the repository at PATH before asking a remote",
    )


def _verify(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_system, require_root
    from layering.verify import verify
    from rpmtree.console import printable
    from rpmtree.ostree.checking import Checker
    from rpmtree.ostree.store import Store
    from rpmtree.progress import step

    require_root(args.title, "reads every file")
    system = open_system(args)
    checker, store = Checker(), Store(system.sysroot.repo_path)
    chosen = [system.at(args.index)] if args.index is not None else system.deployments()
    findings = {}
    for seen in chosen:
        with step(app.reporter, f"Verifying {seen.deployment.id}") as running:
            before = checker.bytes
            findings[seen.deployment.id] = list(verify(store, seen.deployment, checker))
            running.summary = f"{(checker.bytes - before) / 1e6:.1f} MB"
    # What was removed meanwhile is no damage.
    present = {seen.deployment.id for seen in system.deployments()}
    findings = {name: found for name, found in findings.items() if name in present}
    if app.json:
        app.print_json({
            "deployments": [
                {"id": name, "findings": [{"path": f.path, "wrong": f.wrong.value, "what": f.what} for f in found]}
                for name, found in findings.items()
            ]
        })  # fmt: skip
    else:
        for name, found in findings.items():
            app.print(f"{name}: {'as it was committed' if not found else ''}".rstrip())
            for finding in found:
                app.print(f"  {printable(str(finding))}")
    if count := sum(map(len, findings.values())):
        raise answered(StoreError(f"{count} paths are not as they were committed", hint="`layer repair` mends them"))


def _repair(args: argparse.Namespace, app: App) -> None:
    from layering.repair import repair
    from layering.system import open_sysroot, require_root
    from rpmtree.console import printable

    require_root(args.title)
    sysroot = open_sysroot(args)
    with sysroot.lock(args.title, wait=args.wait):
        done = repair(sysroot, [path.absolute() for path in args.sources], app.reporter)
    if app.json:
        app.print_json({
            "objects": list(done.objects),
            "paths": list(done.paths),
            "left": list(done.left),
            "aside": None if done.aside is None else str(done.aside),
        })  # fmt: skip
    else:
        app.print(f"objects that were missing or damaged: {len(done.objects)}")
        if done.aside is not None:
            app.print(f"damaged ones are in {done.aside}")
        for line in done.paths:
            app.print(f"mended: {printable(line)}")
        for line in done.left:
            app.print(f"not mended: {printable(line)}")
    if done.left:
        raise answered(StoreError("not all could be mended", hint="--from PATH takes objects from another repository"))
