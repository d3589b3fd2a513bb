# SPDX-License-Identifier: GPL-2.0-or-later
"""Which packages are refused before anything of them is used, and that good ones are not."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rpmtree import command
from rpmtree.errors import FetchError, StoreError
from rpmtree.rpm.openpgp import read_keys
from rpmtree.rpm.signatures import Verifier, read_header_blob
from tests.support.openpgp import Key, _framed
from tests.support.rpms import Raw, file, rpm
from tests.support.rpmwriter import BIN, MAGIC, STRING, rpm_bytes, signed

DAY = 86400
NOW = int(time.time())
KEY = Key.generate()
OTHER = Key.generate("Another <other@localhost>")
OLD = Key.generate("Old <old@localhost>", created=NOW - 20 * DAY, expires_after=10 * DAY)
LASTING = Key.generate("Lasting <lasting@localhost>", created=NOW - 20 * DAY, expires_after=30 * DAY)
GOOD = rpm("good", epoch=2, files={"/usr/bin/good": "text"})


def certificate(key: Key) -> bytes:
    return key.public_key().encode()


def revoked(key: Key) -> bytes:
    """The certificate with a revocation behind it, in binary form."""
    body = key._public_body()
    revocation = key._signature(0x20, _framed(body), NOW, b"")
    return b"\x99" + struct.pack(">H", len(body)) + body + revocation


def verifier(*keys: Key) -> Verifier:
    return Verifier([certificate(key) for key in keys])


def read(path: Path, checker: Verifier, *, gpgcheck: bool = True) -> Any:
    fd = os.open(path, os.O_RDONLY)
    try:
        return checker.read_header(fd, name=path.name, gpgcheck=gpgcheck)
    finally:
        os.close(fd)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "package.rpm"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("keys", [(KEY,), (OTHER, KEY), (OLD, LASTING, KEY)])
def test_a_good_package_passes(tmp_path: Path, keys: tuple[Key, ...]) -> None:
    header = read(write(tmp_path, rpm_bytes(GOOD, key=KEY)), verifier(*keys))
    assert (header["name"], header["epoch"]) == ("good", 2)


def test_the_offset_is_left_at_the_payload(tmp_path: Path) -> None:
    path = write(tmp_path, rpm_bytes(GOOD, key=KEY))
    with open(path, "rb") as opened:
        header = verifier(KEY).read_header(opened.fileno(), name="x", gpgcheck=True)
        payload = os.read(opened.fileno(), 1 << 20)
    assert [hashlib.sha256(payload).hexdigest()] == header["PAYLOADDIGEST"]


def test_a_stored_header_reads_the_same(tmp_path: Path) -> None:
    blob = read(write(tmp_path, rpm_bytes(GOOD, key=KEY)), verifier(KEY)).unload()
    assert read_header_blob(blob).unload() == blob
    with pytest.raises(StoreError):
        read_header_blob(blob[:-9])


REFUSED: dict[str, tuple[Callable[[], bytes], Callable[[], Verifier]]] = {
    "unsigned": (lambda: rpm_bytes(GOOD), lambda: verifier(KEY)),
    "no key": (lambda: rpm_bytes(GOOD, key=KEY), verifier),
    "another key": (lambda: rpm_bytes(GOOD, key=KEY), lambda: verifier(OTHER)),
    "expired key": (lambda: rpm_bytes(GOOD, key=OLD), lambda: verifier(OLD)),
    "revoked key": (lambda: rpm_bytes(GOOD, key=KEY), lambda: Verifier([revoked(KEY)])),
    "expired signature": (lambda: rpm_bytes(GOOD, key=KEY, expires=10), lambda: verifier(KEY)),
    "older than its key": (lambda: rpm_bytes(GOOD, key=KEY, signed_at=KEY.created - DAY), lambda: verifier(KEY)),
    "signature of another": (
        lambda: rpm_bytes(with_raw(signature={268: (BIN, KEY.sign(b"something else"))})), lambda: verifier(KEY)),
    "not a signature": (lambda: rpm_bytes(with_raw(signature={268: (BIN, b"\x00" * 80)})), lambda: verifier(KEY)),
    "signature in the main header": (
        lambda: rpm_bytes(with_raw(header={268: (BIN, KEY.sign(b""))})), lambda: verifier(KEY)),
    "signature outside the region": (
        lambda: with_dribble(rpm_bytes(GOOD), 96, 268, KEY.sign(b"")), lambda: verifier(KEY)),
    "two signatures": (
        lambda: rpm_bytes(with_raw(signature={267: (BIN, KEY.sign(b""))}), key=KEY), lambda: verifier(KEY)),
    "no payload digest": (lambda: rpm_bytes(with_raw(header={5092: None, 5093: None}), key=KEY), lambda: verifier(KEY)),
    "empty": (lambda: b"", lambda: verifier(KEY)),
    "lead alone": (lambda: rpm_bytes(GOOD, key=KEY)[:96], lambda: verifier(KEY)),
    "cut in the signature": (lambda: rpm_bytes(GOOD, key=KEY)[:300], lambda: verifier(KEY)),
    "cut in the header": (lambda: rpm_bytes(GOOD, key=KEY)[:-900], lambda: verifier(KEY)),
    "something else": (lambda: b"#!/bin/sh\n" * 100, lambda: verifier(KEY)),
}  # fmt: skip


def with_raw(**raw: Any) -> Any:
    return rpm("good", files={"/usr/bin/good": "text"}, raw=Raw(**raw))


def with_dribble(data: bytes, start: int, tag: int, value: bytes) -> bytes:
    """The package with one more entry in the header at `start`, behind what the header's region covers."""
    count, size = struct.unpack_from(">II", data, start + 8)
    entries, end = start + 16 + count * 16, start + 16 + count * 16 + size
    head = MAGIC + struct.pack(">II", count + 1, size + len(value))
    entry = struct.pack(">IIII", tag, BIN, size, len(value))
    rest = data[end + (-(end - start) % 8 if start == 96 else 0) :]
    changed = head + data[start + 16 : entries] + entry + data[entries:end] + value
    return data[:start] + changed + (bytes(-len(changed) % 8) if start == 96 else b"") + rest


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_by_name(tmp_path: Path, case: str) -> None:
    data, checker = REFUSED[case]
    with pytest.raises(FetchError, match=r"^package\.rpm "):
        read(write(tmp_path, data()), checker())


@pytest.mark.parametrize("gpgcheck", [True, False])
@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_changed_header_is_refused(tmp_path: Path, gpgcheck: bool, place: float) -> None:
    data = bytearray(rpm_bytes(GOOD, key=KEY))
    start, end = main_header(bytes(data))
    read(write(tmp_path, bytes(data)), verifier(KEY), gpgcheck=gpgcheck)
    data[start + 16 + int((end - start - 16) * place)] ^= 1
    with pytest.raises(FetchError):
        read(write(tmp_path, bytes(data)), verifier(KEY), gpgcheck=gpgcheck)


def test_what_lies_outside_the_signed_region_is_refused(tmp_path: Path) -> None:
    data = rpm_bytes(GOOD, key=KEY)
    with pytest.raises(FetchError):
        read(write(tmp_path, with_dribble(data, main_header(data)[0], 1023, b"id > /tmp/x\0")), verifier(KEY))


def test_the_signature_header_adds_nothing_to_the_main_one(tmp_path: Path) -> None:
    raw = Raw(signature={1023: (STRING, "id"), 1085: (STRING, "/bin/sh"), 1014: (STRING, "proprietary")})
    package = rpm("good", files={"/usr/bin/good": "text"}, raw=raw)
    header = read(write(tmp_path, rpm_bytes(package, key=KEY)), verifier(KEY))
    assert not header["PREIN"]
    assert not header["PREINPROG"]
    assert header["LICENSE"] == "GPL-2.0-or-later"


@pytest.mark.parametrize("case", ["unsigned", "another key", "expired key"])
def test_without_gpgcheck_the_signature_does_not_matter(tmp_path: Path, case: str) -> None:
    data, checker = REFUSED[case]
    assert read(write(tmp_path, data()), checker(), gpgcheck=False)["name"] == "good"


def test_a_key_ends_at_its_time(tmp_path: Path) -> None:
    path = write(tmp_path, rpm_bytes(GOOD, key=OLD))
    end = OLD.created + OLD.expires_after
    assert read(path, Verifier([certificate(OLD)], now=end - 1))["name"] == "good"
    with pytest.raises(FetchError):
        read(path, Verifier([certificate(OLD)], now=end))


def test_a_file_that_is_no_key_is_refused() -> None:
    for data in (b"", b"<html>not found</html>", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END"):
        with pytest.raises(FetchError):
            Verifier([data])


def main_header(data: bytes) -> tuple[int, int]:
    def end(start: int) -> int:
        entries, size = struct.unpack_from(">II", data, start + 8)
        return start + 16 + 16 * int(entries) + int(size)

    start = -(-end(96) // 8) * 8
    return start, end(start)


Gpg = Callable[..., bytes]


@contextmanager
def gnupg(home: Path) -> Iterator[Gpg]:
    """Runs gpg with a home of its own; `gpg(*arguments, stdin=…)` gives what it prints."""
    home.mkdir(mode=0o700)

    def gpg(*arguments: str, stdin: bytes | None = None) -> bytes:
        options = ("--homedir", str(home), "--batch", "--passphrase", "")
        return command.run(["gpg", *options, *arguments], stdin=stdin).stdout

    try:
        yield gpg
    finally:
        command.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def fingerprints(gpg: Gpg) -> list[str]:
    names = gpg("--with-colons", "--list-keys").decode().splitlines()
    return [line.split(":")[9] for line in names if line.startswith("fpr:")]


@pytest.mark.needs("gpg")
@pytest.mark.parametrize("algorithm", ["rsa2048", "ed25519"])
def test_a_package_that_a_subkey_has_signed(tmp_path: Path, algorithm: str) -> None:
    with gnupg(tmp_path / "gpg") as gpg:
        gpg("--quick-generate-key", "shop <shop@localhost>", algorithm, "cert", "never")
        (primary,) = fingerprints(gpg)
        gpg("--quick-add-key", primary, algorithm, "sign", "never")
        gpg("--quick-add-key", primary, algorithm, "sign", "never")
        subkeys = fingerprints(gpg)[1:]
        sign = ("--detach-sign", "--digest-algo", "sha256", "--local-user")
        packages = [signed(rpm_bytes(GOOD), lambda data, by=by: gpg(*sign, f"{by}!", stdin=data)) for by in subkeys]
        keys = gpg("--export")
        time.sleep(1.1)  # self-signatures are told apart by seconds
        gpg("--quick-set-expire", primary, "1d", subkeys[1])
        later = Verifier([gpg("--export")], now=NOW + 2 * DAY)
    for data in packages:
        path = write(tmp_path, data)
        assert read(path, Verifier([keys]))["name"] == "good"
        with pytest.raises(FetchError, match="none of its repository's"):
            read(path, verifier(KEY))
        changed = bytearray(data)
        changed[main_header(data)[1] - 2] ^= 1
        with pytest.raises(FetchError, match="damaged or altered"):
            read(write(tmp_path, bytes(changed)), Verifier([keys]))
    assert read(write(tmp_path, packages[0]), later)["name"] == "good"
    with pytest.raises(FetchError, match="which expired on"):
        read(write(tmp_path, packages[1]), later)


@pytest.mark.needs("gpg")
def test_keys_are_read_as_gpg_reads_them(tmp_path: Path) -> None:
    """Expiry that was changed, revocation, subkeys for signing and for other uses."""
    with gnupg(tmp_path / "gpg") as gpg:
        for name, ends in (("plain", "never"), ("ends", "20d"), ("extended", "10d"), ("revoked", "never")):
            gpg("--quick-generate-key", f"{name} <{name}@localhost>", "ed25519", "sign", ends)
        prints = fingerprints(gpg)
        time.sleep(1.1)  # self-signatures are told apart by seconds
        gpg("--quick-set-expire", prints[2], "90d")
        gpg("--quick-add-key", prints[0], "ed25519", "sign", "30d")
        gpg("--quick-add-key", prints[0], "cv25519", "encr", "never")
        revocation = (tmp_path / f"gpg/openpgp-revocs.d/{prints[3]}.rev").read_bytes()
        gpg("--import", stdin=revocation.replace(b":-----BEGIN", b"-----BEGIN"))
        listed = gpg("--with-colons", "--list-keys").decode().splitlines()
        armored, binary = gpg("--export", "--armor"), gpg("--export")
    rows = [line.split(":") for line in listed if line.startswith(("pub:", "sub:"))]
    signing = {(row[4].lower(), row[6], row[1] == "r") for row in rows if row[0] == "pub" or "s" in row[11]}
    assert len(signing) == 5
    for data in (armored, binary):
        assert {(key.key_id, str(key.expires or ""), key.revoked) for key in read_keys(data)} == signing


def test_a_package_with_many_files_passes(tmp_path: Path) -> None:
    package = rpm("many", files={f"/usr/share/many/{number}": file("x") for number in range(3000)})
    header = read(write(tmp_path, rpm_bytes(package, key=KEY)), verifier(KEY))
    assert len(header["BASENAMES"]) == 3000
