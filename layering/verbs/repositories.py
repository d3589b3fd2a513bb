# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that ask package repositories: refresh-md, search."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import TYPE_CHECKING

from layering.verbs.common import Verbs, add_cache_only, add_verb
from rpmtree.app import App

if TYPE_CHECKING:
    from rpmtree.rpm.request import Found

_TITLES = {"both": "Summary & Name Matched", "name": "Name Matched", "summary": "Summary Matched"}


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    refresh = add_verb(
        verbs, "refresh-md", _refresh, "fetch the metadata of package repositories", aliases=["makecache"]
    )
    refresh.add_argument("-f", "--force", action="store_true", help="also where it has not expired")
    search = add_verb(verbs, "search", _search, "look for packages by name and summary", changes=False)
    search.add_argument("words", nargs="+", metavar="WORD", help="part of a name or summary, or a pattern")
    add_cache_only(search)


def _refresh(args: argparse.Namespace, app: App) -> None:
    from layering.catalogue import catalogue
    from layering.system import open_system, require_root

    require_root(args.title, "keeps what it fetches in /var/cache")
    system = open_system(args)
    with catalogue(system, args.title, args.wait, app.reporter, refresh=args.force) as source:
        rows = [{"id": repo.id, "timestamp": repo.timestamp} for repo in source.repos]
        dead = dict(source.dead)
    if app.json:
        app.print_json({"repositories": rows, "dead-repositories": dead})
        return
    for row in rows:
        app.print(str(row["id"]))


def _search(args: argparse.Namespace, app: App) -> None:
    from layering.catalogue import catalogue
    from layering.system import open_system

    with catalogue(open_system(args), args.title, 0, app.reporter, cache_only=args.cache_only) as source:
        found = source.search(args.words)
    if app.json:
        app.print_json([_row(each) for each in found])
        return
    if not found:
        app.reporter.note("No matches found.")
    order = list(_TITLES)
    for kind, group in groupby(sorted(found, key=lambda each: order.index(each.matched)), lambda each: each.matched):
        app.print(f"===== {_TITLES[kind]} =====")
        for each in group:
            app.print(f"{each.name} : {each.summary}")


def _row(found: Found) -> dict[str, object]:
    return {
        "name": found.name,
        "evr": found.evr,
        "arch": found.arch,
        "summary": found.summary,
        "repo": found.repo,
        "matched": found.matched,
        "installed": found.installed,
    }
