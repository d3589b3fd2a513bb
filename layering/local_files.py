# SPDX-License-Identifier: GPL-2.0-or-later
"""RPMs that an admin names as files or URLs: told from requests, fetched, and taken into the package cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from layering.origin import LocalPackage
from rpmtree.errors import FetchError, Place, UsageError
from rpmtree.ostree.selinux import Policy
from rpmtree.pkgcache.cache import PackageCache, Wanted
from rpmtree.progress import Reporter, step
from rpmtree.rpm.fetch import Fetcher
from rpmtree.rpm.package import nevra_of
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.signatures import Verifier

_SUFFIX = ".rpm"
_LARGEST = 8 << 30


def is_file(word: str) -> bool:
    """Whether an argument names an RPM file, and is not a request."""
    return word.endswith(_SUFFIX)


def take_files(
    words: Sequence[str], cache: PackageCache, work: Path, reporter: Reporter, policy: Policy | None
) -> tuple[LocalPackage, ...]:
    """Import the RPMs that `words` (paths, file:// and http(s):// URLs) name; durable when this returns.

    Files get labels of `policy`, that of the base that they are named for. Their digests are checked, not whether
    somebody signed them: who names a file answers for it, as with dnf.
    Raises FetchError, UsageError.
    """
    if not words:
        return ()
    paths = [_path(word, work, reporter) for word in words]
    found = [_identified(word, path) for word, path in zip(words, paths, strict=True)]
    jobs = [
        (Wanted(package.nevra, f"sha256:{package.sha256}", False, (), path.stat().st_size, local=True), path)
        for package, path in zip(found, paths, strict=True)
    ]
    missing = [(wanted, path) for wanted, path in jobs if not _is_whole(cache, wanted)]
    if missing:
        with step(reporter, "Importing") as importing:
            cache.add(missing, reporter, policy)
            importing.summary = f"{len(missing)} files"
    return tuple(found)


def _is_whole(cache: PackageCache, wanted: Wanted) -> bool:
    found = cache.find(wanted)
    return found is not None and not cache.put_aside_damaged(found)


def _path(word: str, work: Path, reporter: Reporter) -> Path:
    parts = urlsplit(word)
    if parts.scheme in ("http", "https"):
        return _fetched(word, work, reporter)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(word)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="a request without .rpm at its end is looked up by its name")
    return path


def _fetched(url: str, work: Path, reporter: Reporter) -> Path:
    """The file at a URL, whose size and digest nobody has said before."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{hashlib.sha256(url.encode()).hexdigest()}{_SUFFIX}"
    with step(reporter, f"Fetching {url}"):
        Fetcher(Repo("@commandline", "@commandline", Place(url))).save([url], path, limit=_LARGEST)
    return path


def _identified(word: str, path: Path) -> LocalPackage:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        header = Verifier(()).read_header(fd, name=word, gpgcheck=False)
    finally:
        os.close(fd)
    if header.isSource():
        raise FetchError(f"{word} holds sources", hint="name the package that was built from them")
    with open(path, "rb") as file:
        return LocalPackage(nevra_of(header), hashlib.file_digest(file, "sha256").hexdigest())
