# SPDX-License-Identifier: GPL-2.0-or-later
"""All packages of a request's repositories, loaded into libsolv, less those that are kept out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hawkey
from hawkey import _hawkey

from rpmtree.errors import FetchError, StoreError
from rpmtree.files import remove_tree, sync_filesystem, write_atomically
from rpmtree.progress import Reporter
from rpmtree.rpm.fetch import Digest
from rpmtree.rpm.installed import load_installed
from rpmtree.rpm.metadata import Metadata
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.request import LocalFile, PackageRequest


class Kept(NamedTuple):
    """Why a package is kept out, and what would let it in; `advice` is empty where that is plain."""

    reason: str
    advice: str = ""


class PackageSack:
    """The packages that a request may be answered with."""

    def __init__(
        self, request: PackageRequest, metadata: Sequence[Metadata], cachedir: Path, reporter: Reporter
    ) -> None:
        """Load `metadata`, sorted by priority; libsolv's own form of it is kept in `cachedir`.

        Raises FetchError and StoreError.
        """
        self._request = request
        self._metadata = tuple(metadata)
        self._reporter = reporter
        self._excluded: list[tuple[Any, Callable[[Any], Kept]]] = []
        self._unwanted: list[Any] = []
        self._wish: Any = None
        #: The packages that were given as files, by their place in the sack.
        self.files: list[tuple[LocalFile, Any]] = []
        # libsolv notes in its cache which files it has looked for: with file lists it must not find notes made without.
        # What it keeps of a repository it uses only with the repomd.xml that it was made from.
        solv = cachedir / ("with-files" if any("filelists" in m.files for m in metadata) else "plain")
        with _durable(solv):
            self._fill(solv)
            if request.base is not None:
                load_installed(self.sack, request.base)
            self._add_files()
            # With the first question libsolv looks for the files that packages need, and writes its cache again.
            len(self.query(provides="nothing"))
        self._keep_out()

    def query(self, **filters: Any) -> Any:
        """Packages of the sack, excluded ones too."""
        return hawkey.Query(self.sack, flags=hawkey.IGNORE_EXCLUDES).filter(**filters)

    def allowed(self, **filters: Any) -> Any:
        """Packages of the sack that are not excluded."""
        return hawkey.Query(self.sack).filter(**filters)

    def named(self, spec: str) -> Any:
        """The packages that `spec` names (not: provides), excluded ones too."""
        return hawkey.Subject(spec).get_best_solution(
            self.sack, with_provides=False, with_filenames=False, query=self.query()
        )["query"]

    def matching(self, spec: str) -> Any:
        """The packages that `spec` matches in any way, excluded ones too."""
        return hawkey.Subject(spec).get_best_solution(self.sack, with_src=False, query=self.query())["query"]

    def why_excluded(self, package: str) -> Kept:
        """What keeps out the package that libsolv writes as `package`."""
        found = self.query(nevra_strict=package).available()
        for query, why in self._excluded:
            for excluded in query.intersection(found):
                return why(excluded)
        return Kept("an exclusion")

    def exclude(self, query: Any, why: Callable[[Any], Kept]) -> None:
        """Keep the packages of `query` out, but for the base's; `why` is asked about one of them."""
        query = query.available()
        if query:
            self._excluded.append((query, why))
            self.sack.add_excludes(query)

    def unless_unwanted(self, query: Any) -> Any:
        """The packages of `query` that no option keeps out; what the base does with them is not looked at."""
        for excluded in self._unwanted:
            query = query.difference(excluded)
        return query

    def wish(self, packages: Sequence[Any]) -> None:
        """Keep out `packages` too, in the place of those of the last wish."""
        if self._wish is not None:
            self.sack.remove_excludes(self._wish)
            self._wish = None
        if packages:
            # Without what is kept out already: taking the wish back must not let it in.
            self._wish = self.allowed(pkg=list(packages))
            self.sack.add_excludes(self._wish)

    def _fill(self, solv: Path) -> None:
        """Load all repositories, from libsolv's own form of them in `solv` where it is there."""
        try:
            self.sack = hawkey.Sack(
                cachedir=str(solv),
                arch=self._request.basearch,
                rootdir=str((self._request.base or solv / "no-root").absolute()),
                logfile=str(solv / "hawkey.log"),
            )
        except (hawkey.Exception, OSError) as error:
            # libdnf does not say why a file could not be made.
            hint = "see that there is room for new files, and that the directory can be written to"
            raise StoreError(f"the solver can't use its cache {solv}: {error}", hint=hint) from error
        for metadata in self._metadata:
            self._add_repo(metadata)

    def _add_files(self) -> None:
        for file in self._request.files:
            try:
                package = self.sack.add_cmdline_package(str(file.path))
            except (hawkey.Exception, OSError) as error:
                raise FetchError(f"{file.path} can't be used: {error}") from error
            if nevra_of(package) != file.nevra:
                raise FetchError(f"{file.path} is {package}, and not {file.nevra}")
            self.files.append((file, package))

    def _add_repo(self, metadata: Metadata) -> None:
        # hawkey.Repo is the same with a warning that the class was to go in 2019; dnf's own is made of it.
        repo = _hawkey.Repo(metadata.repo.id)
        repo.priority, repo.cost = metadata.repo.priority, metadata.repo.cost
        repo.repomd_fn = str(metadata.repomd)
        for kind, attribute in (
            ("primary", "primary_fn"),
            ("filelists", "filelists_fn"),
            ("updateinfo", "updateinfo_fn"),
        ):
            if kind in metadata.files:
                setattr(repo, attribute, str(metadata.files[kind]))
        try:
            self.sack.load_repo(
                repo,
                build_cache=True,
                load_filelists="filelists" in metadata.files,
                load_updateinfo="updateinfo" in metadata.files,
            )
        except hawkey.Exception as error:
            raise FetchError(f"the metadata of the repository {metadata.repo.id} can't be read: {error}") from error

    def _keep_out(self) -> None:
        """Exclude what the request, the repositories and the lock keep out."""
        for spec in sorted(self._request.excludes):
            self._exclude(self.named(spec), "exclude-packages")
        for repo in (metadata.repo for metadata in self._metadata):
            for spec in repo.excludepkgs:
                self._exclude(self.named(spec).filter(reponame=repo.id), f"excludepkgs of the repository {repo.id}")
            if repo.includepkgs:
                kept = self.query(empty=True)
                for spec in repo.includepkgs:
                    kept = kept.union(self.named(spec))
                rest = self.query(reponame=repo.id).difference(kept)
                self._exclude(rest, f"includepkgs of the repository {repo.id}")
        for repo_id, specs in self._request.repo_packages:
            for spec in specs:
                others = self.named(spec).filter(reponame__neq=repo_id)
                self._exclude(others, f"repo-packages, which takes {spec} from {repo_id} alone")
        if self._request.locked or self._request.lock_strict or self._request.lock_repos:
            self._lock()

    def _lock(self) -> None:
        locked = self.query(empty=True)
        for key, (evra, digest) in sorted(self._request.locked.items()):
            name, wanted, same = self._locked_query(key, evra)
            found = [package for package in wanted if digest in (None, str(digest_of(package)))]
            if not found:
                other = " with that digest" if digest and wanted else ""
                self._reporter.warning(f"no repository has {key} {evra}{other}, which the lockfile names")
            chosen = self.query(pkg=found) if found else self.query(empty=True)
            locked = locked.union(chosen)
            self._exclude(
                same.difference(chosen), f"the lockfile, which has {name} {evra}{f' {digest}' if digest else ''}"
            )
        for repo_id in self._request.lock_repos:
            rest = self.query(reponame=repo_id).difference(locked)
            self._exclude(rest, f"lockfile-repos, which takes nothing from {repo_id} but what the lockfile names")
        if self._request.lock_strict:
            self._exclude(self.query().difference(locked), "the strict lockfile, which doesn't have it")

    def _locked_query(self, key: str, evra: str) -> tuple[str, Any, Any]:
        """The name that a lock is about, the packages it allows, and those of the same name that it decides about."""
        name, _, arch = key.rpartition(".")
        if not name or not self.query(name=name, arch=arch):
            name, arch = key, ""
        same = self.query(name=name, arch=arch) if arch else self.query(name=name)
        wanted = [
            package
            for package in same
            if evra in (package.evr, f"{package.evr}.{package.arch}", f"0:{package.evr}.{package.arch}")
        ]
        return name, wanted, same

    def _exclude(self, query: Any, reason: str) -> None:
        if query:
            self._unwanted.append(query.available())
            self.exclude(query, lambda package: Kept(reason))


def nevra_of(package: Any) -> Nevra:
    """The name of a hawkey package as a value."""
    return Nevra(package.name, package.epoch, package.version, package.release, package.arch)


def digest_of(package: Any) -> Digest:
    """The checksum of a hawkey package's file; raises ValueError for one that is not accepted."""
    kind, value = package.chksum
    return Digest.of(hawkey.chksum_name(kind), value.hex())


@contextmanager
def _durable(solv: Path) -> Iterator[None]:
    """Keep libsolv from reading files in `solv` that it wrote before a crash: it does not sync them, and takes some
    that were cut short for whole. They are used while they are as a note says that was written after a sync.
    """
    note = solv / "files.json"

    def files() -> str:
        found = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in solv.glob("*.solv*"))
        return json.dumps(found)

    try:
        known = note.read_text()
    except (OSError, UnicodeDecodeError):
        known = ""
    if known != files():
        remove_tree(solv)
    solv.mkdir(parents=True, exist_ok=True)
    yield
    if (now := files()) != known:
        sync_filesystem(solv)
        write_atomically(note, now)
