# SPDX-License-Identifier: GPL-2.0-or-later
"""RSA signing keys for test packages: the few packets of OpenPGP (RFC 4880) that rpm, gpg and dnf read.

`gpg --detach-sign` costs 20–50 ms a package and needs an agent; this costs 2 ms and can make keys and
signatures that gpg refuses to make (expired ones). For tests only: the arithmetic is not constant in time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import secrets
import struct
import time
from dataclasses import dataclass, replace
from pathlib import Path

EXPONENT = 65537
#: DigestInfo of SHA-256 (RFC 8017, 9.2).
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_RSA, _SHA256 = 1, 8
_SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2))]


@dataclass(frozen=True, slots=True)
class Key:
    """An RSA key. `expires_after` is in seconds from `created`, 0 for never.

    The modulus has four primes and not two: the Chinese remainder theorem then makes a signature in 2 ms
    instead of 6, and nobody who verifies can tell.
    """

    primes: tuple[int, ...]
    user_id: str
    created: int
    expires_after: int = 0

    @classmethod
    def generate(
        cls,
        user_id: str = "Strata test key <test@localhost>",
        *,
        created: int | None = None,
        expires_after: int = 0,
        bits: int = 2048,
    ) -> Key:
        """A new key; `created` is in seconds since the epoch, an hour ago by default."""
        primes = tuple(_prime(bits // 4) for _ in range(4))
        return cls(primes, user_id, int(time.time()) - 3600 if created is None else created, expires_after)

    @classmethod
    def load_or_make(cls, path: Path, user_id: str = "Strata test key <test@localhost>") -> Key:
        """The key stored at `path` (JSON, mode 0600), made on first use. Two makers at once agree on one key."""
        if not path.exists():
            key = cls.generate(user_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps({"primes": key.primes, "user_id": user_id, "created": key.created}))
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        stored = json.loads(path.read_text())
        return cls(tuple(stored["primes"]), stored["user_id"], stored["created"])

    @property
    def modulus(self) -> int:
        """The public modulus."""
        return math.prod(self.primes)

    @property
    def fingerprint(self) -> bytes:
        """20 bytes (RFC 4880, 12.2)."""
        return hashlib.sha1(_framed(self._public_body())).digest()

    @property
    def key_id(self) -> str:
        """16 lower-case hexadecimal digits, as rpm prints them."""
        return self.fingerprint[-8:].hex()

    def with_expiry(self, expires_after: int) -> Key:
        """The same key, whose certificate says that it expires."""
        return replace(self, expires_after=expires_after)

    def public_key(self) -> str:
        """The armored certificate: public key, user ID, self-signature."""
        user_id = self.user_id.encode()
        certified = _framed(self._public_body()) + b"\xb4" + struct.pack(">I", len(user_id)) + user_id
        hashed = _subpacket(27, b"\x03") + _subpacket(11, b"\x09") + _subpacket(21, bytes([_SHA256]))
        if self.expires_after:
            hashed += _subpacket(9, struct.pack(">I", self.expires_after))
        signature = self._signature(0x13, certified, self.created, hashed)
        return _armor(_packet(6, self._public_body()) + _packet(13, user_id) + signature)

    def sign(self, data: bytes, *, created: int | None = None, expires_after: int = 0) -> bytes:
        """A detached binary signature packet over `data`; `created` is the key's own creation by default."""
        hashed = _subpacket(3, struct.pack(">I", expires_after)) if expires_after else b""
        return self._signature(0x00, data, self.created if created is None else created, hashed)

    def _public_body(self) -> bytes:
        return struct.pack(">BIB", 4, self.created, _RSA) + _mpi(self.modulus) + _mpi(EXPONENT)

    def _signature(self, kind: int, data: bytes, created: int, extra: bytes) -> bytes:
        hashed = _subpacket(33, b"\x04" + self.fingerprint) + _subpacket(2, struct.pack(">I", created)) + extra
        head = struct.pack(">BBBBH", 4, kind, _RSA, _SHA256, len(hashed)) + hashed
        digest = hashlib.sha256(data + head + b"\x04\xff" + struct.pack(">I", len(head))).digest()
        unhashed = _subpacket(16, self.fingerprint[-8:])
        body = head + struct.pack(">H", len(unhashed)) + unhashed + digest[:2] + _mpi(self._power(digest))
        return _packet(2, body)

    def _power(self, digest: bytes) -> int:
        """RSASSA-PKCS1-v1_5 over a SHA-256 digest."""
        size = (self.modulus.bit_length() + 7) // 8
        info = _SHA256_INFO + digest
        message = int.from_bytes(b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info)
        result, modulus = 0, 1
        for prime in self.primes:
            part = pow(message % prime, pow(EXPONENT, -1, prime - 1), prime)
            result += modulus * ((part - result) * pow(modulus, -1, prime) % prime)
            modulus *= prime
        return result


def _prime(bits: int) -> int:
    """A prime of exactly `bits` bits with its three upper bits set, so that a product of four has the full length.

    rpm 4.20 (sequoia) takes a key of 2047 bits for one of 1024, which it refuses.
    """
    while True:
        candidate = secrets.randbits(bits) | (0b111 << (bits - 3)) | 1
        if all(candidate % small for small in _SMALL_PRIMES) and (candidate - 1) % EXPONENT and _is_prime(candidate):
            return candidate


def _is_prime(number: int) -> bool:
    """Miller-Rabin with 16 random bases."""
    shift = ((number - 1) & -(number - 1)).bit_length() - 1
    odd = (number - 1) >> shift
    for _ in range(16):
        value = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(shift - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def _mpi(number: int) -> bytes:
    return struct.pack(">H", number.bit_length()) + number.to_bytes((number.bit_length() + 7) // 8)


def _framed(body: bytes) -> bytes:
    """A key as signatures and fingerprints hash it."""
    return b"\x99" + struct.pack(">H", len(body)) + body


def _packet(tag: int, body: bytes) -> bytes:
    """An old-format packet with a two-octet length, the form that rpm's own parser reads best."""
    return bytes([0x80 | tag << 2 | 1]) + struct.pack(">H", len(body)) + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _armor(data: bytes) -> str:
    crc = 0xB704CE
    for octet in data:
        crc ^= octet << 16
        for _ in range(8):
            crc = (crc << 1) ^ (0x1864CFB if crc & 0x800000 else 0)
    text = base64.b64encode(data).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    check = "=" + base64.b64encode((crc & 0xFFFFFF).to_bytes(3)).decode()
    begin, end = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
    return "\n".join([begin, "", *lines, check, end, ""])
