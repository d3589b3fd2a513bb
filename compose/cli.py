# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `compose`: arguments in, results out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from compose.options import TreeOptions
from rpmtree.app import App, Parser, run
from rpmtree.errors import UsageError
from rpmtree.rpm.nevra import host_basearch

if TYPE_CHECKING:
    from compose.report import Outcome


def main() -> NoReturn:
    """Run the command and end the process."""
    run("compose", build_parser)


def build_parser() -> Parser:
    """The parser of all verbs."""
    parser = Parser("compose", description="Make OSTree commits out of RPMs, as a treefile says.")
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    _add_tree(verbs)
    _add_serve(verbs)
    _add_sign(verbs)
    _add_schema(verbs)
    return parser


def _add_tree(verbs: argparse._SubParsersAction[Parser]) -> None:
    tree = verbs.add_parser(
        "tree",
        help="compose a treefile and commit it",
        description="Install the treefile's packages into a tree and commit that to a repository.",
        epilog="Exit status: 0 done, or no change; 3 treefile wrong; 4 no solution; 5 fetching; 6 a package's script; "
        "7 a program; 8 repository; 9 file conflict; 75 locked; 1 other.",
    )
    tree.set_defaults(action=_tree)
    tree.add_argument("treefile", metavar="TREEFILE", type=Path)
    tree.add_argument("-r", "--repo", type=Path, help="repository to commit to")
    tree.add_argument(
        *("--allow-outside",), type=Path, action="append", default=[], metavar="DIR",
        help="the treefile may name files below DIR, too, and not only of its git checkout, else of its directory",
    )  # fmt: skip
    _add_install_options(tree.add_argument_group("installing"))
    _add_commit_options(tree.add_argument_group("committing"))
    _add_lockfile_options(tree.add_argument_group("lockfiles"))


def _add_install_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--unified-core", "--ex-unified-core", action="store_true", help="accepted; it is the only core")
    group.add_argument("--cachedir", type=Path, metavar="DIR", help="keep metadata, RPMs and packages between runs")
    group.add_argument("--cache-only", action="store_true", help="no network: use what is in the cache")
    group.add_argument("--force-nocache", action="store_true", help="compose even if nothing changed")
    group.add_argument("--layer-repo", type=Path, metavar="REPO", help="where ostree-layers are; else in --repo")
    group.add_argument("--source-root", type=Path, metavar="DIR", help="take .repo files and keys from that root")
    group.add_argument("--proxy", metavar="URL", help="proxy for downloads")
    group.add_argument("--download-only", action="store_true", help="stop after download and import")
    group.add_argument("--dry-run", action="store_true", help="print the packages and stop")
    group.add_argument("--print-only", action="store_true", help="print the flattened treefile and stop")
    group.add_argument("--disable-selinux", action="store_true", help="no labels, whatever the treefile says")
    group.add_argument("--touch-if-changed", type=Path, metavar="FILE", help="touch FILE if something new was made")
    group.add_argument("--previous-commit", metavar="REV", help="compare with this commit and not with the branch's")


def _add_commit_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--add-metadata-string", action="append", default=[], metavar="KEY=VALUE", help="metadata value")
    group.add_argument("--add-metadata-from-json", type=Path, metavar="FILE", help="metadata from a JSON object")
    group.add_argument("--write-commitid-to", type=Path, metavar="FILE", help="write the checksum, leave the branch")
    group.add_argument("--write-composejson-to", type=Path, metavar="FILE", help="write figures of the compose")
    parents = group.add_mutually_exclusive_group()
    parents.add_argument("--no-parent", action="store_true", help="a commit without a parent")
    parents.add_argument("--parent", metavar="REV", help="this parent and not the branch's commit")


def _add_lockfile_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--ex-write-lockfile-to", type=Path, metavar="FILE", help="write the versions that were taken")
    group.add_argument("--ex-lockfile", type=Path, action="append", default=[], metavar="FILE", help="versions to take")
    group.add_argument("--ex-lockfile-strict", action="store_true", help="take nothing that is not in the lockfile")


def _add_serve(verbs: argparse._SubParsersAction[Parser]) -> None:
    serve = verbs.add_parser(
        "serve",
        help="serve a directory over HTTP, for labs and tests",
        description="Serve the files of a directory, a repository for example, over HTTP until a signal comes.",
    )
    serve.set_defaults(action=_serve)
    serve.add_argument("directory", metavar="DIR", type=Path)
    serve.add_argument("--bind", metavar="ADDRESS", default="127.0.0.1", help="listen there; else 127.0.0.1")
    serve.add_argument("--port", type=int, metavar="N", default=0, help="that port; else, or with 0, any that is free")
    serve.add_argument("--port-file", type=Path, metavar="FILE", help="write the port's number to FILE")


def _serve(args: argparse.Namespace, app: App) -> None:
    from compose.serve import serve

    serve(args.directory, args.bind, args.port, args.port_file, app)


def _add_schema(verbs: argparse._SubParsersAction[Parser]) -> None:
    schema = verbs.add_parser(
        "schema",
        help="print the JSON Schema of treefiles, for editors",
        description="Print what a treefile may hold, as JSON Schema, or as the page of the documentation.",
    )
    schema.set_defaults(action=_schema)
    schema.add_argument("--markdown", action="store_true", help="print docs/treefile.md")


def _schema(args: argparse.Namespace, app: App) -> None:
    from compose import reference

    if args.markdown:
        app.print(reference.page().rstrip("\n"))
    else:
        app.print(json.dumps(reference.schema(), indent=2, ensure_ascii=False))


def _add_sign(verbs: argparse._SubParsersAction[Parser]) -> None:
    sign = verbs.add_parser(
        "sign",
        help="sign a commit",
        description="Add signatures to a commit. Those that are there stay; a key that has signed it adds nothing.",
    )
    sign.set_defaults(action=_sign)
    sign.add_argument("rev", metavar="COMMIT|REF")
    sign.add_argument("--repo", type=Path, metavar="REPO", required=True, help="repository that has the commit")
    sign.add_argument("--gpg-key", action="append", default=[], metavar="ID", help="sign with that secret key of gpg's")
    sign.add_argument("--gpg-homedir", type=Path, metavar="DIR", help="where gpg keeps its keys")
    sign.add_argument(
        "--ed25519-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="sign with the secret key in FILE: base64, as `ostree sign` takes it",
    )


def _sign(args: argparse.Namespace, app: App) -> None:
    from compose.sign import sign

    if not args.gpg_key and not args.ed25519_key:
        raise UsageError("with which key? None is named", hint="name one: --gpg-key=ID or --ed25519-key=FILE")
    homedir = (args.gpg_homedir or _gpg_homedir(app)).absolute()
    outcome = sign(args.repo.absolute(), args.rev, args.gpg_key, homedir, args.ed25519_key)
    if app.json:
        app.print_json(outcome.as_json())
        return
    for line in outcome.lines:
        app.print(line)


def _gpg_homedir(app: App) -> Path:
    return Path(app.environ.get("GNUPGHOME") or Path.home() / ".gnupg")


def _tree(args: argparse.Namespace, app: App) -> None:
    from compose.load import home_of, load

    basearch = host_basearch()
    loaded = load(args.treefile, basearch=basearch, within=[home_of(args.treefile), *args.allow_outside])
    for notice in loaded.warnings:
        app.reporter.warning(str(notice))
    if args.print_only:
        app.print(loaded.to_text().rstrip("\n"))
        return
    if args.repo is None:
        raise UsageError("--repo is missing", hint="name the repository to commit to: --repo=DIR")
    from compose.tree import compose_tree

    _show(compose_tree(_options(args, app), loaded, basearch, app.reporter), app)


def _options(args: argparse.Namespace, app: App) -> TreeOptions:
    return TreeOptions(
        treefile=args.treefile,
        repo=args.repo.absolute(),
        cachedir=args.cachedir and args.cachedir.absolute(),
        source_root=args.source_root,
        layer_repo=args.layer_repo and args.layer_repo.absolute(),
        proxy=args.proxy,
        cache_only=args.cache_only,
        force_nocache=args.force_nocache,
        download_only=args.download_only,
        dry_run=args.dry_run,
        disable_selinux=args.disable_selinux,
        touch_if_changed=args.touch_if_changed,
        previous_commit=args.previous_commit,
        metadata_strings=tuple(args.add_metadata_string),
        metadata_json=args.add_metadata_from_json,
        write_commitid_to=args.write_commitid_to,
        write_composejson_to=args.write_composejson_to,
        no_parent=args.no_parent,
        parent=args.parent,
        write_lockfile_to=args.ex_write_lockfile_to,
        lockfiles=tuple(args.ex_lockfile),
        lockfile_strict=args.ex_lockfile_strict,
        gpg_homedir=_gpg_homedir(app).absolute(),
        source_date_epoch=_epoch(app.environ.get("SOURCE_DATE_EPOCH")),
    )


def _epoch(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH={text} is not a number of seconds")
    return int(text)


def _show(outcome: Outcome, app: App) -> None:
    """Print what rpm-ostree prints where scripts read it."""
    if app.json:
        app.print_json(outcome.as_json())
        return
    for line in outcome.lines:
        app.print(line)
