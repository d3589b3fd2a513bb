# SPDX-License-Identifier: GPL-2.0-or-later
"""What verbs share: groups of options, their values, how an answer is shown."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from compose.options import TreeOptions
from rpmtree.app import App, Parser
from rpmtree.errors import UsageError
from rpmtree.rpm.nevra import host_basearch

if TYPE_CHECKING:
    from compose.load import LoadedTreefile

#: What `add_subparsers` gives.
Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


class Outcome(Protocol):
    """What came of a verb."""

    @property
    def lines(self) -> Sequence[str]:
        """The answer for people, and for scripts as far as rpm-ostree has such a line."""

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""


def absolute(text: str) -> Path:
    """A path of the command line; it is used where the working directory may be another."""
    return Path(text).absolute()


def add_treefile(parser: Parser) -> None:
    """The treefile, and what it may name."""
    parser.add_argument("treefile", metavar="TREEFILE", type=Path)
    add_allow_outside(parser)


def add_allow_outside(parser: Parser | argparse._ArgumentGroup) -> None:
    """`--allow-outside`; see `load_treefile`."""
    parser.add_argument(
        *("--allow-outside",), type=Path, action="append", default=[], metavar="DIR",
        help="the treefile may name files below DIR, too, and not only of its git checkout, else of its directory",
    )  # fmt: skip


def load_treefile(args: argparse.Namespace, app: App) -> LoadedTreefile | None:
    """The treefile, of which all is supported; None where printing it was all that was asked for.

    Raises ConfigError.
    """
    from compose.load import home_of, load

    loaded = load(args.treefile, basearch=host_basearch(), within=[home_of(args.treefile), *args.allow_outside])
    for notice in loaded.warnings:
        app.reporter.warning(str(notice))
    if getattr(args, "print_only", False):
        app.print(loaded.to_text().rstrip("\n"))
        return None
    return loaded


def add_repo(parser: argparse._ActionsContainer, text: str = "repository with the branch to compare with") -> None:
    """`--repo`; `text` says what it is for."""
    parser.add_argument("-r", "--repo", type=absolute, help=text)


def add_unified_core(parser: argparse._ActionsContainer) -> None:
    """`--unified-core`, which is always so."""
    parser.add_argument(
        "--unified-core", "--ex-unified-core", action="store_true", help="accepted; it is the only core"
    )


def add_cachedir(
    parser: argparse._ActionsContainer, text: str = "keep metadata, RPMs and packages between runs"
) -> None:
    """`--cachedir`; `text` says what it is for."""
    parser.add_argument("--cachedir", type=absolute, metavar="DIR", help=text)


def add_disable_selinux(parser: argparse._ActionsContainer) -> None:
    """`--disable-selinux`."""
    parser.add_argument("--disable-selinux", action="store_true", help="no labels, whatever the treefile says")


def add_touch(parser: argparse._ActionsContainer) -> None:
    """`--touch-if-changed`."""
    parser.add_argument("--touch-if-changed", type=Path, metavar="FILE", help="touch FILE if something new was made")


def add_layer_repo(group: argparse._ArgumentGroup, text: str = "where ostree-layers are; else in --repo") -> None:
    """`--layer-repo`."""
    group.add_argument("--layer-repo", type=absolute, metavar="REPO", help=text)


def add_source_options(group: argparse._ArgumentGroup) -> argparse._MutuallyExclusiveGroup:
    """Where packages come from. Gives the group of those that --source-root excludes."""
    add_unified_core(group)
    add_cachedir(group)
    group.add_argument("--cache-only", action="store_true", help="no network: use what is in the cache")
    roots = group.add_mutually_exclusive_group()
    roots.add_argument("--source-root", type=Path, metavar="DIR", help="take .repo files and keys from that root")
    group.add_argument("--proxy", metavar="URL", help="proxy for downloads")
    return roots


def add_previous_options(group: argparse._ArgumentGroup) -> None:
    """What is compared with the compose before."""
    group.add_argument("--previous-commit", metavar="REV", help="compare with this commit and not with the branch's")
    group.add_argument("--previous-version", metavar="VERSION", help="the automatic version is the one after this")


def add_install_options(group: argparse._ArgumentGroup) -> None:
    """Those about packages and the compose before."""
    add_source_options(group)
    add_layer_repo(group)
    group.add_argument("--force-nocache", action="store_true", help="compose even if nothing changed")
    group.add_argument("--download-only", action="store_true", help="stop after download and import")
    group.add_argument("--download-only-rpms", action="store_true", help="stop after download, which --cachedir keeps")
    group.add_argument("--dry-run", action="store_true", help="print the packages and stop")
    group.add_argument("--print-only", action="store_true", help="print the flattened treefile and stop")
    add_disable_selinux(group)
    add_touch(group)
    add_previous_options(group)
    group.add_argument("--previous-inputhash", metavar="HASH", help="compare with this, where no commit is at hand")
    group.add_argument("--workdir", type=Path, metavar="DIR", help="accepted, and ignored")
    group.add_argument("--workdir-tmpfs", action="store_true", help=argparse.SUPPRESS)


def check_install_options(args: argparse.Namespace, app: App) -> None:
    """Say of options that they do nothing here; raise UsageError for those that can't be meant."""
    if args.workdir is not None:
        app.reporter.note("note: --workdir is ignored for --unified-core")
    if args.download_only_rpms and args.cachedir is None:
        raise UsageError("--download-only-rpms keeps nothing without a cache", hint="name one: --cachedir=DIR")


def add_commit_options(group: argparse._ArgumentGroup) -> None:
    """Those about the commit."""
    group.add_argument(
        *("--add-metadata-string",), dest="metadata_strings", action="append", default=[], metavar="KEY=VALUE",
        help="metadata value",
    )  # fmt: skip
    group.add_argument(
        *("--add-metadata-from-json",), dest="metadata_json", type=Path, metavar="FILE",
        help="metadata from a JSON object",
    )  # fmt: skip
    group.add_argument("--write-commitid-to", type=Path, metavar="FILE", help="write the checksum, leave the branch")
    group.add_argument("--write-composejson-to", type=Path, metavar="FILE", help="write figures of the compose")
    parents = group.add_mutually_exclusive_group()
    parents.add_argument("--no-parent", action="store_true", help="a commit without a parent")
    parents.add_argument("--parent", metavar="REV", help="this parent and not the branch's commit")


def add_lockfile(group: argparse._ArgumentGroup, name: str = "--lockfile", text: str = "versions to take") -> None:
    """One lockfile or several."""
    group.add_argument(name, dest="lockfiles", type=Path, action="append", default=[], metavar="FILE", help=text)


def add_lockfile_options(group: argparse._ArgumentGroup) -> None:
    """Those about lockfiles."""
    group.add_argument(
        *("--ex-write-lockfile-to",), dest="write_lockfile_to", type=Path, metavar="FILE",
        help="write the versions that were taken",
    )  # fmt: skip
    add_lockfile(group, "--ex-lockfile")
    group.add_argument(
        *("--ex-lockfile-strict",), dest="lockfile_strict", action="store_true",
        help="take nothing that is not in the lockfile",
    )  # fmt: skip


def tree_options(args: argparse.Namespace, app: App) -> TreeOptions:
    """The options that a verb has, which are stored under the names of the fields; the others are as by default."""
    given: dict[str, Any] = {}
    for field in fields(TreeOptions):
        if hasattr(args, field.name):
            value = getattr(args, field.name)
            given[field.name] = tuple(value) if isinstance(value, list) else value
    return TreeOptions(
        **given,
        gpg_homedir=gpg_homedir(app).absolute(),
        source_date_epoch=epoch(app.environ.get("SOURCE_DATE_EPOCH")),
    )


def epoch(text: str | None) -> int | None:
    """SOURCE_DATE_EPOCH as a number. Raises UsageError."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH={text} is not a number of seconds")
    return int(text)


def gpg_homedir(app: App) -> Path:
    """Where gpg looks for keys."""
    return Path(app.environ.get("GNUPGHOME") or Path.home() / ".gnupg")


def show(outcome: Outcome, app: App) -> None:
    """Print the answer, as JSON where that was asked for."""
    if app.json:
        app.print_json(outcome.as_json())
        return
    for line in outcome.lines:
        app.print(line)
