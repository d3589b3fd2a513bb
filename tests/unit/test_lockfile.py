# SPDX-License-Identifier: GPL-2.0-or-later
"""Lockfiles: read, laid over each other, written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from compose import lockfile
from compose.lockfile import Lock, LockedPackage
from rpmtree.errors import ConfigError

DIGEST = "sha256:" + "0" * 64


def given(directory: Path, *texts: str) -> Lock:
    paths = []
    for index, text in enumerate(texts):
        path = directory / f"{index}.{'json' if text.startswith('{') else 'yaml'}"
        path.write_text(text)
        paths.append(path)
    return lockfile.read(paths)


def test_read(tmp_path: Path) -> None:
    lock = given(
        tmp_path,
        json.dumps(
            {
                "packages": {
                    "bash": {"evra": "0:5.2-1.fc36.x86_64", "digest": DIGEST, "metadata": {"sourcerpm": "bash.src"}},
                    "NetworkManager": {"evra": "1:1.40.0-1.fc37.x86_64"},
                    "tzdata": {"evr": "2024a-1"},
                    "python3.11": {"evr": "3-1"},
                },
                "metadata": {
                    "generated": "2022-12-31T00:00:00Z",
                    "rpmmd_repos": {"base": {"generated": "2022-12-31T01:02:03Z"}},
                },
            }
        ),
    )
    assert lock.find("bash", "x86_64") == LockedPackage(
        "bash", "5.2-1.fc36", "x86_64", DIGEST, {"sourcerpm": "bash.src"}
    )
    assert lock.find("NetworkManager", "i686") == LockedPackage("NetworkManager", "1:1.40.0-1.fc37", "x86_64")
    assert lock.find("tzdata", "noarch") == LockedPackage("tzdata", "2024a-1")
    assert lock.find("python3.11", "x86_64") == LockedPackage("python3.11", "3-1")
    assert lock.find("vim", "x86_64") is None


def test_matches() -> None:
    bash = LockedPackage("bash", "5.2-1", "x86_64")
    assert bash.matches("5.2-1", "x86_64")
    assert bash.matches("0:5.2-1", "x86_64")
    assert not bash.matches("1:5.2-1", "x86_64")
    assert not bash.matches("5.2-2", "x86_64")
    assert not bash.matches("5.2-1", "i686")
    assert LockedPackage("bash", "5.2-1").matches("5.2-1", "i686")


def test_two_architectures(tmp_path: Path) -> None:
    text = "packages: {glibc.x86_64: {evra: 2-1.x86_64}, glibc.i686: {evr: 2-2}, a.noarch: {evr: 1-1}}"
    lock = given(tmp_path, text)
    assert lock.find("glibc", "x86_64") == LockedPackage("glibc", "2-1", "x86_64")
    assert lock.find("glibc", "i686") == LockedPackage("glibc", "2-2", "i686")
    assert lock.find("glibc", "aarch64") is None
    assert lock.find("a", "noarch") == LockedPackage("a", "1-1", "noarch")
    # A name without an architecture still holds for all of them.
    other = given(tmp_path, "packages: {glibc: {evra: 2-1.x86_64}}").find("glibc", "i686")
    assert other is not None
    assert not other.matches("2-1", "i686")


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("a: {evr: 1-1}", "a: {evr: 2-1}", {"a": "2-1"}),
        ("a: {evr: 1-1}", "b: {evr: 2-1}", {"a": "1-1", "b": "2-1"}),
        ("a.x86_64: {evr: 1-1}, a.i686: {evr: 1-1}", "a: {evr: 2-1}", {"a": "2-1"}),
        ("a: {evra: 1-1.x86_64}", "a.x86_64: {evr: 2-1}", {"a.x86_64": "2-1"}),
        ("a: {evra: 1-1.x86_64}", "a.i686: {evr: 2-1}", {"a": "1-1", "a.i686": "2-1"}),
        ("a: {evr: 1-1}", "a.i686: {evr: 2-1}", {"a": "1-1", "a.i686": "2-1"}),
    ],
)
def test_later_files_win(tmp_path: Path, first: str, second: str, together: dict[str, str]) -> None:
    lock = given(tmp_path, f"packages: {{{first}}}", "# none\n", f"packages: {{{second}}}")
    assert {key: locked.evr for key, locked in lock.packages.items()} == together


@pytest.mark.parametrize(
    ("good", "bad", "line", "column"),
    [
        ("packages: {a: {evr: 1-1}}", "packages: {a: {evr: 1}}", 1, 21),
        ("packages: {a: {evr: 1-1}}", "packages: {a: {evr: x:1-1}}", 1, 21),
        ("packages: {a: {evr: 1-1}}", "packages: {a: {}}", 1, 15),
        ("packages: {a: {evr: 1-1}}", "packages: {a: {evr: 1-1, evra: 1-1.noarch}}", 1, 15),
        ("packages: {a: {evr: 1-1}}", "packages: {a: {evr: 1-1, more: 1}}", 1, 26),
        ("packages: {a: {evr: 1-1}}", "packages: {../a: {evr: 1-1}}", 1, 12),
        ("packages: {a: {evra: 1-1.noarch}}", "packages: {a: {evra: 1-1.some}}", 1, 22),
        ("packages: {a.i686: {evra: 1-1.i686}}", "packages: {a.i686: {evra: 1-1.x86_64}}", 1, 12),
        (f"packages: {{a: {{evr: 1-1, digest: '{DIGEST}'}}}}", "packages: {a: {evr: 1-1, digest: md5:0}}", 1, 34),
        ("packages: {}", "package: {}", 1, 1),
        ("packages: {}", "packages: []", 1, 11),
        ("packages: {}", "- a", 1, 1),
        ("metadata: {generated: x}", "metadata: {made: x}", 1, 12),
        ("metadata: {rpmmd_repos: {a: {generated: x}}}", "metadata: {rpmmd_repos: {a: {}}}", 1, 29),
    ],
)
def test_refused_with_its_place(tmp_path: Path, good: str, bad: str, line: int, column: int) -> None:
    given(tmp_path, good)
    with pytest.raises(ConfigError) as caught:
        given(tmp_path, bad)
    assert caught.value.place is not None
    assert caught.value.place.file == str(tmp_path / "0.yaml")
    assert (caught.value.place.line, caught.value.place.column) == (line, column)


def test_unknown_fields_are_refused_in_json_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        given(tmp_path, '{"packages": {}, "comment": "x"}')
    with pytest.raises(ConfigError):
        given(tmp_path, '{"packages": {"a": {"evr": "1-1", "comment": "x"}}}')
    assert given(tmp_path, '{"packages": {"a": {"evr": "1-1"}}}').packages


def test_a_large_lock_is_read(tmp_path: Path) -> None:
    text = json.dumps({"packages": {f"p{index}": {"evra": "1-1.noarch", "digest": DIGEST} for index in range(3000)}})
    assert len(given(tmp_path, text).packages) == 3000


def test_written_as_it_is_read(tmp_path: Path) -> None:
    packages = [
        LockedPackage("glibc", "2-1", "x86_64", DIGEST, {"sourcerpm": "glibc-2-1.src.rpm", "other": 1}),
        LockedPackage("glibc", "2-1", "i686"),
        LockedPackage("bash", "1:5-1", "x86_64"),
    ]
    generated = datetime(2026, 8, 3, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    repos = {"b": datetime(2026, 8, 1, 10, 20, 30, tzinfo=UTC)}
    text = lockfile.to_text(packages, generated=generated, repos=repos)
    assert text == lockfile.to_text(packages[::-1], generated=generated - timedelta(minutes=5), repos=repos)
    assert json.loads(text) == {
        "packages": {
            "bash": {"evra": "1:5-1.x86_64"},
            "glibc.i686": {"evra": "2-1.i686"},
            "glibc.x86_64": {
                "evra": "2-1.x86_64",
                "digest": DIGEST,
                "metadata": {"sourcerpm": "glibc-2-1.src.rpm"},
            },
        },
        "metadata": {
            "generated": "2026-08-02T00:00:00Z",
            "rpmmd_repos": {"b": {"generated": "2026-08-01T10:20:30Z"}},
        },
    }
    lock = given(tmp_path, text)
    assert lock.find("glibc", "i686") == packages[1]
    assert lock.find("bash", "x86_64") == packages[2]
