# SPDX-License-Identifier: GPL-2.0-or-later
"""Pulls that must be signed: what is refused leaves nothing behind, and no content comes before that is known."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rpmtree.errors import FetchError, StoreError, ToolError
from rpmtree.ostree import remotes
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signatures import ED25519, GPG, detached, stored, trusted_keys
from rpmtree.ostree.signing import SecretKey, read_secret_keys, sign_ed25519, sign_gpg
from rpmtree.ostree.variant import Variant, serialise
from tests.support.gnupg import GnuPg, gnupg
from tests.support.openpgp import Key
from tests.support.remotelab import Lab

pytestmark = pytest.mark.needs("root", "ostree", "gi:", "nacl:", "gpg")
#: RFC 8032, 7.1, test 1 and test 2: secret seeds and public keys.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
OTHER_SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
OTHER_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
OURS, OTHER = SecretKey(SEED, PUBLIC), SecretKey(OTHER_SEED, OTHER_PUBLIC)
REF = "granite/12"


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def home() -> Iterator[GnuPg]:
    with gnupg() as found:
        found.make_key("ours")
        found.make_key("other")
        yield found


def meta(lab: Lab, checksum: str) -> Path:
    return lab.archive / "objects" / checksum[:2] / f"{checksum[2:]}.commitmeta"


def sign(lab: Lab, checksum: str, key: SecretKey = OURS) -> bool:
    return sign_ed25519(Repository(lab.archive), bytes.fromhex(checksum), key)


def demand(lab: Lab, **options: str) -> None:
    """Have the remote ask for signatures; underscores stand for dashes."""
    chosen = {"sign-verify": "ed25519", **{key.replace("_", "-"): value for key, value in options.items()}}
    lab.client.add("site", lab.site.url, {"gpg-verify": "false", **chosen}, replace=True)


def state(lab: Lab) -> list[str]:
    """All that a pull leaves in the client's repository."""
    return sorted(
        str(path.relative_to(lab.client.path))
        for name in ("objects", "refs", "state")
        for path in (lab.client.path / name).rglob("*")
        if not path.is_dir() or name == "refs"
    )


def content(lab: Lab) -> list[str]:
    return [path for path, _ in lab.site.requests if path.endswith((".filez", ".dirtree", ".dirmeta"))]


def refused(lab: Lab, rev: str = REF, names: Sequence[str] = (), **how: bool) -> FetchError:
    """A pull that must be refused, before content comes, with nothing left behind."""
    before = state(lab)
    lab.site.requests.clear()
    with pytest.raises(FetchError) as caught:
        lab.client.pull("site", rev, **how)  # type: ignore[arg-type]
    assert content(lab) == []
    assert state(lab) == before
    assert "\n" not in caught.value.message
    assert caught.value.hint
    for name in ("site", *names):
        assert name in caught.value.message
    return caught.value


def test_a_signed_commit_is_pulled(lab: Lab) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC))
    checksum = lab.release("12.0", 1000)
    assert sign(lab, checksum)
    assert lab.client.pull("site", REF, commit_only=True).checksum == checksum
    assert not (lab.client.path / "refs/remotes/site").exists()
    assert content(lab) == []
    assert lab.client.pull("site", REF).checksum == checksum
    assert sorted(path.name for path in (lab.client.path / "refs/remotes").iterdir()) == ["site"]
    lab.fsck()
    second = lab.release("12.1", 2000, checksum)
    refused(lab, names=[second])
    refused(lab, second, names=[second])
    sign(lab, second)
    assert lab.client.pull("site", second, newer_than=checksum).checksum == second
    assert (lab.client.path / "refs/remotes/site/granite/12").read_text().strip() == checksum
    assert lab.client.pull("site", REF, newer_than=checksum).checksum == second
    lab.fsck()


BAD = {
    "missing": lambda good: None,
    "empty file": lambda good: b"",
    "no signatures": lambda good: serialise("a{sv}", {ED25519: Variant("aay", [])}),
    "other type": lambda good: serialise("a{sv}", {ED25519: Variant("ay", good)}),
    "tampered": lambda good: serialise("a{sv}", {ED25519: Variant("aay", [bytes([good[0] ^ 1]) + good[1:]])}),
    "truncated": lambda good: serialise("a{sv}", {ED25519: Variant("aay", [good[:-1]])}),
    "too long": lambda good: serialise("a{sv}", {ED25519: Variant("aay", [good + b"x"])}),
    "cut file": lambda good: serialise("a{sv}", {ED25519: Variant("aay", [good])})[:-9],
    "rubbish": lambda good: b"\xff" * 200,
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_what_is_not_well_signed_is_refused(lab: Lab, kind: str) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC))
    checksum = lab.release("12.0", 1000)
    commit = meta(lab, checksum).with_suffix(".commit").read_bytes()
    bad = BAD[kind](OURS.sign(commit))
    if bad is not None:
        meta(lab, checksum).write_bytes(bad)
    for how in ({}, {"commit_only": True}):
        refused(lab, names=[checksum], **how)
    meta(lab, checksum).unlink(missing_ok=True)
    sign(lab, checksum)  # the control, and nothing is left that it trips over
    assert lab.client.pull("site", REF).checksum == checksum
    lab.fsck()


def test_a_signature_of_another_key_or_commit_is_refused(lab: Lab) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC))
    first = lab.release("12.0", 1000)
    sign(lab, first, OTHER)
    refused(lab, names=[first])
    second = lab.release("12.1", 2000)
    sign(lab, first)
    meta(lab, second).write_bytes(meta(lab, first).read_bytes())
    refused(lab, names=[second])
    assert lab.client.pull("site", first).checksum == first
    sign(lab, second)
    assert lab.client.pull("site", REF).checksum == second


def test_a_verifier_that_always_says_yes_is_found_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC))
    lab.release("12.0", 1000)
    monkeypatch.setattr(remotes, "refusal", lambda *_: None)
    with pytest.raises(pytest.fail.Exception):
        refused(lab)


def test_ancestors_that_are_asked_for_are_verified(lab: Lab) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC))
    first = lab.release("12.0", 1000)
    second = lab.release("12.1", 2000, first)
    sign(lab, second)
    with pytest.raises(FetchError) as caught:
        lab.client.pull("site", REF, depth=1)
    assert first in caught.value.message
    assert not (lab.client.path / "refs/remotes/site").exists()
    assert lab.client.pull("site", REF).checksum == second  # alone it may come
    sign(lab, first)
    assert lab.client.pull("site", REF, depth=-1).checksum == second
    assert (lab.client.path / "objects" / first[:2] / f"{first[2:]}.commit").exists()


def test_a_pull_that_dies_before_it_has_looked_leaves_no_branch(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC))
    checksum = lab.release("12.0", 1000)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(remotes, "refusal", die)
        with pytest.raises(KeyboardInterrupt):
            lab.client.pull("site", REF)
    assert not list((lab.client.path / "refs/remotes").iterdir())
    assert content(lab) == []
    with pytest.raises(FetchError):
        lab.client.pull("site", REF)
    assert state(lab) == ["refs/heads", "refs/mirrors", "refs/remotes"]
    sign(lab, checksum)
    assert lab.client.pull("site", REF).checksum == checksum
    lab.fsck()


def test_keys_of_the_system_count_where_the_remote_has_none(tmp_path: Path) -> None:
    wish = {"sign-verify": "true"}
    own = {**wish, "verification-ed25519-key": text(PUBLIC)}
    with pytest.raises(FetchError):
        trusted_keys("site", wish, "x", tmp_path)
    (tmp_path / "etc/ostree").mkdir(parents=True)
    (tmp_path / "usr/share/ostree/trusted.ed25519.d").mkdir(parents=True)
    (tmp_path / "etc/ostree/trusted.ed25519").write_text(f"{text(PUBLIC)}\n")
    (tmp_path / "usr/share/ostree/trusted.ed25519.d/other").write_text(f"{text(OTHER_PUBLIC)}\n")
    assert trusted_keys("site", wish, "x", tmp_path) == (PUBLIC, OTHER_PUBLIC)
    assert trusted_keys("site", own, "x", tmp_path) == (PUBLIC,)
    with pytest.raises(FetchError):
        trusted_keys("site", {"sign-verify": "ed25519"}, "x", tmp_path)
    (tmp_path / "etc/ostree/revoked.ed25519").write_text(f"{text(PUBLIC)}\n")
    assert trusted_keys("site", wish, "x", tmp_path) == (OTHER_PUBLIC,)
    with pytest.raises(FetchError):
        trusted_keys("site", own, "x", tmp_path)


def test_keys_come_from_files_too(lab: Lab, tmp_path: Path) -> None:
    checksum = lab.release("12.0", 1000)
    sign(lab, checksum)
    keys = tmp_path / "keys"
    demand(lab, verification_ed25519_file=str(keys))
    for bad in (
        None,
        "",
        "\n\n",
        "no key\n",
        f"{text(PUBLIC[:-1])}\n",
        f"{text(PUBLIC)}\nno key\n",
        f"{text(OTHER_PUBLIC)}\n",
    ):
        if bad is not None:
            keys.write_text(bad)
        refused(lab)
    keys.write_text(f"{text(OTHER_PUBLIC)}\n{text(PUBLIC)}\n")
    assert lab.client.pull("site", REF).checksum == checksum


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sign_verify": "true"},
        {"verification_ed25519_key": "x"},
        {"verification_ed25519_key": text(OTHER_PUBLIC)},
        {"verification_ed25519_key": text(PUBLIC), "sign_verify": "spki"},
        {"verification_ed25519_key": text(PUBLIC), "sign_verify": "ed25519;spki"},
        {"verification_ed25519_key": text(PUBLIC), "sign_verify": "True"},
        {"verification_ed25519_key": text(PUBLIC), "sign_verify_summary": "ed25519"},
        {"verification_ed25519_key": text(PUBLIC), "gpg_verify_summary": "true"},
    ],
)
def test_a_remote_that_asks_for_what_cant_be_had_gives_nothing(lab: Lab, options: dict[str, str]) -> None:
    checksum = lab.release("12.0", 1000)
    sign(lab, checksum)
    demand(lab, **options)
    before = state(lab)
    with pytest.raises(FetchError):
        lab.client.pull("site", REF)
    assert state(lab) == before
    demand(lab, verification_ed25519_key=text(PUBLIC), sign_verify="true")
    assert lab.client.pull("site", REF).checksum == checksum


def test_a_signature_of_a_summary_cant_be_verified_and_that_is_said(lab: Lab) -> None:
    demand(lab, verification_ed25519_key=text(PUBLIC), sign_verify_summary="ed25519")
    sign(lab, lab.release("12.0", 1000))
    assert "sign-verify-summary" in (refused(lab).hint or "")
    demand(lab, verification_ed25519_key=text(PUBLIC), sign_verify_summary="false")
    lab.client.pull("site", REF)


def test_unsigned_commits_come_where_nobody_asks(lab: Lab) -> None:
    demand(lab, sign_verify="false")
    checksum = lab.release("12.0", 1000)
    assert lab.client.pull("site", REF).checksum == checksum


def test_the_format_is_libostrees(lab: Lab) -> None:
    """By hand: a{sv} with one entry, framed as GLib's GVariant Specification says; the file is that and no more."""
    checksum = lab.release("12.0", 1000)
    assert sign(lab, checksum)
    data = meta(lab, checksum).with_suffix(".commit").read_bytes()
    assert hashlib.sha256(data).hexdigest() == checksum
    key = b"ostree.sign.ed25519\0"
    body = key.ljust(24, b"\0") + OURS.sign(data) + bytes([64]) + b"\0aay" + bytes([len(key)])
    assert meta(lab, checksum).read_bytes() == body + bytes([len(body)])
    assert not sign(lab, checksum)
    assert sign(lab, checksum, OTHER)
    assert stored(detached(lab.archive, checksum), ED25519) == (OURS.sign(data), OTHER.sign(data))


def test_gpg_and_ed25519_must_both_hold(lab: Lab, home: GnuPg) -> None:
    options = {"sign-verify": "ed25519", "verification-ed25519-key": text(PUBLIC)}
    lab.client.add("site", lab.site.url, {"gpg-verify": "true", **options}, replace=True)
    lab.client.import_keys("site", home.public_key("ours"))
    checksum = lab.release("12.0", 1000)
    raw = bytes.fromhex(checksum)
    archive = Repository(lab.archive)
    assert sign(lab, checksum)
    refused(lab, names=[checksum])
    assert sign_gpg(archive, raw, "other", home.home)[1]
    refused(lab, names=[checksum])
    refused(lab, names=[checksum], commit_only=True)
    fingerprint, added = sign_gpg(archive, raw, "ours", home.home)
    assert added
    assert sign_gpg(archive, raw, fingerprint, home.home) == (fingerprint, False)
    assert len(stored(detached(lab.archive, checksum), GPG)) == 2
    assert lab.client.pull("site", REF).checksum == checksum
    found = lab.client.signatures(checksum, "site")
    assert [(one.kind, one.valid, one.user) for one in found] == [
        ("gpg", False, None),
        ("gpg", True, "ours <ours@localhost>"),
        ("ed25519", True, None),
    ]
    assert (found[1].key, found[2].key) == (fingerprint, text(PUBLIC))
    assert found[1].timestamp
    assert found[0].error
    lab.fsck()


def test_gpg_alone_is_looked_at_before_content_comes(lab: Lab, home: GnuPg) -> None:
    lab.client.add("site", lab.site.url, {"gpg-verify": "true"}, replace=True)
    lab.client.import_keys("site", home.public_key("ours"))
    checksum = lab.release("12.0", 1000)
    archive = Repository(lab.archive)
    refused(lab, names=[checksum])
    sign_gpg(archive, bytes.fromhex(checksum), "other", home.home)
    refused(lab, names=[checksum])
    meta(lab, checksum).write_bytes(meta(lab, checksum).read_bytes()[:-40])
    refused(lab, names=[checksum])
    meta(lab, checksum).unlink()
    sign_gpg(archive, bytes.fromhex(checksum), "ours", home.home)
    assert lab.client.pull("site", REF).checksum == checksum
    second = lab.release("12.1", 2000, checksum)
    meta(lab, second).write_bytes(meta(lab, checksum).read_bytes())
    refused(lab, names=[second])


def test_behind_a_gpg_signature_that_is_wrong_none_is_put(lab: Lab, home: GnuPg) -> None:
    first, second = lab.release("12.0", 1000), lab.release("12.1", 2000)
    archive = Repository(lab.archive)
    sign_gpg(archive, bytes.fromhex(first), "ours", home.home)
    wrong = meta(lab, first).read_bytes()
    meta(lab, second).write_bytes(wrong)
    with pytest.raises(StoreError):
        sign_gpg(archive, bytes.fromhex(second), "ours", home.home)
    assert meta(lab, second).read_bytes() == wrong
    meta(lab, second).unlink()
    assert sign_gpg(archive, bytes.fromhex(second), "ours", home.home)[1]


def test_a_gpg_key_must_be_one(lab: Lab, home: GnuPg) -> None:
    checksum = bytes.fromhex(lab.release("12.0", 1000))
    for name in ("nobody", "localhost", ""):
        with pytest.raises(ToolError):
            sign_gpg(Repository(lab.archive), checksum, name, home.home)
    assert not meta(lab, checksum.hex()).exists()


def test_what_is_said_of_signatures(lab: Lab, key: Key) -> None:
    checksum = lab.release("12.0", 1000)
    lab.client.pull("site", REF)
    assert lab.client.signatures(checksum, "site") == ()
    with pytest.raises(StoreError):
        lab.client.signatures("0" * 64, "site")
    mine = lab.client.path / "objects" / checksum[:2] / f"{checksum[2:]}.commitmeta"
    commit = mine.with_suffix(".commit").read_bytes()
    expired = key.sign(commit, expires_after=10)
    values = {
        GPG: Variant("aay", [key.sign(commit), key.sign(commit + b"x"), expired, b"rubbish"[:-1]]),
        ED25519: Variant("aay", [OTHER.sign(commit), OURS.sign(commit), b"short"]),
    }
    mine.write_bytes(serialise("a{sv}", values))
    demand(lab, verification_ed25519_key=text(PUBLIC))
    for remote in ("site", "gone", None):
        assert not [one for one in lab.client.signatures(checksum, remote) if one.kind == "gpg" and one.valid]
    assert [one.valid for one in lab.client.signatures(checksum, "site") if one.kind == "ed25519"] == [
        False,
        True,
        False,
    ]
    assert [one.valid for one in lab.client.signatures(checksum, None) if one.kind == "ed25519"] == [False] * 3
    lab.client.import_keys("site", key.public_key().encode())
    for bad in (key.sign(commit + b"x"), expired):
        mine.write_bytes(serialise("a{sv}", {GPG: Variant("aay", [key.sign(commit), bad])}))
        good, wrong = lab.client.signatures(checksum, "site")
        assert (good.valid, good.key, good.timestamp) == (True, key.fingerprint.hex().upper(), key.created)
        assert (good.user, good.error) == (key.user_id, None)
        assert not wrong.valid
        assert wrong.error


def test_secret_keys_are_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{text(SEED + PUBLIC)}\n{text(OTHER_SEED)}\n")
    assert read_secret_keys(file) == (OURS, OTHER)
    assert text(SEED)[:10] not in repr(read_secret_keys(file))
    for bad in ("", "x", text(SEED + OTHER_PUBLIC), text(SEED[:-1]), text(SEED) + "!"):
        file.write_text(bad)
        with pytest.raises(ToolError) as caught:
            read_secret_keys(file)
        assert caught.value.exit_code == 3
        assert caught.value.place
        assert caught.value.place.file == str(file)
