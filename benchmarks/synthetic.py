# SPDX-License-Identifier: GPL-2.0-or-later
"""A made-up repository of about a hundred packages, for a run of the benchmarks that needs no distribution.

It shows that the benchmarks work. Its figures are of little meaning: there are few scripts and no links.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

from tests.support.openpgp import Key
from tests.support.rpms import directory, file, lua, make_repo, repo_file, rpm, symlink
from tests.support.rpmvalues import Package

PACKAGES = 98
_FILES = 40
_WORDS = [f"{number:x}" for number in range(1 << 12)]


def make_synthetic(where: Path) -> Path:
    """Write a signed repository and a treefile below `where`; gives the treefile's path."""
    key = Key.load_or_make(where / "key.json")
    make_repo(where / "rpms", [*_base(), *(_package(number) for number in range(PACKAGES))], key=key)
    repo_file(where / "synthetic.repo", "synthetic", where / "rpms", gpgcheck=True, gpgkey=key)
    treefile = where / "synthetic.json"
    packages = [f"package{number}" for number in range(PACKAGES)]
    settings = {"ref": "synthetic/bench", "releasever": "1", "selinux": False, "container": True, "recommends": False}
    treefile.write_text(json.dumps({**settings, "repos": ["synthetic"], "packages": packages}))
    return treefile


def _base() -> list[Package]:
    links = {f"/{name}": symlink(f"usr/{name}") for name in ("bin", "lib", "lib64", "sbin")}
    directories = {path: directory() for path in ("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin", "/var", "/etc")}
    accounts = {"/etc/passwd": file("root:x:0:0:root:/root:/bin/sh\n"), "/etc/group": file("root:x:0:\n")}
    return [rpm("filesystem", files={**links, **directories}), rpm("setup", requires=["filesystem"], files=accounts)]


def _package(number: int) -> Package:
    """Files of 64 bytes to 1 MB, half of them text; a script in every tenth package."""
    chance = random.Random(number)
    files = {}
    for index in range(_FILES):
        size = int(min(64 + chance.lognormvariate(8.5, 1.8), 1e6))
        content = " ".join(chance.choices(_WORDS, k=size // 4)).encode() if index % 2 else chance.randbytes(size)
        files[f"/usr/share/package{number}/{index}"] = file(content)
    package = rpm(f"package{number}", requires=["setup"], files=files)
    return replace(package, scripts={"post": lua("print('installed')")}) if number % 10 == 0 else package
