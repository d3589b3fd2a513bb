# SPDX-License-Identifier: GPL-2.0-or-later
"""Repository metadata: which files there are, whether they are what repomd.xml says, and a cache of remote ones.

What a server says is not trusted further than needed: places are relative and stay below the repository, sizes are
bounded, XML with a document type (entities) is refused. librepo aborts the process on some of what is refused here,
and follows references to local files, so it is not used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

from rpmtree.errors import ConfigError, FetchError
from rpmtree.files import write_atomically
from rpmtree.rpm.fetch import Digest, Fetcher
from rpmtree.rpm.keys import check_detached
from rpmtree.rpm.repos import Repo

_SIGNATURE = "repodata/repomd.xml.asc"
_LARGEST_REPOMD = 4 << 20
_LARGEST_PART = 1 << 30
_REPO = "{http://linux.duke.edu/metadata/repo}"
_METALINK = "{http://www.metalinker.org/}"


@dataclass(frozen=True, slots=True)
class Part:
    """One file that repomd.xml names; `href` is relative to the repository and stays in it."""

    href: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of one repository, on disk. `urls` are where packages are, all equal."""

    repo: Repo
    urls: tuple[str, ...]
    repomd: Path
    revision: str
    #: Seconds since 1970, of the newest part.
    timestamp: int
    #: By kind: primary, filelists, group, updateinfo …; those asked for and there.
    files: dict[str, Path]


def load_metadata(
    repo: Repo,
    fetcher: Fetcher,
    cachedir: Path,
    kinds: Sequence[str],
    *,
    keys: Sequence[bytes],
    offline: bool,
    refresh: bool = False,
) -> Metadata:
    """The metadata of `repo` with the files of `kinds` as far as it has them, each checked.

    With `keys`, repomd.xml must be signed by one of them. A local repository is used in place. Remote metadata
    is kept below `cachedir`, and asked for again after the repository's metadata_expire, or at once to `refresh`,
    unless `offline`. Raises FetchError, and ConfigError for a local repository that is not there.
    """
    if repo.local is not None:
        return _local(repo, repo.local, kinds, keys)
    directory = _directory(repo, cachedir)
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory):
        return _remote(repo, fetcher, directory, kinds, keys=keys, offline=offline, refresh=refresh)


def fetched_at(repo: Repo, cachedir: Path) -> int | None:
    """When the kept metadata of a remote repository was fetched (seconds since 1970); None if there is none."""
    if repo.local is not None:
        return None
    directory = _directory(repo, cachedir)
    state = _state(directory / "state.json") if (directory / "repomd.xml").exists() else None
    return None if state is None else int(state["fetched"])


def _directory(repo: Repo, cachedir: Path) -> Path:
    # By its sources and not its id alone: an id may come to mean another place.
    sources = json.dumps([repo.baseurl, repo.metalink, repo.mirrorlist])
    return cachedir / f"{repo.id}-{hashlib.sha256(sources.encode()).hexdigest()[:16]}"


def read_repomd(data: bytes, repo_id: str) -> tuple[str, int, dict[str, Part]]:
    """Revision, newest time and parts of a repomd.xml. Raises FetchError."""
    root = parse_xml(data, f"repomd.xml of the repository {repo_id}")
    parts: dict[str, Part] = {}
    newest = 0
    for element in root.findall(f"{_REPO}data"):
        kind = element.get("type", "")
        try:
            parts[kind] = _part(element)
        except ValueError as error:
            if kind in ("primary", "filelists", "group", "updateinfo"):
                raise FetchError(f"repomd.xml of the repository {repo_id} is wrong about {kind}: {error}") from error
            continue
        stamp = element.findtext(f"{_REPO}timestamp", "0").partition(".")[0]
        newest = max(newest, int(stamp) if stamp.isdecimal() else 0)
    if "primary" not in parts:
        raise FetchError(f"repomd.xml of the repository {repo_id} names no packages")
    return root.findtext(f"{_REPO}revision", "").strip(), newest, parts


def parse_xml(data: bytes, what: str) -> ElementTree.Element:
    """The document's root element; one with a document type, and so with entities, is refused (FetchError)."""
    if re.search(rb"<!(DOCTYPE|ENTITY)", data):
        raise FetchError(f"{what} has a document type, which no repository needs")
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - without a document type there is nothing to expand
    except ElementTree.ParseError as error:
        raise FetchError(f"{what} is not XML: {error}") from error


def relative(href: str) -> str:
    """`href` if it is a plain relative path that stays where it begins; raises ValueError."""
    decoded = unquote(href)
    if not decoded or decoded.startswith("/") or ":" in decoded.split("/")[0] or "\\" in decoded:
        raise ValueError(f"{href!r} is not a relative path")
    if ".." in decoded.split("/") or re.search(r"[\x00-\x1f\x7f]", decoded):
        raise ValueError(f"{href!r} leads out of the repository")
    return href


def _part(element: ElementTree.Element) -> Part:
    location, checksum = element.find(f"{_REPO}location"), element.find(f"{_REPO}checksum")
    if location is None or checksum is None:
        raise ValueError("it has no location or no checksum")
    if any(name.endswith("base") for name in location.attrib):
        raise ValueError("it is said to be in another repository")
    size = element.findtext(f"{_REPO}size", "")
    if not size.isdecimal() or int(size) > _LARGEST_PART:
        raise ValueError(f"its size is {size!r}")
    digest = Digest.of(checksum.get("type", ""), (checksum.text or "").strip())
    return Part(relative(location.get("href", "")), digest, int(size))


def _local(repo: Repo, directory: Path, kinds: Sequence[str], keys: Sequence[bytes]) -> Metadata:
    repomd = directory / "repodata/repomd.xml"
    try:
        data = repomd.read_bytes()
        signature = (directory / _SIGNATURE).read_bytes() if keys else b""
    except OSError as error:
        message = f"the repository {repo.id} can't be read: {repomd}: {error.strerror}"
        raise ConfigError(message, hint="createrepo_c makes a repository of a directory", place=repo.place) from error
    if keys:
        check_detached(data, signature, keys, str(repomd))
    revision, timestamp, parts = read_repomd(data, repo.id)
    files = {}
    for kind, part in parts.items():
        if kind in kinds:
            files[kind] = directory / part.href
            _check(files[kind], part, repo)
    return Metadata(repo, (repo.baseurl[0],), repomd, revision, timestamp, files)


def _check(path: Path, part: Part, repo: Repo) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, part.digest.algorithm).hexdigest()
    except OSError as error:
        raise FetchError(f"the repository {repo.id} has no {path}: {error.strerror}") from error
    if found != part.digest.hexdigest:
        raise FetchError(
            f"{path} is not what repomd.xml of the repository {repo.id} says", hint="make its metadata again"
        )


def _remote(
    repo: Repo,
    fetcher: Fetcher,
    directory: Path,
    kinds: Sequence[str],
    *,
    keys: Sequence[bytes],
    offline: bool,
    refresh: bool,
) -> Metadata:
    repomd, state_file = directory / "repomd.xml", directory / "state.json"
    state = _state(state_file) if repomd.exists() else None
    now = int(time.time())
    fresh = state is not None and (
        offline
        or (not refresh and (repo.metadata_expire is None or 0 <= now - state["fetched"] < repo.metadata_expire))
    )
    if state is None or not fresh:
        urls, digests = _mirrors(repo, fetcher)
        data = fetcher.get([f"{url}repodata/repomd.xml" for url in urls], limit=_LARGEST_REPOMD)
        if digests and not any(hashlib.new(d.algorithm, data).hexdigest() == d.hexdigest for d in digests):
            raise FetchError(f"repomd.xml of the repository {repo.id} is not what its metalink says")
        if keys:
            signature = fetcher.get([url + _SIGNATURE for url in urls], limit=_LARGEST_REPOMD)
            check_detached(data, signature, keys, f"repomd.xml of the repository {repo.id}")
    else:
        urls, data = state["urls"], repomd.read_bytes()
    revision, timestamp, parts = read_repomd(data, repo.id)
    files = {}
    for kind, part in parts.items():
        if kind in kinds:
            # Named by what it holds, with the ending that says how it is compressed.
            files[kind] = directory / f"{part.digest.hexdigest}-{Path(part.href).name[-60:]}"
            if not files[kind].exists():
                places = [url + quote(part.href, safe="/%~") for url in urls]
                fetcher.download(places, files[kind], size=part.size, digest=part.digest)
    if not fresh:
        # Last, so that a broken fetch leaves the old metadata to be used offline.
        write_atomically(repomd, data)
        write_atomically(state_file, json.dumps({"fetched": now, "urls": urls}))
    return Metadata(repo, tuple(urls), repomd, revision, timestamp, files)


def _state(path: Path) -> Any:
    try:
        state = json.loads(path.read_bytes())
        return state if isinstance(state["fetched"], int) and isinstance(state["urls"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # written by a version that knew less, or not at all: fetched again


def _mirrors(repo: Repo, fetcher: Fetcher) -> tuple[list[str], list[Digest]]:
    """Base URLs, each with a slash at its end, and the digests that repomd.xml may have (none: any)."""
    if repo.baseurl:
        return [f"{url.rstrip('/')}/" for url in repo.baseurl], []
    if repo.metalink:
        return _read_metalink(fetcher.get([repo.metalink], limit=_LARGEST_REPOMD), repo)
    assert repo.mirrorlist
    lines = fetcher.get([repo.mirrorlist], limit=_LARGEST_REPOMD).decode("utf-8", "replace").split()
    urls = [f"{line.rstrip('/')}/" for line in lines if urlsplit(line).scheme in ("http", "https")]
    if not urls:
        raise FetchError(f"the mirror list of the repository {repo.id} names no mirror")
    return urls, []


def _read_metalink(data: bytes, repo: Repo) -> tuple[list[str], list[Digest]]:
    root = parse_xml(data, f"the metalink of the repository {repo.id}")
    file = next((file for file in root.iter(f"{_METALINK}file") if file.get("name") == "repomd.xml"), None)
    urls: list[tuple[int, str]] = []
    digests: list[Digest] = []
    for element in file.iter() if file is not None else ():
        text = (element.text or "").strip()
        if element.tag == f"{_METALINK}url" and text.endswith("/repodata/repomd.xml"):
            if urlsplit(text).scheme in ("http", "https"):
                preference = element.get("preference", "0")
                urls.append(
                    (-int(preference) if preference.isdecimal() else 0, text.removesuffix("repodata/repomd.xml"))
                )
        elif element.tag == f"{_METALINK}hash" and element.get("type") in ("sha256", "sha512"):
            digests.append(Digest.of(element.get("type", ""), text.lower()))
    if not urls or not digests:
        raise FetchError(f"the metalink of the repository {repo.id} names no mirror, or no checksum of repomd.xml")
    return [url for _, url in sorted(urls, key=lambda pair: pair[0])], digests


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait for another process that fetches into `directory`."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
