# SPDX-License-Identifier: GPL-2.0-or-later
"""IMA signatures of a package's files (`rpmsign --signfiles`), which the kernel looks for in an attribute of a file."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from typing import Any

from rpmtree.rpm.package import File

XATTR = b"security.ima"
#: Under this name the attribute is no business of the machine's own IMA until it is in a commit.
UNCHECKED = "user.ima"
#: RPMFILE_CONFIG in rpm's rpmfiles.h.
_CONFIG = 1 << 0
#: Of the attribute's own header: what has no more in it is a placeholder (rpm's plugins/ima.c, check_zero_hdr).
_HEADER = 9


def signatures_of(header: Any, files: Sequence[File]) -> Mapping[str, bytes]:
    """Path → signature for those of `files`, all of an `rpm.hdr`, that get one.

    As rpm has it, files of configuration get none unless they are programs: they are there to be changed. Raises
    ValueError.
    """
    texts = header["FILESIGNATURES"]
    if not texts:
        return {}
    if len(texts) != len(files):
        raise ValueError("the header's columns of files have different lengths")
    found = {}
    for file, text in zip(files, texts, strict=True):
        if not stat.S_ISREG(file.mode) or (file.flags & _CONFIG and not file.mode & 0o111):
            continue
        signature = bytes.fromhex(text.decode() if isinstance(text, bytes) else text)
        if any(signature[:_HEADER]):
            found[file.path] = signature
    return found
