# SPDX-License-Identifier: GPL-2.0-or-later
"""From what is requested to exactly which packages, by libsolv; and those packages as files.

libdnf's solver is used without dnf: nothing of the host's configuration, plug-ins or rpm database can have a say,
and loading it takes a fifth of the time. The answer depends on the request, the base and the repositories' metadata
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rpmtree.errors import ConfigError, FetchError, SolveError
from rpmtree.progress import Reporter
from rpmtree.rpm import failures, invariants, lookup
from rpmtree.rpm.advisories import advisories_of
from rpmtree.rpm.baselock import BaseLock
from rpmtree.rpm.comps import read_groups
from rpmtree.rpm.downloads import package_files
from rpmtree.rpm.fetch import Fetcher
from rpmtree.rpm.goal import Answer, Goals
from rpmtree.rpm.keys import load_keys
from rpmtree.rpm.metadata import Metadata, relative
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repodata import MetadataLoader
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import (
    FILES_REPO,
    FileRole,
    Found,
    PackageRequest,
    Solution,
    SolvedPackage,
    SolvedRepo,
)
from rpmtree.rpm.sack import PackageSack, digest_of, nevra_of


@contextmanager
def open_source(
    request: PackageRequest,
    cachedir: Path,
    *,
    offline: bool = False,
    refresh: bool = False,
    proxy: str | None = None,
    reporter: Reporter | None = None,
) -> Iterator[PackageSource]:
    """Load the metadata of the request's repositories; what is fetched is kept below `cachedir`.

    With `refresh` all repositories are asked for newer metadata, whatever their metadata_expire.
    Raises FetchError, StoreError for a base that can't be read, and ConfigError for a repository that is not there.
    """
    yield PackageSource(
        request, cachedir, offline=offline, refresh=refresh, proxy=proxy, reporter=reporter or Reporter()
    )


class PackageSource:
    """The repositories of one request, loaded. Made by `open_source`."""

    def __init__(
        self,
        request: PackageRequest,
        cachedir: Path,
        *,
        offline: bool,
        refresh: bool,
        proxy: str | None,
        reporter: Reporter,
    ) -> None:
        self._request = request
        self._cachedir = cachedir
        self._offline = offline
        self._reporter = reporter
        ids = {repo.id for repo in request.repos}
        for what, named in (("repo-packages", request.repo_packages), ("an override", request.replacements)):
            if unknown := sorted({repo_id for repo_id, _ in named} - ids):
                enabled = ", ".join(sorted(ids)) or "none"
                raise ConfigError(
                    f"{what} names {', '.join(unknown)}, which is no enabled repository", hint=f"enabled: {enabled}"
                )
        # By priority and id, so that the order of .repo files on disk says nothing.
        self._repos = sorted(request.repos, key=lambda repo: (repo.priority, repo.id))
        self._fetchers = {repo.id: Fetcher(repo, proxy=proxy, offline=offline) for repo in self._repos}
        self._loader = MetadataLoader(
            self._repos,
            self._fetchers,
            cachedir / "repos",
            keys=self._load_keys,
            reporter=reporter,
            offline=offline,
            tolerant=request.tolerant,
            refresh=refresh,
        )
        kinds = ["primary", "updateinfo"]
        if any(spec.startswith(("/", "*/")) for spec in self._specs()):
            kinds.append("filelists")
        if any(spec.startswith("@") for spec in self._specs()):
            kinds.append("group")
        self._load(kinds)

    @property
    def repos(self) -> tuple[SolvedRepo, ...]:
        """The repositories that are used, sorted by id."""
        found = (SolvedRepo(m.repo.id, m.revision, m.timestamp) for m in self._metadata.values())
        return tuple(sorted(found, key=lambda repo: repo.id))

    @property
    def dead(self) -> tuple[tuple[str, str], ...]:
        """The repositories whose metadata could not be fetched, with the reason."""
        return tuple(sorted(self._loader.dead.items()))

    def solve(self) -> Solution:
        """The packages that satisfy the request. Raises SolveError with all blockers.

        Where the only thing wrong is that packages are not to be had while a repository is dead: FetchError.
        """
        answer = self._answer()
        if "filelists" not in self._kinds and any("nothing provides /" in r for texts in answer.rules for r in texts):
            # Metadata of the first rank lists only some directories' files. The rest is large, and seldom needed.
            del answer  # with what it holds of the old sack
            self._load([*self._kinds, "filelists"])
            answer = self._answer()
        if not answer.solved:
            raise self._failure(answer)
        return self._checked(answer)

    def alone(self, specs: Sequence[str]) -> tuple[SolvedPackage, ...]:
        """The newest of each package that a spec matches, without what it needs, whatever the base has; sorted.

        Raises SolveError with all specs that match nothing.
        """
        if "filelists" not in self._kinds and any(spec.startswith("/") for spec in specs):
            self._load([*self._kinds, "filelists"])
        found = {spec: lookup.newest(self._packages, spec, self._request.basearch) for spec in specs}
        if missing := [f"no repository has {spec}" for spec in specs if not found[spec]]:
            enabled = ", ".join(sorted(repo.id for repo in self._repos))
            raise SolveError(missing[0], missing, hint=f"repositories: {enabled}")
        solved = {self._solved(package) for packages in found.values() for package in packages}
        return tuple(sorted(solved, key=lambda package: package.nevra))

    def _answer(self) -> Answer:
        """The first answer that is a solution, of those that fulfil more wishes and less; else the last."""
        kept = self._other_builds()
        follows = any(file.role is FileRole.FOLLOW for file, _ in self._packages.files)
        answer = None
        for with_kept in (True, False) if kept else (False,):
            self._packages.wish(kept if with_kept else ())
            for newer in (True, False) if follows else (False,):
                answer = self._goals.run(self._goals.wanted, self._packages.files, newer=newer)
                if answer.solved:
                    return answer
        assert answer is not None
        return answer

    def _other_builds(self) -> list[Any]:
        """What has the name of a kept build, where that is to be had, and is another build."""
        given = {f.nevra.name for f in self._request.files if f.role in (FileRole.INSTALL, FileRole.REPLACE)}
        wanted = {one for one in self._request.kept if one.name not in given}
        same = list(self._packages.query(name=sorted({one.name for one in wanted})).available()) if wanted else []
        there = {package.name for package in same if nevra_of(package) in wanted}
        return [package for package in same if package.name in there and nevra_of(package) not in wanted]

    def _checked(self, answer: Answer) -> Solution:
        goal = answer.goal
        changing = [*goal.list_upgrades(), *goal.list_downgrades(), *goal.list_reinstalls()]
        chosen = [*goal.list_installs(), *changing]
        replaced, gone = [], [nevra_of(package) for package in goal.list_erasures()]
        for new in chosen:
            for old in goal.obsoleted_by_package(new):
                if old.name == new.name:
                    replaced.append((nevra_of(new), nevra_of(old)))
                else:
                    gone.append(nevra_of(old))
        solution = Solution(
            packages=tuple(sorted(map(self._solved, chosen), key=lambda package: package.nevra)),
            repos=self.repos,
            advisories=advisories_of(self._packages, chosen),
            removed=tuple(sorted(set(gone) - {old for _, old in replaced})),
            replaced=tuple(sorted(replaced)),
            dead=self.dead,
        )
        if self._request.base is not None:
            invariants.check(self._request, [nevra_of(package) for package in self._base.installed], solution)
            self._tell_of_older(chosen)
        return solution

    def _tell_of_older(self, chosen: Sequence[Any]) -> None:
        """Say where the newest build of what is requested doesn't fit the base, and an older one is taken."""
        specs = {one.spec for one in self._goals.wanted} - {str(nevra.name) for nevra in self._request.kept}
        for package in chosen:
            if package.name in specs:
                better = self._packages.allowed(name=package.name, arch=package.arch, evr__gt=package.evr)
                for newest in better.filter(reponame=package.reponame).latest():
                    self._reporter.warning(f"{package} is taken, since {newest} doesn't fit the base")

    def fetch(self, packages: Sequence[SolvedPackage], reporter: Reporter | None = None) -> dict[Nevra, Path]:
        """The files of `packages`: of local repositories and given files in place, others downloaded to the cache.

        A downloaded file has been checked against size and checksum; of one in place only the size has, so that
        the checksum must be checked on the bytes that are unpacked. Raises FetchError.
        """
        return package_files(
            packages, self._metadata, self._fetchers, self._cachedir / "packages", reporter or self._reporter
        )

    def is_checked(self, repo_id: str) -> bool:
        """Whether packages of a repository must be signed by one of its keys."""
        return repo_id in self._metadata and self._metadata[repo_id].repo.gpgcheck

    def keys(self, repo_id: str) -> tuple[bytes, ...]:
        """The signing keys of a repository, as `signatures.Verifier` takes them; none where gpgcheck is off.

        Packages that were given as files have none either: who gave them vouches for them.
        """
        if repo_id == FILES_REPO:
            return ()
        repo = self._metadata[repo_id].repo
        return self._load_keys(repo) if repo.gpgcheck else ()

    def search(self, words: Sequence[str]) -> tuple[Found, ...]:
        """The packages of which each word (or pattern) is in the name or the summary, whatever the case; sorted.

        Of a name and architecture the newest to be had is given, or the base's where there is no other.
        """
        return lookup.search(self._packages, words, set(self._base.by_name))

    def offered(self, repo_id: str, name: str) -> Nevra | None:
        """The newest build called `name` that a repository has, less what its or the request's options keep out."""
        return lookup.offered(self._packages, repo_id, name)

    def newer(self, present: Sequence[Nevra]) -> tuple[tuple[Nevra, Nevra], ...]:
        """Pairs of the newest build to be had and of that one in `present` which it is newer than, sorted."""
        return lookup.newer(self._packages, present)

    def _specs(self) -> Iterator[str]:
        yield from self._request.packages
        for _, specs in self._request.repo_packages:
            yield from specs

    def _load(self, kinds: Sequence[str]) -> None:
        self._kinds = tuple(kinds)
        self._metadata: dict[str, Metadata] = self._loader.load(kinds)
        # Let go of a sack that was there before the next is made: each may be large.
        for name in ("_goals", "_base", "_packages"):
            self.__dict__.pop(name, None)
        self._packages = PackageSack(
            self._request, list(self._metadata.values()), self._cachedir / "solv", self._reporter
        )
        self._base = BaseLock(self._packages, self._request)
        self._base.keep_out()
        groups = read_groups([m.files["group"] for m in self._metadata.values() if "group" in m.files])
        self._goals = Goals(self._packages, self._base, self._request, groups, self._reporter)

    def _load_keys(self, repo: Repo) -> tuple[bytes, ...]:
        return load_keys(repo, self._fetchers[repo.id], self._cachedir / "keys", self._reporter, offline=self._offline)

    def _failure(self, answer: Answer) -> SolveError | FetchError:
        """The error that says all that is in the way."""
        return failures.failure(answer, self._goals, self._loader)

    def _solved(self, package: Any) -> SolvedPackage:
        if package.reponame == FILES_REPO:
            file = next(file for file, given in self._packages.files if given == package)
            return SolvedPackage(
                nevra_of(package),
                FILES_REPO,
                f"sha256:{file.sha256}",
                package.downloadsize,
                package.installsize,
                str(file.path),
                package.sourcerpm or "",
            )
        try:
            checksum = str(digest_of(package))
            location = relative(package.location)
        except ValueError as error:
            raise FetchError(f"{package} of the repository {package.reponame} can't be used: {error}") from error
        if package.baseurl:
            raise FetchError(
                f"{package} of the repository {package.reponame} is said to be elsewhere, at {package.baseurl}"
            )
        return SolvedPackage(
            nevra_of(package),
            package.reponame,
            checksum,
            package.downloadsize,
            package.installsize,
            location,
            package.sourcerpm or "",
        )
