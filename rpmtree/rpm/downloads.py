# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of solved packages: in place where their repository is local, else downloaded into the cache."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import quote, unquote

from rpmtree.connections import Connections
from rpmtree.errors import FetchError
from rpmtree.progress import Reporter, step
from rpmtree.rpm.fetch import Digest, Fetcher
from rpmtree.rpm.metadata import Metadata
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.request import FILES_REPO, SolvedPackage

_CONNECTIONS = 4
#: What the names of their threads begin with.
_THREADS = "download of a package"


def package_files(
    packages: Sequence[SolvedPackage],
    metadata: Mapping[str, Metadata],
    fetchers: Mapping[str, Fetcher],
    cachedir: Path,
    reporter: Reporter,
) -> dict[Nevra, Path]:
    """A file for each package. What is checked is said at `PackageSource.fetch`. Raises FetchError."""
    found: dict[Nevra, Path] = {}
    remote: list[SolvedPackage] = []
    for package in packages:
        if package.repo_id == FILES_REPO:
            found[package.nevra] = _given(package)
            continue
        directory = metadata[package.repo_id].repo.local
        if directory is not None:
            found[package.nevra] = _in_place(package, directory)
            continue
        path = _cached(package, cachedir)
        if _is_whole(path, package):
            found[package.nevra] = path
        else:
            remote.append(package)
    if remote:
        cachedir.mkdir(parents=True, exist_ok=True)
        with step(reporter, "Downloading packages") as running:
            _download(remote, metadata, fetchers, cachedir, reporter)
            running.summary = f"{len(remote)} packages"
    return found | {package.nevra: _cached(package, cachedir) for package in remote}


def _given(package: SolvedPackage) -> Path:
    path = Path(package.location)
    if not path.is_file():
        raise FetchError(f"{package.nevra} is not at {path} any more")
    return path


def _in_place(package: SolvedPackage, directory: Path) -> Path:
    """The href may or may not be percent-encoded: both are seen, and a file of that very name comes first."""
    path = next((p for p in (directory / package.location, directory / unquote(package.location)) if p.is_file()), None)
    if path is None:
        raise FetchError(f"the repository {package.repo_id} has no {package.location}", hint="make its metadata again")
    if path.stat().st_size != package.download_size:
        message = f"{path} is not of the size that the metadata of the repository {package.repo_id} says"
        raise FetchError(message, hint="make its metadata again")
    return path


def _cached(package: SolvedPackage, cachedir: Path) -> Path:
    digest = package.checksum.partition(":")[2]
    return cachedir / f"{package.nevra.name[:100]}-{digest}.rpm"


def _is_whole(path: Path, package: SolvedPackage) -> bool:
    algorithm, _, digest = package.checksum.partition(":")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == digest
    except OSError:
        return False


def _download(
    packages: Sequence[SolvedPackage],
    metadata: Mapping[str, Metadata],
    fetchers: Mapping[str, Fetcher],
    cachedir: Path,
    reporter: Reporter,
) -> None:
    """Fetch, a few at a time; the first failure ends it, and what came whole is kept."""
    total = sum(package.download_size for package in packages)
    done = 0
    lock = threading.Lock()

    def advanced(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            reporter.advanced(min(done, total), total)

    def one(package: SolvedPackage) -> None:
        algorithm, _, digest = package.checksum.partition(":")
        urls = [url + quote(package.location, safe="/%~") for url in metadata[package.repo_id].urls]
        fetchers[package.repo_id].download(
            urls,
            _cached(package, cachedir),
            size=package.download_size,
            digest=Digest(algorithm, digest),
            advanced=advanced,
        )

    connections = Connections()
    with ThreadPoolExecutor(_CONNECTIONS, _THREADS) as pool:
        try:
            running = [pool.submit(one, package) for package in packages]
            for future in wait(running, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            for fetcher in fetchers.values():
                fetcher.give_up()
            pool.shutdown(wait=False, cancel_futures=True)
            connections.end_threads(_THREADS)
            raise
