# SPDX-License-Identifier: GPL-2.0-or-later
"""From what is requested to exactly which packages, by libsolv; and those packages as files.

libdnf's solver is used without dnf: nothing of the host's configuration, plug-ins or rpm database can have a say,
and loading it takes a fifth of the time. The answer depends on the request and the repositories' metadata alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import hawkey

from rpmtree.errors import ConfigError, FetchError, SolveError
from rpmtree.progress import Reporter
from rpmtree.rpm import problems
from rpmtree.rpm.comps import Groups, read_groups
from rpmtree.rpm.downloads import package_files
from rpmtree.rpm.fetch import Fetcher
from rpmtree.rpm.keys import load_keys
from rpmtree.rpm.metadata import Metadata, load_metadata, relative
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import Advisory, PackageRequest, Solution, SolvedPackage, SolvedRepo
from rpmtree.rpm.sack import PackageSack, digest_of

_SEVERITIES = {"none": 0, "low": 1, "moderate": 2, "important": 3, "critical": 4}


@contextmanager
def open_source(
    request: PackageRequest,
    cachedir: Path,
    *,
    offline: bool = False,
    proxy: str | None = None,
    reporter: Reporter | None = None,
) -> Iterator[PackageSource]:
    """Load the metadata of the request's repositories; what is fetched is kept below `cachedir`.

    Raises FetchError, and ConfigError for a repository that is not there.
    """
    yield PackageSource(request, cachedir, offline=offline, proxy=proxy, reporter=reporter or Reporter())


class PackageSource:
    """The repositories of one request, loaded. Made by `open_source`."""

    def __init__(
        self, request: PackageRequest, cachedir: Path, *, offline: bool, proxy: str | None, reporter: Reporter
    ) -> None:
        self._request = request
        self._cachedir = cachedir
        self._offline = offline
        self._reporter = reporter
        # By priority and id, so that the order of .repo files on disk says nothing.
        ids = {repo.id for repo in request.repos}
        unknown = sorted({repo_id for repo_id, _ in request.repo_packages} - ids)
        if unknown:
            raise ConfigError(f"repo-packages names {', '.join(unknown)}, which repos doesn't")
        self._repos = sorted(request.repos, key=lambda repo: (repo.priority, repo.id))
        self._fetchers = {repo.id: Fetcher(repo, proxy=proxy, offline=offline) for repo in self._repos}
        kinds = ["primary", "updateinfo"]
        if any(spec.startswith(("/", "*/")) for spec in self._specs()):
            kinds.append("filelists")
        if any(spec.startswith("@") for spec in self._specs()):
            kinds.append("group")
        self._load(kinds)

    def solve(self) -> Solution:
        """The packages that satisfy the request. Raises SolveError with all blockers."""
        goal, blockers = self._goal()
        solved = goal.run(ignore_weak_deps=not self._request.recommends)
        rules = [] if solved else goal.problem_rules()
        if "filelists" not in self._kinds and any("nothing provides /" in rule for texts in rules for rule in texts):
            # Metadata of the first rank lists only some directories' files. The rest is large, and seldom needed.
            self._load([*self._kinds, "filelists"])
            return self.solve()
        blockers += [problems.explain(texts, self._packages.why_excluded) for texts in rules]
        if blockers:
            count = f"{len(blockers)} thing{'s' if len(blockers) > 1 else ''} in the way"
            raise SolveError(f"no set of packages satisfies the request: {count}", list(dict.fromkeys(blockers)))
        chosen = goal.list_installs()
        return Solution(
            packages=tuple(sorted(map(self._solved, chosen), key=lambda package: package.nevra)),
            repos=tuple(
                sorted(
                    (SolvedRepo(m.repo.id, m.revision, m.timestamp) for m in self._metadata.values()),
                    key=lambda repo: repo.id,
                )
            ),
            advisories=_advisories(chosen),
        )

    def fetch(self, packages: Sequence[SolvedPackage], reporter: Reporter | None = None) -> dict[Nevra, Path]:
        """The files of `packages`: those of local repositories in place, others downloaded into the cache.

        A downloaded file has been checked against size and checksum; of one in place only the size has, so that
        the checksum must be checked on the bytes that are unpacked. Raises FetchError.
        """
        return package_files(
            packages, self._metadata, self._fetchers, self._cachedir / "packages", reporter or self._reporter
        )

    def keys(self, repo_id: str) -> tuple[bytes, ...]:
        """The signing keys of a repository, as `signatures.Verifier` takes them; none where gpgcheck is off."""
        repo = self._metadata[repo_id].repo
        return self._load_keys(repo) if repo.gpgcheck else ()

    def _load_keys(self, repo: Repo) -> tuple[bytes, ...]:
        return load_keys(repo, self._fetchers[repo.id], self._cachedir / "keys", self._reporter, offline=self._offline)

    def _specs(self) -> Iterator[str]:
        yield from self._request.packages
        for _, specs in self._request.repo_packages:
            yield from specs

    def _load(self, kinds: Sequence[str]) -> None:
        self._kinds = tuple(kinds)
        self._metadata: dict[str, Metadata] = {}
        for repo in self._repos:
            keys = self._load_keys(repo) if repo.repo_gpgcheck else ()
            self._metadata[repo.id] = load_metadata(
                repo, self._fetchers[repo.id], self._cachedir / "repos", kinds, keys=keys, offline=self._offline
            )
        self._packages = PackageSack(
            self._request, list(self._metadata.values()), self._cachedir / "solv", self._reporter
        )

    # The goal: what is to be installed.

    def _goal(self) -> tuple[Any, list[str]]:
        """The goal, and the blockers that are known before it is run."""
        goal = hawkey.Goal(self._packages.sack)
        absent: list[str] = []
        blockers: list[str] = []
        wanted: list[tuple[str, str | None]] = [(spec, None) for spec in self._request.packages]
        wanted += [(spec, repo_id) for repo_id, specs in self._request.repo_packages for spec in specs]
        for spec, repo_id in sorted(set(wanted), key=lambda pair: (pair[0], pair[1] or "")):
            if spec.startswith("@"):
                if not self._install_group(goal, spec):
                    absent.append(spec)
            elif not self._install(goal, spec, repo_id):
                reason = self._reason_absent(spec)
                if reason:
                    blockers.append(problems.kept_out(spec, reason))
                else:
                    absent.append(spec)
        if absent:
            names = sorted({package.name for package in self._packages.query()})
            blockers.insert(0, problems.missing(absent, names, [repo.id for repo in self._repos]))
        return goal, blockers

    def _install(self, goal: Any, spec: str, repo_id: str | None = None) -> bool:
        """Ask for one package of each name that `spec` matches; False if it matches none."""
        subject = hawkey.Subject(spec)
        found = subject.get_best_solution(self._packages.sack, with_src=False)
        query, nevra = found["query"], found["nevra"]
        if repo_id is not None:
            query = query.filter(reponame=repo_id)
        if not query:
            return False
        by_name = bool(nevra and nevra.has_just_name())
        for packages in _alternatives(spec, query):
            choice = self._packages.allowed(pkg=packages)
            if by_name:
                # As dnf does: what has taken a package's place may come for it.
                choice = choice.union(self._packages.allowed(obsoletes=choice))
            selector = hawkey.Selector(self._packages.sack)
            selector.set(pkg=choice)
            goal.install(select=selector)
        return True

    def _install_group(self, goal: Any, spec: str) -> bool:
        names = self._groups.expand(spec)
        if names is None:
            return False
        for name in sorted(set(names)):
            if not self._install(goal, name):
                self._reporter.warning(f"no package {name} is to be had, which the group {spec} lists")
        return True

    @cached_property
    def _groups(self) -> Groups:
        return read_groups([m.files["group"] for m in self._metadata.values() if "group" in m.files])

    def _reason_absent(self, spec: str) -> str:
        """What keeps out the packages that `spec` would match, or nothing if there are none."""
        every = self._packages.matching(spec)
        return "; ".join(sorted({self._packages.why_excluded(str(package)) for package in every}))

    def _solved(self, package: Any) -> SolvedPackage:
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
            Nevra(package.name, package.epoch, package.version, package.release, package.arch),
            package.reponame,
            checksum,
            package.downloadsize,
            package.installsize,
            location,
            package.sourcerpm or "",
        )


def _alternatives(spec: str, query: Any) -> Iterable[list[Any]]:
    """The packages of `query` in groups, of each of which one is to be installed."""
    if not hawkey.is_glob_pattern(spec) or spec.startswith(("/", "*/")):
        return [list(query)]
    groups: dict[tuple[str, str], list[Any]] = {}
    for package in query:
        arch = package.arch if hawkey.is_glob_pattern(spec.rpartition(".")[2]) and "." in spec else ""
        groups.setdefault((package.name, arch), []).append(package)
    return [groups[key] for key in sorted(groups)]


def _advisories(chosen: Sequence[Any]) -> tuple[Advisory, ...]:
    """The notices about exactly the versions that were chosen."""
    found: dict[str, tuple[Any, set[str]]] = {}
    for package in chosen:
        for advisory in package.get_advisories(hawkey.EQ):
            found.setdefault(advisory.id, (advisory, set()))[1].add(str(package))
    return tuple(
        Advisory(
            name,
            advisory.type,
            _SEVERITIES.get((advisory.severity or "").lower(), 0),
            tuple(sorted(packages)),
            advisory.title or "",
            tuple(sorted((ref.title or ref.url, ref.url) for ref in advisory.references if _tells_of_a_cve(ref))),
        )
        for name, (advisory, packages) in sorted(found.items())
    )


def _tells_of_a_cve(ref: Any) -> bool:
    """Fedora's notices name CVEs in the titles of Bugzilla references, as rpm-ostree looks for them."""
    in_title = ref.type == hawkey.REFERENCE_BUGZILLA and "CVE-" in (ref.title or "")
    return bool(in_title or ref.type == hawkey.REFERENCE_CVE)
