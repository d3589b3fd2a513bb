# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's archive, by apt with a state directory of its own: verified indexes, resolution, download.

The mirror's address is the one that this machine's apt already uses; no address is written here. Signatures
of all suites are checked with the archive's keyring. Which versions are wanted is `tests.distro.lock`'s.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
Stanza = dict[str, str]


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Where this machine gets Debian from, and its security updates."""

    main: str
    security: str


def mirrors(etc: Path = Path("/etc/apt")) -> Mirrors:
    """From apt's sources, in both of their formats. Without a security entry the main mirror's sibling is taken."""
    found: dict[bool, str] = {}
    for uri, suite in sources(etc):
        is_security = "-security" in suite
        if re.fullmatch(r"[a-z]+(-security|/updates)?", suite) and "debian" in uri:
            found.setdefault(is_security, uri.rstrip("/"))
    if False not in found:
        raise SystemExit("apt on this machine has no entry for Debian's main archive: add one to /etc/apt/sources.list")
    main = found[False]
    return Mirrors(main, found.get(True, re.sub(r"debian$", "debian-security", main)))


def sources(etc: Path) -> Iterator[tuple[str, str]]:
    """Every (URI, suite) pair that apt is told of."""
    for path in sorted([etc / "sources.list", *etc.glob("sources.list.d/*.list")]):
        for line in path.read_text().splitlines() if path.exists() else []:
            match = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+", line + " ")
            if match:
                yield match[1], match[2]
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in stanzas(re.sub(r"(?m)^#.*\n", "", path.read_text())):
            if stanza.get("Types", "").split()[:1] == ["deb"] and stanza.get("Enabled", "yes") != "no":
                for uri in stanza.get("URIs", "").split():
                    for suite in stanza.get("Suites", "").split():
                        yield uri, suite


def stanzas(text: str) -> Iterator[Stanza]:
    """Paragraphs of a control file, as field → value; continuation lines keep their newlines."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields: Stanza = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in " \t":
                fields[name] += "\n" + line[1:]
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            yield fields


class Archive:
    """One suite of Debian with its updates, security updates and backports, seen through apt."""

    def __init__(self, suite: str, state: Path) -> None:
        self.suite = suite
        self.state = state.absolute()

    def update(self) -> None:
        """Fetch the indexes and check their signatures."""
        for name in ("lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        here = mirrors()
        lines = [
            f"deb [signed-by={KEYRING}] {uri} {suite} main"
            for uri, suite in (
                (here.main, self.suite),
                (here.main, f"{self.suite}-updates"),
                (here.main, f"{self.suite}-backports"),
                (here.security, f"{self.suite}-security"),
            )
        ]
        (self.state / "etc/sources.list").write_text("\n".join([*lines, ""]))
        self._apt("update")

    def versions(self, names: Container[str]) -> list[tuple[str, Stanza]]:
        """(kind, stanza) of each version of the packages `names`; kind is main, updates, backports or security."""
        found = []
        for path in sorted((self.state / "lists").glob("*_Packages")):
            match = re.search(rf"_dists_{self.suite}(?:-([a-z]+))?_", path.name)
            for paragraph in path.read_text().split("\n\n"):
                if paragraph[9 : paragraph.find("\n")] in names:  # after "Package: "
                    found += [((match and match[1]) or "main", stanza) for stanza in stanzas(paragraph)]
        return found

    def closure(self, names: Sequence[str]) -> list[str]:
        """Names of all packages that installing `names` into an empty system takes, by apt's resolver."""
        output = self._apt("-s", "-y", "--no-install-recommends", "install", *names)
        return sorted(set(re.findall(r"(?m)^Inst (\S+)", output)))

    def download(self, wanted: Iterable[Stanza], where: Path) -> None:
        """Fetch .debs into `where`; those already there with the right SHA-256 are left."""
        where.mkdir(parents=True, exist_ok=True)
        missing = [stanza for stanza in wanted if not _is_there(deb_path(where, stanza), stanza)]
        for start in range(0, len(missing), 200):
            some = missing[start : start + 200]
            self._apt("download", *(f"{stanza['Package']}={stanza['Version']}" for stanza in some), cwd=where)
        for stanza in missing:
            if not _is_there(deb_path(where, stanza), stanza):
                raise SystemExit(f"{deb_path(where, stanza)} is not what the archive's index says")

    def _apt(self, *arguments: str, cwd: Path | None = None) -> str:
        options = {
            "Dir::State": self.state,
            "Dir::State::Lists": self.state / "lists",
            "Dir::State::Status": self.state / "status",
            "Dir::Cache": self.state / "cache",
            "Dir::Etc::SourceList": self.state / "etc/sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": self.state / "etc/preferences.d",
            "Acquire::GzipIndexes": "false",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Update::Post-Invoke": "",
            "Debug::NoLocking": "true",
        }
        argv = ["apt-get", "-q", *(item for key, value in options.items() for item in ("-o", f"{key}={value}"))]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            [*argv, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"apt-get {arguments[0]} failed:\n{done.stderr.strip()[-2000:]}")
        return done.stdout


def deb_path(where: Path, stanza: Stanza) -> Path:
    """Where apt-get download puts a package."""
    version = stanza["Version"].replace(":", "%3a")
    return where / f"{stanza['Package']}_{version}_{stanza['Architecture']}.deb"


def _is_there(path: Path, stanza: Stanza) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == stanza["SHA256"]
