# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs `db list`, `db diff`, `db version`: the packages of commits."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layering.verbs.common import Verbs, add_verb
from rpmtree.app import App
from rpmtree.errors import StoreError, UsageError

if TYPE_CHECKING:
    from layering.packagelists import Notice
    from rpmtree.ostree.deployments import Deployment
    from rpmtree.ostree.repo import Repository
    from rpmtree.rpm.packagediff import Change


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    text = "show and compare the packages of commits"
    parser = verbs.add_parser("db", aliases=["rpm"], help=text, description=f"{text.capitalize()}.")
    below = parser.add_subparsers(metavar="VERB", title="verbs")
    listed = add_verb(below, "list", _list, "list packages", changes=False, group="db")
    listed.add_argument("revs", metavar="REV", nargs="*", help="branch or commit; after the first, a pattern of names")
    diff = add_verb(below, "diff", _diff, "compare the packages of two commits", changes=False, group="db")
    diff.add_argument("revs", metavar="REV", nargs="*", help="none: what runs with what waits; one: what runs with it")
    diff.add_argument("-F", "--format", choices=("block", "diff", "json"), default="block", help="(block)")
    diff.add_argument("-c", "--changelogs", action="store_true", help="what packagers wrote about their changes")
    diff.add_argument("--base", action="store_true", help="the bases, without what is layered on them")
    version = add_verb(below, "version", _version, "name a commit's set of packages", changes=False, group="db")
    version.add_argument("revs", metavar="REV", nargs="*", help="branch or commit")
    for one in (listed, diff):
        one.add_argument("-a", "--advisories", action="store_true", help="what the commit knows of them")
    for one in (listed, diff, version):
        one.add_argument("--repo", type=Path, metavar="PATH", help="in the repository at PATH")


def _list(args: argparse.Namespace, app: App) -> None:
    from fnmatch import fnmatchcase

    from layering.packagelists import find, notices, packages
    from rpmtree.ostree.refs import resolve

    repository, revs = _repository(args), args.revs or [_current(args)]
    found = [(revs[0], find(repository, revs[0]))]
    patterns = []
    for word in revs[1:]:
        checksum = resolve(repository.path, word)
        if checksum is None:
            patterns.append(word if set(word) & set("*?[") else f"{word}*")
        else:
            found.append((word, checksum))
    document = []
    for rev, checksum in found:
        builds = packages(repository, checksum)
        shown = [n for n in builds if not patterns or any(fnmatchcase(n.name, pattern) for pattern in patterns)]
        told = notices(repository, checksum, set(map(str, shown))) if args.advisories else ()
        document.append(
            {"rev": rev, "checksum": checksum.hex(), "packages": [str(n) for n in shown], "advisories": _notes(told)}
        )
        if not app.json:
            app.print(_title("ostree commit:", rev, checksum))
            _lines(app, (f" {nevra}" for nevra in shown))
            _lines(app, (f" advisory {notice}" for notice in told))
    if app.json:
        app.print_json(document)


def _version(args: argparse.Namespace, app: App) -> None:
    from layering.packagelists import find, packages, version

    repository = _repository(args)
    document = []
    for rev in args.revs or [_current(args)]:
        checksum = find(repository, rev)
        name = version(packages(repository, checksum))
        document.append({"rev": rev, "checksum": checksum.hex(), "version": name})
        if not app.json:
            app.print(f"ostree commit: {rev} ({name})")
    if app.json:
        app.print_json(document)


def _diff(args: argparse.Namespace, app: App) -> None:
    from layering.packagediff import block_lines, diff_lines
    from layering.packagelists import changelogs, notices, packages
    from rpmtree.ostree.bases import base_of
    from rpmtree.rpm.packagediff import difference, to_json

    if len(args.revs) > 2:
        raise UsageError("two commits can be compared, not more")
    as_json = app.json or args.format == "json"
    if as_json and args.changelogs:
        raise UsageError("changelogs are not part of the JSON", hint="leave out --changelogs, or the JSON")
    repository = _repository(args)
    sides = _sides(repository, args)
    if args.base:
        sides = [(rev, base_of(checksum, repository.commit(checksum))) for rev, checksum in sides]
    (_, old), (_, new) = sides
    changes = difference(packages(repository, old), packages(repository, new))
    told: tuple[Notice, ...] = ()
    if args.advisories:
        named = {str(change.new) for change in changes if change.new}
        told = notices(repository, new, named)
    if as_json:
        app.print_json({
            "ostree-commit-from": old.hex(),
            "ostree-commit-to": new.hex(),
            "pkgdiff": to_json(changes),
            "advisories": _notes(told),
        })  # fmt: skip
        return
    for label, (rev, checksum) in zip(("ostree diff commit from:", "ostree diff commit to:  "), sides, strict=True):
        app.print(_title(label, rev, checksum))
    _lines(app, (block_lines if args.format == "block" else diff_lines)(changes))
    _lines(app, (f"Advisory: {notice}" for notice in told))
    if args.changelogs:
        _show_changelogs(app, changelogs(repository, old, new, changes))


def _sides(repository: Repository, args: argparse.Namespace) -> list[tuple[str, bytes]]:
    """What is compared with what: names, and commits."""
    from layering.packagelists import find

    revs = list(args.revs)
    if len(revs) < 2:
        if args.repo is not None:
            raise UsageError("--repo: two commits have to be named")
        revs = [_current(args), *revs] if revs else _pair(args)
    return [(rev, find(repository, rev)) for rev in revs]


def _pair(args: argparse.Namespace) -> list[str]:
    """What runs and what waits; else what is kept to go back to, and what runs."""
    ours = _ours(args)
    booted = next((found for found in ours if found.booted), None)
    if len(ours) < 2:
        raise StoreError("there is only one deployment", hint="name what it is to be compared with")
    pair = (booted, ours[0]) if booted is not None and booted is not ours[0] else (ours[1], ours[0])
    return [found.checksum for found in pair]


def _current(args: argparse.Namespace) -> str:
    """The commit that runs, else the first that is deployed."""
    if args.repo is not None:
        raise UsageError("--repo: a branch or commit has to be named")
    ours = _ours(args)
    if not ours:
        raise StoreError("nothing is deployed", hint="name a branch or commit")
    return next((found for found in ours if found.booted), ours[0]).checksum


def _ours(args: argparse.Namespace) -> list[Deployment]:
    from layering.system import open_system

    return [seen.deployment for seen in open_system(args).ours()]


def _repository(args: argparse.Namespace) -> Repository:
    from layering.system import open_sysroot
    from rpmtree.ostree.repo import Repository

    return open_sysroot(args).repository if args.repo is None else Repository(args.repo.absolute())


def _title(label: str, rev: str, checksum: bytes) -> str:
    return f"{label} {rev}" if rev == checksum.hex() else f"{label} {rev} ({checksum.hex()})"


def _lines(app: App, lines: Iterable[str]) -> None:
    from rpmtree.console import printable

    if text := "\n".join(lines):
        app.print(printable(text))


def _show_changelogs(app: App, found: dict[Change, tuple[tuple[int, str, str], ...]]) -> None:
    from datetime import UTC, datetime

    from layering.packagediff import described

    for change, entries in found.items():
        lines = [f"{described(change)}:"]
        for when, who, text in entries:
            lines.append(f"  * {datetime.fromtimestamp(when, UTC):%a %b %d %Y} {who}")
            lines += [f"    {line}" for line in text.splitlines()]
        _lines(app, lines)


def _notes(told: Sequence[Notice]) -> list[dict[str, Any]]:
    return [
        {
            "id": notice.id,
            "kind": notice.kind,
            "severity": notice.severity,
            "packages": list(notice.packages),
            "cves": [{"name": name, "url": url} for name, url in notice.cves],
        }
        for notice in told
    ]
