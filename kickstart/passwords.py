# SPDX-License-Identifier: GPL-2.0-or-later
"""Hashes of passwords, by the machine's own libcrypt.

The salt is new each time, whatever SOURCE_DATE_EPOCH says: a salt that can be foretold is none.
"""

from __future__ import annotations

import ctypes
from functools import cache

from rpmtree.errors import ToolError
from rpmtree.files import random_name

#: Debian's name (and Fedora's libxcrypt-compat), Fedora's name.
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
#: sizeof(struct crypt_data) in libxcrypt's crypt.h.
_CRYPT_DATA = 32768


def hashed(password: str, salt: str | None = None) -> str:
    """The SHA-512 hash of a password, as crypt(5) writes it. Raises ToolError where there is no libcrypt."""
    library = _libcrypt()
    data = ctypes.create_string_buffer(_CRYPT_DATA)
    found: bytes | None = library.crypt_r(password.encode(), f"$6${salt or random_name()}".encode(), data)
    if not found or found.startswith(b"*"):
        raise ToolError("libcrypt refused to hash a password")
    return found.decode("ascii")


@cache
def _libcrypt() -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.crypt_r.restype = ctypes.c_char_p
        library.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        return library
    hint = "install libcrypt1 (Fedora: libxcrypt), or write the hash: --iscrypted"
    raise ToolError("a password in plain text can't be hashed: libcrypt is not here", hint=hint)
