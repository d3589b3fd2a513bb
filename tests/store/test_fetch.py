# SPDX-License-Identifier: GPL-2.0-or-later
"""Remote repositories: what is fetched, gone on with, kept, and never believed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rpmtree import command
from rpmtree.errors import FetchError, Place
from rpmtree.progress import Reporter
from rpmtree.rpm.fetch import Digest, Fetcher
from rpmtree.rpm.metadata import relative
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import PackageRequest
from rpmtree.rpm.solver import open_source
from tests.support.rpms import file, make_repo, rpm
from tests.support.webserver import Site, serve

PACKAGES = (rpm("a", files={"/usr/share/a": file(bytes(range(256)) * 400)}, compression="none"), rpm("b"))
SECRET = "root:x:0:0"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("rpmtree.rpm.fetch.PAUSE", 0.0)
    make_repo(tmp_path / "www/repo", PACKAGES)
    with serve(tmp_path / "www") as site:
        yield site


def remote(site: Site, **said: Any) -> Repo:
    said.setdefault("baseurl", (f"{site.url}repo",) if not {"metalink", "mirrorlist"} & set(said) else ())
    return Repo("r", "r", Place("x.repo", 1), gpgcheck=False, **said)


def get(
    site: Site, cachedir: Path, *, offline: bool = False, reporter: Reporter | None = None, **said: Any
) -> list[Path]:
    """Solve for everything, and fetch it."""
    with open_source(
        PackageRequest((remote(site, **said),), ("a", "b"), "x86_64"), cachedir, offline=offline
    ) as source:
        return sorted(source.fetch(source.solve().packages, reporter).values())


def paths(site: Site) -> list[str]:
    return [path for path, _ in site.requests]


def repomd(site: Site) -> Path:
    return site.root / "repo/repodata/repomd.xml"


def test_packages_are_fetched_and_kept(tmp_path: Path, site: Site) -> None:
    first = get(site, tmp_path / "cache")
    assert [path.read_bytes() for path in first] == [
        (site.root / f"repo/{name}-1.0-1.noarch.rpm").read_bytes() for name in ("a", "b")
    ]
    site.requests.clear()
    assert get(site, tmp_path / "cache") == first
    assert paths(site) == ["repo/repodata/repomd.xml"]
    site.requests.clear()
    assert get(site, tmp_path / "cache", metadata_expire=3600) == first
    assert get(site, tmp_path / "cache", offline=True) == first
    assert paths(site) == []


def test_offline_without_a_cache_is_an_error(tmp_path: Path, site: Site) -> None:
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache", offline=True)
    assert site.requests == []


def test_progress_ends_at_the_total(tmp_path: Path, site: Site) -> None:
    class Seen(Reporter):
        at: tuple[int, int] = (0, 0)

        def advanced(self, done: int, total: int) -> None:
            self.at = (done, total)

    seen = Seen()
    total = sum(path.stat().st_size for path in get(site, tmp_path / "cache", reporter=seen))
    assert seen.at == (total, total)


def test_a_damaged_cache_is_fetched_again(tmp_path: Path, site: Site) -> None:
    path, _ = get(site, tmp_path / "cache")
    good = path.read_bytes()
    path.write_bytes(b"x" + good[1:])
    assert get(site, tmp_path / "cache")[0].read_bytes() == good


def test_a_download_that_breaks_is_gone_on_with(tmp_path: Path, site: Site) -> None:
    site.cut["repo/a-1.0-1.noarch.rpm"] = 5000
    whole = (site.root / "repo/a-1.0-1.noarch.rpm").read_bytes()
    assert get(site, tmp_path / "cache")[0].read_bytes() == whole
    ranges = [wanted for path, wanted in site.requests if path == "repo/a-1.0-1.noarch.rpm"]
    assert ranges == ["", "bytes=5000-"]


def test_a_server_that_ignores_ranges_is_understood(tmp_path: Path, site: Site) -> None:
    path = "repo/a-1.0-1.noarch.rpm"
    whole = (site.root / path).read_bytes()
    site.answers[path] = [(200, {}, whole)]
    fetched = tmp_path / "a.rpm"
    fetched.with_name("a.rpm.part").write_bytes(whole[:3000])
    Fetcher(remote(site)).download([site.url + path], fetched, size=len(whole), digest=sha256(whole))
    assert fetched.read_bytes() == whole
    assert site.requests == [(path, "bytes=3000-")]


@pytest.mark.parametrize("part", [b"x" * 3000, b"x" * 9_999_999], ids=["of another file", "too long"])
def test_a_part_of_something_else_does_no_harm(tmp_path: Path, site: Site, part: bytes) -> None:
    path = "repo/a-1.0-1.noarch.rpm"
    whole = (site.root / path).read_bytes()
    fetched = tmp_path / "a.rpm"
    fetched.with_name("a.rpm.part").write_bytes(part)
    Fetcher(remote(site)).download([site.url + path], fetched, size=len(whole), digest=sha256(whole))
    assert fetched.read_bytes() == whole


def sha256(data: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def test_an_answer_that_passes_is_tried_again(tmp_path: Path, site: Site) -> None:
    data = repomd(site).read_bytes()
    site.answers["repo/repodata/repomd.xml"] = [(503, {}, b""), (200, {}, data)]
    assert get(site, tmp_path / "cache")


def test_an_answer_that_stays_is_not(tmp_path: Path, site: Site) -> None:
    repomd(site).unlink()
    with pytest.raises(FetchError) as raised:
        get(site, tmp_path / "cache")
    assert paths(site) == ["repo/repodata/repomd.xml"]
    assert "404" in (raised.value.detail or "")


@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_package_that_is_not_what_the_metadata_says_is_refused(tmp_path: Path, site: Site, change: str) -> None:
    path = site.root / "repo/b-1.0-1.noarch.rpm"
    good = path.read_bytes()
    path.write_bytes({"longer": good + b"x", "shorter": good[:-1], "other": good[:-1] + b"\xff"}[change])
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache")
    path.write_bytes(good)
    assert get(site, tmp_path / "cache")


def test_another_mirror_is_taken(tmp_path: Path, site: Site) -> None:
    bad = make_repo(site.root / "bad", PACKAGES)
    (bad / "b-1.0-1.noarch.rpm").write_bytes(b"stale")
    assert get(site, tmp_path / "cache", baseurl=(f"{site.url}gone", f"{site.url}bad", f"{site.url}repo"))


def metalink(site: Site, digest: str, *urls: str) -> str:
    listed = "".join(f'<url protocol="http" preference="{99 - n}">{url}</url>' for n, url in enumerate(urls))
    (site.root / "metalink").write_text(
        '<metalink xmlns="http://www.metalinker.org/"><files><file name="repomd.xml"><verification>'
        f'<hash type="sha256">{digest}</hash></verification><resources>{listed}</resources></file></files></metalink>'
    )
    return f"{site.url}metalink"


def test_mirrors_come_from_a_metalink_or_a_list(tmp_path: Path, site: Site) -> None:
    digest = hashlib.sha256(repomd(site).read_bytes()).hexdigest()
    places = [f"{site.url}{name}/repodata/repomd.xml" for name in ("gone", "repo")]
    assert get(site, tmp_path / "a", metalink=metalink(site, digest, "file:///etc/repodata/repomd.xml", *places))
    (site.root / "list").write_text(f"# mirrors\nfile:///etc\n{site.url}gone\n{site.url}repo\n")
    assert get(site, tmp_path / "b", mirrorlist=f"{site.url}list")
    with pytest.raises(FetchError):
        get(site, tmp_path / "c", metalink=metalink(site, "0" * 64, *places))
    (site.root / "list").write_text("file:///etc\n")
    with pytest.raises(FetchError):
        get(site, tmp_path / "d", mirrorlist=f"{site.url}list")


HOSTILE = [
    "../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x", "%2e%2e/%2e%2e/etc/passwd",
    "a/../../x", "..", "", "a\x7fb", "..\\x", "x/%2e%2e/y", "%2Fetc/passwd", "FILE:/etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("href", HOSTILE)
def test_metadata_leads_nowhere_else(tmp_path: Path, site: Site, href: str) -> None:
    with pytest.raises(ValueError, match=r"is not a relative path|leads out"):
        relative(href)
    text = repomd(site).read_text()
    begin = text.index('href="repodata/') + 6
    repomd(site).write_text(text[:begin] + href + text[text.index('"', begin) :])
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache")
    assert paths(site) == ["repo/repodata/repomd.xml"] * len(paths(site))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and SECRET in path.read_text()]


@pytest.mark.parametrize("change", [' xml:base="file:///etc/"', ' xml:base="http://127.0.0.1:1/"'])
def test_repomd_can_not_name_another_base(tmp_path: Path, site: Site, change: str) -> None:
    text = repomd(site).read_text()
    repomd(site).write_text(text.replace("<location ", f"<location{change} ", 1))
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache")


@pytest.mark.parametrize("location", ['xml:base="file:///" href="etc/passwd"', 'href="../../../etc/passwd"'])
def test_packages_can_not_be_elsewhere(tmp_path: Path, site: Site, location: str) -> None:
    """Metadata that is right in itself, about a package that lies outside the repository."""
    import gzip

    data = repomd(site).read_text()
    (primary,) = (site.root / "repo/repodata").glob("*primary*")
    old = primary.read_bytes()
    text = gzip.decompress(old).decode()
    changed = gzip.compress(text.replace('href="b-1.0-1.noarch.rpm"', location).encode(), mtime=0)
    assert changed != old
    primary.write_bytes(changed)
    data = data.replace(sha256(old).hexdigest, sha256(changed).hexdigest)
    data = data.replace(f"<size>{len(old)}<", f"<size>{len(changed)}<")
    primary.rename(primary.with_name(primary.name.replace(sha256(old).hexdigest, sha256(changed).hexdigest)))
    repomd(site).write_text(data)
    with pytest.raises(FetchError, match=r"^b-1\.0-1\.noarch "):
        get(site, tmp_path / "cache")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "/repo/loop"])
def test_redirects_stay_with_http(tmp_path: Path, site: Site, target: str) -> None:
    site.answers["repo/loop"] = [(302, {"Location": "/repo/loop"}, b"")]
    site.answers["repo/repodata/repomd.xml"] = [(302, {"Location": target}, b"")]
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache")
    site.answers["repo/repodata/repomd.xml"] = [(302, {"Location": "/other.xml"}, b"")]
    (site.root / "other.xml").write_bytes(repomd(site).read_bytes())
    assert get(site, tmp_path / "cache")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:,x", "ftp://127.0.0.1/"])
def test_only_http_is_opened(site: Site, url: str) -> None:
    with pytest.raises(FetchError):
        Fetcher(remote(site)).get([url], limit=1000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"<repomd/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    ],
)
def test_what_is_no_metadata_is_refused(tmp_path: Path, site: Site, data: bytes) -> None:
    repomd(site).write_bytes(data)
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache")


def test_endless_metadata_is_given_up(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError):
        Fetcher(remote(site)).get([f"{site.url}repo/a-1.0-1.noarch.rpm"], limit=1000)
    text = repomd(site).read_text()
    repomd(site).write_text(text.replace("<size>", "<size>99999999999999", 1))
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["md5", "sha", "sha1", "none", ""])
def test_weak_checksums_are_refused(kind: str) -> None:
    assert Digest.of("sha256", "0" * 64)
    with pytest.raises(ValueError, match="not accepted"):
        Digest.of(kind, "0" * 40)


@pytest.mark.needs("gpg", "gpgv")
def test_metadata_may_have_to_be_signed(tmp_path: Path, site: Site) -> None:
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> bytes:
        return command.run(["gpg", "--homedir", str(home), "--batch", "--passphrase", "", *arguments]).stdout

    signature = repomd(site).with_name("repomd.xml.asc")
    try:
        for name in ("one", "two"):
            gpg("--quick-generate-key", f"{name}@localhost", "ed25519", "sign", "never")
            (tmp_path / name).write_bytes(gpg("--armor", "--export", f"{name}@localhost"))
        gpg("--local-user", "one@localhost", "--armor", "--output", str(signature), "--detach-sign", str(repomd(site)))
    finally:
        command.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    said: dict[str, Any] = {"repo_gpgcheck": True, "gpgkey": (f"file://{tmp_path}/one",)}
    assert get(site, tmp_path / "cache", **said)
    with pytest.raises(FetchError):
        get(site, tmp_path / "other", **said | {"gpgkey": (f"file://{tmp_path}/two",)})
    repomd(site).write_text(repomd(site).read_text() + "\n")
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache", **said)
    assert get(site, tmp_path / "cache", **said, offline=True)
    signature.unlink()
    with pytest.raises(FetchError):
        get(site, tmp_path / "cache", **said)
