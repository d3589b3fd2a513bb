# SPDX-License-Identifier: GPL-2.0-or-later
"""Made-up metadata of a repository as large as a big distribution's, and an older base beside it.

    python -m benchmarks.bigrepo DIRECTORY [PACKAGES]

There are no packages behind it. Names, sonames, file lists and texts are of usual lengths; each package needs a few
others, popular ones more often, so that an installation pulls in some dozens. The same arguments give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rpmtree.rpm.database import write_database
from rpmtree.rpm.signatures import Verifier
from tests.support.rpms import Package, rpm, write_rpm

PACKAGES = 60_000
#: How many of the first packages are in the base, and how many of those have an update.
BASE, UPDATED = 320, 120
_EPOCH = 1_700_000_000
_SYLLABLES = re.findall("..", "bacedifogulameniporusatevixozukaploshrem")
_WORDS = re.findall(
    r"\w+",
    "library tool framework editor documentation network daemon client server plugin parser image audio video font "
    "language bindings headers development utilities support common data theme console graphical fast simple",
)
_KINDS = ("", "-libs", "-devel", "-doc", "-common", "-utils", "-data", "-plugins")
_PARENTS = {"primary": "metadata", "filelists": "filelists"}
_SPACES = {
    "primary": 'xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
    "filelists": 'xmlns="http://linux.duke.edu/metadata/filelists"',
}
_FORMAT = """<package type="rpm"><name>{name}</name><arch>{arch}</arch>
<version epoch="0" ver="{version}" rel="{release}"/><checksum type="sha256" pkgid="YES">{pkgid}</checksum>
<summary>{summary}</summary><description>{description}</description>
<packager>Nobody &lt;nobody@localhost&gt;</packager><url>http://localhost/{name}</url>
<time file="{time}" build="{time}"/><size package="{size}" installed="{installed}" archive="{installed}"/>
<location href="Packages/{name}-{version}-{release}.{arch}.rpm"/><format><rpm:license>MIT</rpm:license>
<rpm:vendor>Strata</rpm:vendor><rpm:group>Unspecified</rpm:group><rpm:buildhost>localhost</rpm:buildhost>
<rpm:sourcerpm>{source}-{version}-{release}.src.rpm</rpm:sourcerpm><rpm:header-range start="4504" end="{headers}"/>
<rpm:provides>{provides}</rpm:provides><rpm:requires>{requires}</rpm:requires>{files}</format></package>
"""


@dataclass(frozen=True, slots=True)
class Made:
    """One made-up package."""

    name: str
    version: str
    release: str
    arch: str
    source: str
    summary: str
    description: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    files: tuple[str, ...]
    size: int


def packages(count: int = PACKAGES) -> list[Made]:
    """The packages; later ones need earlier ones."""
    chance = random.Random(count)
    names: list[str] = []
    taken: set[str] = set()
    while len(names) < count:
        stem = "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4)))
        stem = chance.choice(("", "", "lib", "python3-", "perl-", "rust-")) + stem
        for kind in _KINDS[: chance.randint(1, len(_KINDS))]:
            if stem + kind not in taken and len(names) < count:
                taken.add(stem + kind)
                names.append(stem + kind)
    return [_made(number, names, random.Random(number)) for number in range(count)]


def _made(number: int, names: Sequence[str], chance: random.Random) -> Made:
    name = names[number]
    needed = sorted({int(number * chance.random() ** 3) for _ in range(chance.randint(1, 5))} - {number})
    requires = [names[one] for one in needed[::2]]
    requires += [f"lib{names[one]}.so.1()(64bit)" for one in needed[1::2]]
    if number > BASE:
        requires += ["/bin/sh"] * (chance.random() < 0.4)
    words = chance.choices(_WORDS, k=5)
    return Made(
        name,
        f"{chance.randint(0, 30)}.{chance.randint(0, 20)}",
        "2",
        "noarch" if chance.random() < 0.3 else "x86_64",
        name.partition("-")[0],
        f"A {' '.join(words[:3])} for {' '.join(words[3:])}".capitalize(),
        f"{name} is a {' '.join(chance.choices(_WORDS, k=60))}.",
        (f"lib{name}.so.1()(64bit)", f"{name}(x86-64)"),
        tuple(requires),
        tuple(_files(number, name, chance)),
        int(min(2000 + chance.lognormvariate(10.5, 1.6), 3e8)),
    )


def _files(number: int, name: str, chance: random.Random) -> Iterator[str]:
    if number == 0:
        yield "/bin/sh"
    yield f"/usr/bin/{name}"
    yield f"/usr/lib64/lib{name}.so.1"
    for _ in range(chance.randint(4, 12)):
        word, other = chance.choices(_WORDS, k=2)
        yield f"/usr/share/{name}/{word}/{other}-{chance.randint(0, 999)}.{chance.choice(('py', 'h', 'png', 'txt'))}"


def make_big(where: Path, count: int = PACKAGES) -> Path:
    """Write `where`/repodata; gives `where`."""
    made = packages(count)
    repodata = where / "repodata"
    repodata.mkdir(parents=True, exist_ok=True)
    parts = [_write(repodata, kind, made, form) for kind, form in (("primary", _primary), ("filelists", _filelists))]
    spaces = 'xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm"'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<repomd {spaces}>\n<revision>{_EPOCH}</revision>\n'
    (repodata / "repomd.xml").write_text("\n".join([text, *parts, "</repomd>", ""]))
    return where


def _write(repodata: Path, kind: str, made: Sequence[Made], form: Callable[[Made], str]) -> str:
    """Write one file of metadata; gives what repomd.xml says of it."""
    path = repodata / f"{kind}.xml.gz"
    parent = _PARENTS[kind]
    whole, size = hashlib.sha256(), 0
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed:
        out: IO[bytes] = io.BufferedWriter(packed, 1 << 20)
        begin = f'<?xml version="1.0" encoding="UTF-8"?>\n<{parent} {_SPACES[kind]} packages="{len(made)}">\n'
        for text in (begin, *map(form, made), f"</{parent}>\n"):
            data = text.encode()
            whole.update(data)
            size += len(data)
            out.write(data)
        out.flush()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        f'<data type="{kind}"><checksum type="sha256">{digest}</checksum>'
        f'<open-checksum type="sha256">{whole.hexdigest()}</open-checksum><location href="repodata/{kind}.xml.gz"/>'
        f"<timestamp>{_EPOCH}</timestamp><size>{path.stat().st_size}</size><open-size>{size}</open-size></data>"
    )


def _pkgid(one: Made) -> str:
    return hashlib.sha256(f"{one.name}-{one.version}-{one.release}".encode()).hexdigest()


def _primary(one: Made) -> str:
    full = f'<rpm:entry name="{one.name}" flags="EQ" epoch="0" ver="{one.version}" rel="{one.release}"/>'
    short = [path for path in one.files if path.startswith(("/bin/", "/etc/", "/usr/bin/"))]
    return _FORMAT.format(
        name=one.name,
        arch=one.arch,
        version=one.version,
        release=one.release,
        pkgid=_pkgid(one),
        summary=one.summary,
        description=one.description,
        time=_EPOCH,
        size=one.size,
        installed=one.size * 3,
        source=one.source,
        headers=5000 + len(one.files) * 120,
        provides=full + "".join(f'<rpm:entry name="{text}"/>' for text in one.provides),
        requires="".join(f'<rpm:entry name="{text}"/>' for text in one.requires),
        files="".join(f"<file>{path}</file>" for path in short),
    )


def _filelists(one: Made) -> str:
    files = "".join(f"<file>{path}</file>" for path in one.files)
    version = f'<version epoch="0" ver="{one.version}" rel="{one.release}"/>'
    return f'<package pkgid="{_pkgid(one)}" name="{one.name}" arch="{one.arch}">{version}{files}</package>\n'


def make_base(directory: Path, work: Path, count: int = PACKAGES) -> Path:
    """Write the rpm database of a base, the first packages in part in an older build, as the new `directory`."""
    headers = []
    work.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(packages(count)[:BASE]):
        path = write_rpm(work, _built(one, "1" if number < UPDATED else one.release))
        with open(path, "rb") as opened:
            headers.append(Verifier([]).read_header(opened.fileno(), name=path.name, gpgcheck=False).unload())
        path.unlink()
    directory.parent.mkdir(parents=True, exist_ok=True)
    write_database(headers, directory, source_date_epoch=_EPOCH)
    return directory


def _built(one: Made, release: str) -> Package:
    return rpm(
        one.name,
        version=one.version,
        release=release,
        arch=one.arch,
        summary=one.summary,
        provides=list(one.provides),
        requires=list(one.requires),
        files=dict.fromkeys(one.files, ""),
    )


if __name__ == "__main__":
    make_big(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
