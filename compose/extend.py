# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose extensions`: the RPMs of extensions that fit a base, with what they need, in a directory."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from compose import extensions, plan
from compose.gather import opened, solve
from compose.load import LoadedTreefile
from compose.options import TreeOptions
from compose.report import touch
from compose.workspace import need_root, open_workspace
from rpmtree.errors import FetchError, StoreError, ToolError, UsageError
from rpmtree.files import Root, write_atomically
from rpmtree.ostree.repo import Repository
from rpmtree.pkgcache.cache import PackageCache
from rpmtree.pkgcache.ensure import ensure_imported
from rpmtree.progress import Reporter, step
from rpmtree.root.installed import copy_database
from rpmtree.root.rpmdb import HOME, HOMES
from rpmtree.rpm.database import DATABASE_FILE, read_database
from rpmtree.rpm.request import PackageRequest, Solution, SolvedPackage

#: Names that rpm-ostree gives them, and that who publishes extensions looks for.
DOCUMENT, STATE = "extensions.json", ".rpm-ostree-state-chksum"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What extensions are wanted (the document at `file`), for what base, and where they go.

    The base is in the directory `rootfs`, or a commit of the repository: that of the treefile's branch without `rev`.
    """

    file: Path
    output: Path
    rev: str | None = None
    rootfs: Path | None = None


@dataclass(frozen=True, slots=True)
class Extended:
    """What came of it: the names of the RPM files in `directory`; not `changed`: they are those of before."""

    directory: str
    packages: tuple[str, ...]
    changed: bool

    @property
    def lines(self) -> list[str]:
        """The answer, as rpm-ostree gives it where nothing changed."""
        return [f"Wrote {len(self.packages)} packages to {self.directory}" if self.changed else "No change."]

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return {"directory": self.directory, "packages": list(self.packages), "changed": self.changed}


def extend(options: TreeOptions, loaded: LoadedTreefile, wish: Wish, basearch: str, reporter: Reporter) -> Extended:
    """Solve on top of the base, and write the RPMs. Raises ConfigError, FetchError, SolveError, StoreError."""
    need_root()
    wanted = extensions.read(wish.file, basearch)
    for notice in wanted.notices:
        reporter.warning(str(notice))
    repos = plan.repositories(loaded, options, basearch, reporter, more=wanted.all_repos, beside=[wish.file])
    try:
        wish.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"can't make {wish.output}: {error.strerror}") from error
    with (
        tempfile.TemporaryDirectory(prefix="strata-base-") as base,
        open_workspace(wish.output, options.cachedir) as workspace,
    ):
        _copy_base(options, loaded, wish, Path(base))
        resolved = extensions.resolve(wanted, read_database(Path(base)))
        # The treefile's excludes are for the base; what it leaves out may well be an extension.
        request = PackageRequest(
            repos, resolved.packages, basearch, recommends=loaded.treefile.recommends, base=Path(base)
        )
        with opened(request, options, workspace, reporter) as source:
            solution = _with(solve(source, reporter), source.alone(resolved.development))
            names = {f"{p.nevra.name}-{p.nevra.version}-{p.nevra.release}.{p.nevra.arch}.rpm": p
                     for p in solution.packages}  # fmt: skip
            answer = Extended(str(wish.output), tuple(names), changed=True)
            state = _state(resolved.document, solution)
            if _is_there(wish.output, state, names):
                return Extended(str(wish.output), tuple(names), changed=False)
            # To import them checks signatures and payloads, and shows that a machine could take them.
            ensure_imported(PackageCache(workspace.store), source, solution, reporter)
            paths = source.fetch(solution.packages, reporter)
            with step(reporter, "Copying"):
                _write(wish.output, {name: (package, paths[package.nevra]) for name, package in names.items()})
        write_atomically(wish.output / DOCUMENT, json.dumps(resolved.document, indent=2) + "\n")
        write_atomically(wish.output / STATE, state)
    _tell_of_older(wish.output, names, reporter)
    touch(options.touch_if_changed)
    return answer


def _with(solution: Solution, more: Sequence[SolvedPackage]) -> Solution:
    """A solution with packages that nobody asked the solver about."""
    packages = {*solution.packages, *more}
    return replace(solution, packages=tuple(sorted(packages, key=lambda package: package.nevra)))


def _copy_base(options: TreeOptions, loaded: LoadedTreefile, wish: Wish, directory: Path) -> None:
    """The base's rpm database, which rpm may write beside. Raises StoreError, ToolError, UsageError."""
    if wish.rootfs is not None:
        try:
            root = Root(wish.rootfs)
        except OSError as error:
            raise ToolError(f"can't open {wish.rootfs}: {error.strerror}") from error
        with root:
            copy_database(root, directory)
        return
    rev = wish.rev or loaded.treefile.ref
    if options.repo is None or rev is None:
        raise UsageError("on what base?", hint="name a commit, --repo=DIR --base-rev=REV, or a root, --rootfs=DIR")
    repo = Repository(options.repo)
    checksum = repo.resolve(rev)
    if checksum is None:
        raise StoreError(f"{repo.path} has no commit {rev}")
    found = (repo.read_file(checksum, f"{home}/{DATABASE_FILE}") for home in HOMES)
    data = next((data for data in found if data), None)
    if data is None:
        raise StoreError(f"the commit {rev} has no rpm database in sqlite form at /{HOME}")
    (directory / DATABASE_FILE).write_bytes(data)


def _state(document: Mapping[str, JsonValue], solution: Solution) -> str:
    packages = [[str(package.nevra), package.checksum] for package in solution.packages]
    text = json.dumps([document, packages], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_there(output: Path, state: str, names: Mapping[str, SolvedPackage]) -> bool:
    try:
        same = (output / STATE).read_text() == state and (output / DOCUMENT).is_file()
        return same and all((output / name).stat().st_size == found.download_size for name, found in names.items())
    except (OSError, UnicodeDecodeError):
        return False


def _write(output: Path, files: Mapping[str, tuple[SolvedPackage, Path]]) -> None:
    """Write each file, whose bytes must be those that were checked. Raises FetchError."""
    (output / STATE).unlink(missing_ok=True)  # until all is there
    with Root(output) as root:
        for name, (package, path) in files.items():
            algorithm, _, expected = package.checksum.partition(":")
            digest = hashlib.new(algorithm)
            with open(path, "rb") as source, root.replacing(name, 0o644) as target:
                while data := source.read(_CHUNK):
                    digest.update(data)
                    target.write(data)
                if digest.hexdigest() != expected:
                    raise FetchError(f"{path} has changed since it was checked")


def _tell_of_older(output: Path, names: Mapping[str, SolvedPackage], reporter: Reporter) -> None:
    older = sorted(path.name for path in output.glob("*.rpm") if path.name not in names)
    if older:
        reporter.warning(f"{output} has RPMs of something else, too: {', '.join(older)}")
