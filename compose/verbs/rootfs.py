# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose install`, `postprocess` and `commit`, which are `compose tree` in three steps; and `compose rootfs`."""

from __future__ import annotations

import argparse
from pathlib import Path

from compose.verbs.common import (
    Verbs,
    absolute,
    add_allow_outside,
    add_cachedir,
    add_commit_options,
    add_disable_selinux,
    add_install_options,
    add_layer_repo,
    add_lockfile,
    add_lockfile_options,
    add_previous_options,
    add_repo,
    add_source_options,
    add_touch,
    add_treefile,
    add_unified_core,
    check_install_options,
    epoch,
    load_treefile,
    show,
    tree_options,
)
from rpmtree.app import App
from rpmtree.rpm.nevra import host_basearch


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    _add_install(verbs)
    _add_postprocess(verbs)
    _add_commit(verbs)
    _add_rootfs(verbs)


def _add_install(verbs: Verbs) -> None:
    install = verbs.add_parser(
        "install",
        help="install a treefile's packages into a directory",
        description="Install the treefile's packages into the new directory DESTDIR/rootfs, and run their scripts.",
    )
    install.set_defaults(action=_install)
    add_treefile(install)
    install.add_argument("destdir", metavar="DESTDIR", type=absolute)
    add_repo(install)
    install.add_argument("--postprocess", action="store_true", help="do, too, what the treefile asks for beside them")
    add_install_options(install.add_argument_group("installing"))
    add_lockfile_options(install.add_argument_group("lockfiles"))


def _install(args: argparse.Namespace, app: App) -> None:
    loaded = load_treefile(args, app)
    if loaded is None:
        return
    check_install_options(args, app)
    from compose.install import install
    from rpmtree.finish.steps import TREEFILE_STEPS

    options, target = tree_options(args, app), args.destdir / "rootfs"
    steps = TREEFILE_STEPS if args.postprocess else ()
    show(install(options, loaded, target, app.reporter, basearch=host_basearch(), steps=steps), app)


def _add_postprocess(verbs: Verbs) -> None:
    postprocess = verbs.add_parser(
        "postprocess",
        help="make a directory with a root ready to be committed",
        description="Make of the root in the directory ROOTFS one for OSTree; and, with a treefile, what that asks for "
        "beside packages. A root that is ready is left as it is.",
    )
    postprocess.set_defaults(action=_postprocess)
    postprocess.add_argument("rootfs", metavar="ROOTFS", type=absolute)
    postprocess.add_argument("treefile", metavar="TREEFILE", type=Path, nargs="?")
    add_allow_outside(postprocess)
    add_repo(postprocess)
    add_unified_core(postprocess)
    add_disable_selinux(postprocess)
    add_previous_options(postprocess.add_argument_group("the compose before"))


def _postprocess(args: argparse.Namespace, app: App) -> None:
    from compose.prepared import postprocess, postprocess_as_it_is

    if args.treefile is None:
        time = epoch(app.environ.get("SOURCE_DATE_EPOCH"))
        labels = not args.disable_selinux
        show(postprocess_as_it_is(args.rootfs, app.reporter, labels=labels, source_date_epoch=time), app)
    elif loaded := load_treefile(args, app):
        show(postprocess(args.rootfs, tree_options(args, app), loaded, app.reporter), app)


def _add_commit(verbs: Verbs) -> None:
    commit = verbs.add_parser(
        "commit",
        help="commit a directory with a root that is ready",
        description="Commit the root in the directory ROOTFS, which `compose postprocess` has made ready. It is read "
        "as it is now, and left so.",
    )
    commit.set_defaults(action=_commit)
    add_treefile(commit)
    commit.add_argument("rootfs", metavar="ROOTFS", type=absolute)
    add_repo(commit, "repository to commit to")
    add_unified_core(commit)
    add_cachedir(commit, "copy the root in that cache directory")
    add_disable_selinux(commit)
    add_touch(commit)
    add_previous_options(commit.add_argument_group("the compose before"))
    add_commit_options(commit.add_argument_group("committing"))


def _commit(args: argparse.Namespace, app: App) -> None:
    if loaded := load_treefile(args, app):
        from compose.prepared import commit

        show(commit(tree_options(args, app), loaded, args.rootfs, app.reporter), app)


def _add_rootfs(verbs: Verbs) -> None:
    rootfs = verbs.add_parser(
        "rootfs",
        help="make the whole root of a treefile in a directory",
        description="Make a root of the treefile MANIFEST, finished but for the commit, in the new directory DEST. "
        "Configuration is at /etc, as in a container image.",
    )
    # The root is wanted here, whatever has changed since the commit of a repository.
    rootfs.set_defaults(action=_rootfs, disable_selinux=True, force_nocache=True)
    rootfs.add_argument("treefile", metavar="MANIFEST", type=Path)
    rootfs.add_argument("dest", metavar="DEST", type=absolute)
    add_allow_outside(rootfs)
    # rpm-ostree's, which does not show it either: what --repo is for `install`.
    rootfs.add_argument("--ostree-repo", dest="repo", type=absolute, metavar="DIR", help=argparse.SUPPRESS)
    group = rootfs.add_argument_group("installing")
    roots = add_source_options(group)
    add_layer_repo(group, "where ostree-layers are")
    roots.add_argument(
        *("--source-root-rw",), dest="source_root", type=Path, metavar="DIR", help="the same; nothing is changed in it"
    )
    add_lockfile(group)


def _rootfs(args: argparse.Namespace, app: App) -> None:
    if loaded := load_treefile(args, app):
        from compose.install import install
        from rpmtree.finish.steps import COMPOSE_STEPS

        options, basearch = tree_options(args, app), host_basearch()
        show(install(options, loaded, args.dest, app.reporter, basearch=basearch, steps=COMPOSE_STEPS), app)
