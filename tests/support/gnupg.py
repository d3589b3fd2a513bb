# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of a real gpg, in a home directory of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rpmtree.command import run


@dataclass(frozen=True)
class GnuPg:
    """gpg with the home directory `home`."""

    home: Path

    def make_key(self, name: str) -> str:
        """A key that needs no passphrase; gives its fingerprint."""
        self.gpg("--passphrase", "", "--quick-gen-key", f"{name} <{name}@localhost>", "rsa2048", "sign", "never")
        lines = self.gpg("--with-colons", "--list-keys", "--", f"{name}@localhost").decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr:"))

    def public_key(self, key: str) -> bytes:
        return self.gpg("--armor", "--export", "--", key)

    def gpg(self, *arguments: str) -> bytes:
        return run(["gpg", f"--homedir={self.home}", "--batch", "--no-tty", *arguments]).stdout


@contextmanager
def gnupg() -> Iterator[GnuPg]:
    """An empty home, with a short path, since the agent's socket may be below it; the agent ends with the body."""
    with TemporaryDirectory(prefix="strata-gpg-", ignore_cleanup_errors=True) as home:
        try:
            yield GnuPg(Path(home))
        finally:
            run(["gpgconf", f"--homedir={home}", "--kill", "all"], check=False)
