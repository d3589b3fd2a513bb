# SPDX-License-Identifier: GPL-2.0-or-later
"""What the direct writer writes, read back by librpm."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import rpm as librpm
import zstandard

from tests.support import rpmvalues
from tests.support.openpgp import Key
from tests.support.rpms import (
    Advisory,
    Package,
    Raw,
    file,
    flip_header,
    flip_payload,
    hardlink,
    lua,
    make_repo,
    rpm,
    script,
    symlink,
    trigger,
    truncate,
    write_rpm,
)
from tests.support.rpmwriter import rpm_bytes

KEY = Key.generate(created=1_600_000_000)
OTHER = Key.generate(created=1_600_000_000)
FULL = rpm(
    "full", version="1.0~rc1", release="2", epoch=3, arch="x86_64",
    files={
        "/usr/bin/full": file("#!/bin/sh\n", mode=0o4755, user="daemon", group="sys", caps="cap_net_raw=ep"),
        "/usr/bin/other": hardlink("/usr/bin/full", mode=0o4755), "/usr/bin/between": "b", "/etc/full": symlink("x"),
        "/etc/full.conf": file("a=1", config="noreplace"), "/var/log/full": file(ghost=True),
        "/usr/share/doc/full": file("d", doc=True), "/usr/share/locale/de/full.mo": file("l", lang="de"),
    },
    requires=["bar >= 1:2-3", "(a if b)"], requires_post=["shadow"], recommends=["w"], supplements=["(x and y)"],
    conflicts=["c < 2"], obsoletes=["o"], enhances=["e"], suggests=["s"],
    pre="true", post=lua("print(1)", "argument"), posttrans=script("echo %{x}", expand=True),
    triggers=[trigger("triggerin", ["bar >= 1", "baz"], "in"), trigger("triggerun", "bar", lua("un")),
              trigger("transfiletriggerin", "/usr/lib", "cat", priority=7)],
)  # fmt: skip


def read(data: bytes, *keys: Key) -> librpm.hdr:
    """The header of an RPM, all digests and signatures checked; raises librpm.error."""
    keyring = librpm.keyring()
    for key in keys:
        keyring.addKey(librpm.pubkey(key.public_key().encode()))
    transaction = librpm.TransactionSet()
    transaction.setVSFlags(0)
    transaction.setKeyring(keyring)
    with os.fdopen(os.memfd_create("rpm"), "wb+") as stream:
        stream.write(data)
        stream.seek(0)
        return transaction.hdrFromFdno(stream.fileno())


def payload(data: bytes) -> bytes:
    """The cpio archive of a package that librpm has accepted."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(data[data.index(b"\x28\xb5\x2f\xfd") :])


@pytest.fixture(scope="module")
def header() -> librpm.hdr:
    return read(rpm_bytes(FULL, key=KEY), KEY)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("nevra", "full-3:1.0~rc1-2.x86_64"),
        ("filecaps", ["", "", "", "cap_net_raw=ep", "", "", "", ""]),
        ("filelangs", ["", "", "", "", "", "", "de", ""]),
        ("fileflags", [0, 17, 0, 0, 0, 2, 0, 64]),
        ("fileusername", ["root", "root", "root", "daemon", "root", "root", "root", "root"]),
        ("conflictnevrs", ["c < 2"]),
        ("obsoletenevrs", ["o"]),
        ("recommendnevrs", ["w"]),
        ("supplementnevrs", ["(x and y)"]),
        ("enhancenevrs", ["e"]),
        ("suggestnevrs", ["s"]),
        ("providenevrs", ["full = 3:1.0~rc1-2", "full(x86-64) = 3:1.0~rc1-2"]),
        ("prein", "true"),
        ("postinprog", ["<lua>", "argument"]),
        ("posttransflags", rpmvalues.EXPAND),
        ("triggername", ["bar", "baz", "bar"]),
        ("triggerindex", [0, 0, 1]),
        ("triggerscriptprog", ["/bin/sh", "<lua>"]),
        ("transfiletriggername", ["/usr/lib"]),
        ("transfiletriggerpriorities", [7]),
    ],
)
def test_tags(header: librpm.hdr, tag: str, expected: object) -> None:
    assert header[tag] == expected


@pytest.mark.parametrize(
    "requirement",
    ["bar >= 1:2-3", "(a if b)", "shadow", *(f"rpmlib({name}) <= {version}" for name, version in {
        "FileCaps": "4.6.1-1", "TildeInVersions": "4.10.0-1", "RichDependencies": "4.12.0-1",
        "BuiltinLuaScripts": "4.2.2-1", "PayloadIsZstd": "5.4.18-1", "ScriptletExpansion": "4.9.0-1"}.items())],
)  # fmt: skip
def test_requires(header: librpm.hdr, requirement: str) -> None:
    assert requirement in header["requirenevrs"]


def test_tag_numbers_are_librpms() -> None:
    numbers = {
        f"{kind.removesuffix('s').upper()}{part}": number
        for kind, tags in rpmvalues.RELATIONS.items()
        for part, number in zip(("NAME", "VERSION", "FLAGS"), tags, strict=True)
    }
    assert {name: getattr(librpm, f"RPMTAG_{name}") for name in numbers} == numbers


def test_hardlinks_are_adjacent_and_the_last_one_has_the_data() -> None:
    archive = payload(rpm_bytes(FULL))
    first, last = archive.index(b"./usr/bin/full\0"), archive.index(b"./usr/bin/other\0")
    assert b"./usr/bin/between" not in archive[first:last]
    assert b"#!/bin/sh\n" not in archive[first:last]
    assert archive[last:].split(b"070701")[0].rstrip(b"\0").endswith(b"#!/bin/sh\n")


def test_ghosts_are_in_the_header_alone() -> None:
    data = rpm_bytes(FULL)
    assert "/var/log/full" in read(data)["filenames"]
    assert b"var/log/full" not in payload(data)


@pytest.mark.parametrize("compression", ["zstd", "gzip", "xz", "none"])
def test_compressions(compression: str) -> None:
    found = read(rpm_bytes(rpm("a", files={"/a": "text"}, compression=compression)))
    assert found["payloadcompressor"] == compression.replace("none", "gzip")


def test_a_signature_is_of_the_key_that_made_it() -> None:
    data = rpm_bytes(FULL, key=KEY)
    assert read(data, KEY)["rsaheader"]
    with pytest.raises(librpm.error, match="not available"):
        read(data, OTHER)


def test_unsigned_packages_have_no_signature_tag() -> None:
    assert not read(rpm_bytes(FULL), KEY)["rsaheader"]


def test_a_key_that_is_stored_is_the_same_when_read_again(tmp_path: Path) -> None:
    made = Key.load_or_make(tmp_path / "a/key.json")
    assert Key.load_or_make(tmp_path / "a/key.json") == made
    assert stat.S_IMODE((tmp_path / "a/key.json").stat().st_mode) == 0o600


def test_a_flipped_header_is_refused(tmp_path: Path) -> None:
    path = write_rpm(tmp_path, FULL, key=KEY)
    read(path.read_bytes(), KEY)
    flip_header(path)
    with pytest.raises(librpm.error):
        read(path.read_bytes(), KEY)


@pytest.mark.parametrize("damage", [flip_payload, lambda path: truncate(path, 10)])
def test_a_damaged_payload_has_another_digest(tmp_path: Path, damage: Any) -> None:
    path = write_rpm(tmp_path, FULL)

    def digest_fits() -> bool:
        data = path.read_bytes()
        compressed = data[data.index(b"\x28\xb5\x2f\xfd") :]
        return [hashlib.sha256(compressed).hexdigest()] == list(read(data)["payloaddigest"])

    assert digest_fits()
    damage(path)
    assert not digest_fits()


@pytest.mark.parametrize(
    ("raw", "needle"),
    [
        (Raw(names={"/a": b"./../../etc/passwd"}), b"./../../etc/passwd\0"),
        (Raw(names={"/a": b"/etc/pass\0wd"}), b"/etc/pass\0wd\0"),
        (Raw(contents={"/a": b"something else"}), b"something else"),
        (Raw(last=((b"./extra", 0o100644, b"extra data"),)), b"extra data"),
        (Raw(first=((b"./link", 0o120777, b"/etc"),)), b"./link\0"),
    ],
)
def test_raw_overrides_reach_the_payload_and_digests_fit(raw: Raw, needle: bytes) -> None:
    data = rpm_bytes(rpm("a", files={"/a": "text"}, raw=raw))
    assert needle in payload(data)
    assert needle not in payload(rpm_bytes(rpm("a", files={"/a": "text"})))
    assert read(data)["payloaddigestalt"][0] == hashlib.sha256(payload(data)).hexdigest()


def test_omitted_paths_are_missing_from_the_payload() -> None:
    assert b"./a\0" not in payload(rpm_bytes(rpm("a", files={"/a": "text"}, raw=Raw(omit=frozenset({"/a"})))))


def test_header_tags_can_be_replaced_and_removed() -> None:
    raw = Raw(header={1000: (6, "other"), 1028: None})
    found = read(rpm_bytes(rpm("a", files={"/a": "text"}, raw=raw)))
    assert (found["name"], found["filesizes"]) == ("other", [])


def test_an_unknown_keyword_is_an_error() -> None:
    with pytest.raises(TypeError, match="postin"):
        rpm("a", postin="true")


def test_a_repository_lists_its_packages_groups_and_advisories(tmp_path: Path) -> None:
    import createrepo_c as cr

    packages: list[Package] = [rpm(f"p{number}", files={f"/usr/p{number}": "text"}) for number in range(10)]
    where = make_repo(tmp_path / "repo", packages, groups={"core": ["p1"]}, advisories=[Advisory("T-1", ("p2",))])
    metadata = cr.Metadata()
    metadata.locate_and_load_xml(str(where))
    assert sorted(metadata.get(key).name for key in metadata.keys()) == sorted(p.name for p in packages)  # noqa: SIM118
    assert {record.type for record in cr.Repomd(str(where / "repodata/repomd.xml")).records} == {
        "primary", "filelists", "other", "group", "updateinfo",
    }  # fmt: skip
    assert "p2-1.0-1.noarch.rpm" in next(where.glob("repodata/*updateinfo.xml")).read_text()


def test_writing_is_reproducible() -> None:
    assert rpm_bytes(FULL, key=KEY) == rpm_bytes(FULL, key=KEY)


def test_no_part_of_a_big_file_is_lost() -> None:
    content = os.urandom(3_000_001)
    assert content in io.BytesIO(payload(rpm_bytes(rpm("a", files={"/a": file(content)})))).read()
