# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose sign`, and the treefile key gpg-key: signatures that a client then asks for."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.serve import serving
from rpmtree.command import run
from rpmtree.errors import FetchError
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.remotes import Remotes
from rpmtree.ostree.repo import Repository, create
from tests.end_to_end.shale import REF, Bench
from tests.support.gnupg import GnuPg, gnupg
from tests.support.sysroots import commit_tree

pytestmark = pytest.mark.needs("gpg", "nacl:")
COMPOSE = Path(sys.executable).with_name("compose")
BRANCH = "granite/12"


@pytest.fixture(scope="module")
def home() -> Iterator[GnuPg]:
    with gnupg() as found:
        yield found


@pytest.fixture(scope="module")
def fingerprint(home: GnuPg) -> str:
    return home.make_key("release")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    create(tmp_path / "build", "bare")
    create(tmp_path / "repo", "archive")
    checksum = bytes.fromhex(commit_tree(tmp_path / "build"))
    Repository(tmp_path / "repo").pull_commit(tmp_path / "build", checksum)
    write_refs(tmp_path / "repo", {BRANCH: checksum})
    return tmp_path / "repo"


def compose(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPOSE, *arguments], capture_output=True, text=True, check=False)


def make_key(directory: Path) -> tuple[Path, str]:
    """A secret key in a file, as libostree wants it, and its public half in base64."""
    from nacl.signing import SigningKey

    key = SigningKey.generate()
    public = bytes(key.verify_key)
    path = directory / "secret"
    path.write_text(base64.b64encode(bytes(key) + public).decode() + "\n")
    return path, base64.b64encode(public).decode()


def test_both_kinds_are_made_and_asked_for(repo: Path, tmp_path: Path, home: GnuPg, fingerprint: str) -> None:
    secret, public = make_key(tmp_path)
    create(tmp_path / "client", "bare-user")
    client = Remotes.open(tmp_path / "client")
    with serving(repo) as url:
        client.add("site", url, {"sign-verify": "ed25519", "verification-ed25519-key": public})
        client.import_keys("site", home.public_key(fingerprint))
        with pytest.raises(FetchError):
            client.pull("site", BRANCH)
        done = compose("sign", f"--repo={repo}", BRANCH, "--gpg-key=release", f"--gpg-homedir={home.home}")
        assert (done.returncode, done.stderr) == (0, "")
        checksum, _, said = done.stdout.partition(": ")
        assert said == f"signed with gpg {fingerprint}\n"
        with pytest.raises(FetchError):
            client.pull("site", BRANCH)
        done = compose("--json", "sign", f"--repo={repo}", checksum, f"--ed25519-key={secret}")
        assert json.loads(done.stdout) == {
            "commit": checksum,
            "signatures": [{"kind": "ed25519", "key": public, "added": True}],
        }
        before = state(repo)
        both = (f"--gpg-key={fingerprint}", f"--gpg-homedir={home.home}", f"--ed25519-key={secret}")
        done = compose("sign", f"--repo={repo}", BRANCH, *both)
        assert (done.returncode, done.stdout.count("is signed already")) == (0, 2)
        assert state(repo) == before
        assert client.pull("site", BRANCH).checksum == checksum
    found = client.signatures(checksum, "site")
    assert [(one.kind, one.key, one.valid) for one in found] == [("gpg", fingerprint, True), ("ed25519", public, True)]
    run(["ostree", f"--repo={repo}", "fsck", "--quiet"])
    assert 'Good signature from "release <release@localhost>"' in shown(repo, BRANCH, tmp_path, home)


def shown(repo: Path, rev: str, directory: Path, home: GnuPg) -> str:
    """What `ostree show` says to someone who has the public keys."""
    (directory / "keyring").mkdir()
    (directory / "keyring" / "release.gpg").write_bytes(home.gpg("--export"))
    return run(["ostree", f"--repo={repo}", "show", f"--gpg-homedir={directory}/keyring", rev]).stdout.decode()


def state(repo: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((repo / "objects").rglob("*.commit*"))}


def test_what_is_wrong_is_said_and_nothing_is_signed(repo: Path, tmp_path: Path, home: GnuPg, fingerprint: str) -> None:
    secret, _ = make_key(tmp_path)
    (tmp_path / "bad").write_text("bad\n")
    before = state(repo)
    good = (f"--gpg-key={fingerprint}", f"--gpg-homedir={home.home}", f"--ed25519-key={secret}")
    for status, arguments in (
        (2, (BRANCH,)),
        (8, ("no/such", *good)),
        (8, ("0" * 64, *good)),
        (1, (BRANCH, *good, "--gpg-key=nobody")),
        (3, (BRANCH, *good, f"--ed25519-key={tmp_path}/bad")),
        (3, (BRANCH, *good, f"--ed25519-key={tmp_path}/none")),
    ):
        done = compose("sign", f"--repo={repo}", *arguments)
        assert (done.returncode, done.stdout) == (status, ""), arguments
        assert done.stderr.startswith("error: ")
        assert state(repo) == before
    assert compose("sign", f"--repo={repo}", BRANCH, *good).returncode == 0
    assert state(repo) != before


def test_a_treefile_names_the_key(bench: Bench, home: GnuPg, fingerprint: str, tmp_path: Path) -> None:
    bench.init("archive")
    bench.treefile["gpg-key"] = "nobody@localhost"
    environment = {"GNUPGHOME": str(home.home)}
    assert bench.compose(status=1, env=environment).stdout == ""
    assert bench.refs() == {}
    bench.treefile["gpg-key"] = "release@localhost"
    bench.compose(env=environment)
    found = Remotes.open(bench.repo)
    commit = bench.commit(REF)
    assert [(one.kind, one.key) for one in found.signatures(commit, None)] == [("gpg", fingerprint)]
    assert "Good signature" in shown(bench.repo, REF, tmp_path, home)
