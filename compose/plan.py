# SPDX-License-Identifier: GPL-2.0-or-later
"""A treefile becomes what the engine asks for: the packages to solve, the root, how it is finished.

Reads the .repo files and the files that the treefile names; touches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compose.load import LoadedTreefile
from compose.lockfile import Lock
from compose.options import TreeOptions
from compose.parts import CheckGroups, CheckPasswd
from compose.treefile import Treefile
from rpmtree.errors import ConfigError, Place, StoreError
from rpmtree.ostree.repo import Repository
from rpmtree.pkgcache.choices import ImportChoices
from rpmtree.progress import Reporter
from rpmtree.root import accounts
from rpmtree.root.spec import (
    AccountsCheck,
    AddFile,
    BootLocation,
    FileFilter,
    FinishSpec,
    LayerCommit,
    RootSpec,
    ScriptPolicy,
)
from rpmtree.rpm.repos import Repo, find_repos
from rpmtree.rpm.request import PackageRequest

_Ids = Mapping[str, tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class Previous:
    """What the last compose left: its commit, and the user and group entries in it."""

    checksum: bytes | None = None
    inputhash: str | None = None
    version: str | None = None
    passwd: str = ""
    group: str = ""


def read_previous(repo: Repository | None, treefile: Treefile, options: TreeOptions) -> Previous:
    """Look up the commit to compare with; options may say what its input hash or version is to be taken for.

    Raises StoreError if a commit that was named is not there.
    """
    found = _read_previous(repo, treefile, options) if repo is not None else Previous()
    return replace(
        found,
        inputhash=options.previous_inputhash or found.inputhash,
        version=options.previous_version or found.version,
    )


def _read_previous(repo: Repository, treefile: Treefile, options: TreeOptions) -> Previous:
    rev = options.previous_commit or treefile.ref
    checksum = repo.resolve(rev) if rev else None
    if checksum is None:
        if options.previous_commit:
            raise StoreError(f"{repo.path} has no commit {options.previous_commit}")
        return Previous()
    metadata = repo.commit(checksum).metadata
    values = {key: str(metadata[key].value) for key in ("rpmostree.inputhash", "version") if key in metadata}
    return Previous(
        checksum,
        values.get("rpmostree.inputhash"),
        values.get("version"),
        _accounts_text(repo, checksum, "passwd"),
        _accounts_text(repo, checksum, "group"),
    )


def _accounts_text(repo: Repository, checksum: bytes, name: str) -> str:
    found = (repo.read_file(checksum, path) for path in (f"usr/etc/{name}", f"usr/lib/{name}"))
    return "".join(data.decode("utf-8", "surrogateescape") for data in found if data)


def repositories(
    loaded: LoadedTreefile,
    options: TreeOptions,
    basearch: str,
    reporter: Reporter,
    *,
    more: Sequence[str] = (),
    beside: Sequence[Path] = (),
) -> tuple[Repo, ...]:
    """The repositories that the treefile names, and `more`; or, in --source-root, all enabled ones.

    Their .repo files are beside the treefiles, or else beside the files `beside`. Raises ConfigError.
    """
    treefile = loaded.treefile
    wanted = [*treefile.repos, *(route.repo for route in treefile.repo_packages), *more]
    if options.lockfiles:
        wanted += treefile.lockfile_repos
    # The named treefile's own directory goes before those of what it includes.
    files = (*reversed(loaded.files), *beside)
    directories = list(dict.fromkeys(path.absolute().parent for path in files))
    if options.source_root is not None:
        directories = [options.source_root / "etc/yum.repos.d"]
    variables = {**treefile.repovars, "basearch": basearch, "arch": basearch}
    if treefile.releasever is not None:
        variables["releasever"] = str(treefile.releasever)
    place = loaded.places.get("repos", Place(str(options.treefile), 1, 1))
    if not wanted and options.source_root is None:
        raise ConfigError("No enabled repositories", place=place, hint="name some in `repos`")
    try:
        return find_repos(directories, list(dict.fromkeys(wanted)) or None, variables, reporter=reporter)
    except ConfigError as error:
        error.place = error.place or place  # a name that no .repo file has
        raise


def import_choices(treefile: Treefile) -> ImportChoices:
    """What packages' files are imported with."""
    return ImportChoices(treefile.readonly_executables, treefile.ima)


def root_spec(loaded: LoadedTreefile, previous: Previous, epoch: int, layers: tuple[LayerCommit, ...] = ()) -> RootSpec:
    """How the packages are put together. Raises ConfigError."""
    treefile = loaded.treefile
    passwd, group = _seeds(loaded, previous)
    removed: dict[str, tuple[re.Pattern[str], ...]] = {}
    for package, *expressions in treefile.remove_from_packages:
        removed[package] = (*removed.get(package, ()), *(re.compile(text) for text in expressions))
    languages = treefile.install_langs or ()
    return RootSpec(
        files=FileFilter(treefile.documentation, tuple(languages), removed),
        scripts=ScriptPolicy(
            var={name: exception.var for name, exception in treefile.scriptlets.items()},
            skipped=frozenset(
                f"{name}.{phase}" for name, exception in treefile.scriptlets.items() for phase in exception.skip
            ),
            kernel_install=treefile.boot_location is BootLocation.KERNEL_INSTALL,
            sysusers_forced=treefile.sysusers == "compose-forced",
            choices=import_choices(treefile),
            expand_macros={"_install_langs": ":".join(languages) or "all"},
            source_date_epoch=epoch,
        ),
        opt_usrlocal=treefile.opt_usrlocal,
        layers=layers,
        passwd=passwd,
        group=group,
        source_date_epoch=epoch,
    )


def wants_labels(treefile: Treefile, options: TreeOptions) -> bool:
    """Whether files are to be labelled, if the tree has a policy."""
    return treefile.selinux and not options.disable_selinux


def finish_spec(
    loaded: LoadedTreefile, previous: Previous, version: str | None, epoch: int, options: TreeOptions
) -> FinishSpec:
    """How the root is made into a tree for OSTree. Raises ConfigError."""
    treefile = loaded.treefile
    users, groups = previous_ids(previous)
    return FinishSpec(
        boot_location=treefile.boot_location,
        tmp_is_dir=treefile.tmp_is_dir,
        opt_usrlocal=treefile.opt_usrlocal,
        container=treefile.container,
        units=treefile.units,
        default_target=treefile.default_target,
        selinux=wants_labels(treefile, options),
        machineid_compat=treefile.machineid_compat,
        mutate_os_release=treefile.mutate_os_release,
        version=version,
        osname=treefile.osname,
        etc_group_members=treefile.etc_group_members,
        check_passwd=AccountsCheck(
            _reference(treefile.check_passwd, users, loaded.externals.passwd), frozenset(treefile.ignore_removed_users)
        ),
        check_groups=AccountsCheck(
            _reference(treefile.check_groups, groups, loaded.externals.group), frozenset(treefile.ignore_removed_groups)
        ),
        initramfs=not treefile.no_initramfs,
        initramfs_args=treefile.initramfs_args,
        add_files=tuple(
            AddFile(source, destination)
            for source, (_, destination) in zip(loaded.externals.add_files, treefile.add_files, strict=True)
        ),
        remove_files=treefile.remove_files,
        postprocess=treefile.postprocess,
        postprocess_script=loaded.externals.postprocess_script,
        finalize=tuple(path for _, path in sorted(loaded.externals.finalize.items())),
        treefile_json=loaded.to_text(),
        source_date_epoch=epoch,
    )


def check_seeds(loaded: LoadedTreefile) -> None:
    """Raise ConfigError where users come from the treefile and groups from a commit, or the reverse."""
    users, groups = loaded.treefile.check_passwd, loaded.treefile.check_groups
    if users.seeds != groups.seeds:
        kinds, key = (("JSON", "commit"), "check-passwd") if users.seeds else (("commit", "JSON"), "check-groups")
        raise ConfigError(
            f"configured to migrate passwd data from {kinds[0]}, and group data from {kinds[1]}",
            place=loaded.places.get(key, Place(str(loaded.files[-1]), 1, 1)),
            hint="set check-passwd and check-groups to the same type",
        )


def _seeds(loaded: LoadedTreefile, previous: Previous) -> tuple[str, str]:
    """The passwd and group entries that are there before any script: the checks' own, or the previous commit's.

    A check against a file or data seeds the ids, as in rpm-ostree (src/libpriv/rpmostree-passwd-util.cxx);
    see `check_seeds`.
    """
    users, groups = loaded.treefile.check_passwd, loaded.treefile.check_groups
    if not users.seeds:
        return (previous.passwd, previous.group) if loaded.treefile.preserve_passwd else ("", "")
    passwd = _file_text(loaded.externals.passwd) if users.type == "file" else ""
    group = _file_text(loaded.externals.group) if groups.type == "file" else ""
    for name, ids in (users.entries or {}).items():
        passwd += f"{name}:x:{ids[0]}:{ids[-1]}::/:/usr/sbin/nologin\n"
    for name, gid in (groups.entries or {}).items():
        group += f"{name}:x:{gid}:\n"
    return passwd, group


def _file_text(path: Path | None) -> str:
    assert path is not None  # compose.load sees to it
    try:
        return path.read_text(errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", place=Place(str(path))) from error


def previous_ids(previous: Previous) -> tuple[_Ids, _Ids]:
    """Users' (uid, gid) and groups' (gid,) of the previous commit."""
    users = {entry.name: (entry.uid, entry.gid) for entry in accounts.parse_passwd(previous.passwd)}
    groups = {entry.name: (entry.gid,) for entry in accounts.parse_group(previous.group)}
    return users, groups


def _reference(check: CheckPasswd | CheckGroups, previous: _Ids, path: Path | None) -> _Ids | None:
    match check.type:
        case "previous":
            return previous or None
        case "none":
            return None
        case "data":
            return {name: ids if isinstance(ids, tuple) else (ids,) for name, ids in (check.entries or {}).items()}
        case "file":
            text = _file_text(path)
            if isinstance(check, CheckPasswd):
                return {entry.name: (entry.uid, entry.gid) for entry in accounts.parse_passwd(text, str(path))}
            return {entry.name: (entry.gid,) for entry in accounts.parse_group(text, str(path))}


def package_request(
    treefile: Treefile, repos: tuple[Repo, ...], lock: Lock, options: TreeOptions, basearch: str
) -> PackageRequest:
    """What the solver is asked."""
    return PackageRequest(
        repos=repos,
        packages=treefile.packages,
        basearch=basearch,
        excludes=treefile.exclude_packages,
        repo_packages=tuple((route.repo, route.packages) for route in treefile.repo_packages),
        recommends=treefile.recommends,
        locked={
            key: (f"{build.evr}.{build.arch}" if build.arch else build.evr, build.digest)
            for key, build in lock.packages.items()
        },
        lock_strict=options.lockfile_strict,
        lock_repos=treefile.lockfile_repos if options.lockfiles else (),
    )
