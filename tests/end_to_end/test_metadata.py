# SPDX-License-Identifier: GPL-2.0-or-later
"""The metadata of a composed commit, read by GLib as `rpm-ostree db list` and `ostree` read it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.end_to_end.shale import NEWEST, REF, Bench, Shale

#: What each key is to be. Integers are big-endian in the commit, so readers swap the whole dictionary.
TYPES = {
    "version": "s",
    "rpmostree.inputhash": "s",
    "rpmostree.rpmmd-repos": "aa{sv}",
    "rpmostree.advisories": "a(suuasa{sv})",
    "rpmostree.rpmdb.pkglist": "a(sssss)",
    "rpmostree.initramfs-args": "as",
    "ostree.bootable": "b",
    "ostree.linux": "s",
}


def commit_of(bench: Bench) -> Any:
    """The commit object as a GVariant, in the order of bytes that is on disk."""
    import gi

    gi.require_version("OSTree", "1.0")
    from gi.repository import Gio, OSTree

    repo = OSTree.Repo.new(Gio.File.new_for_path(str(bench.repo)))
    repo.open(None)
    return repo.load_commit(bench.commit())[1]


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, shale: Shale) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("metadata") / "bench", shale)
    bench.treefile |= {
        "automatic-version-prefix": "7",
        "initramfs-args": ["--omit=plymouth"],
        "add-commit-metadata": {"com.example.number": 258, "com.example.list": [1, "two", {"three": True}]},
    }
    bench.compose("--add-metadata-string=com.example.string=text")
    return bench


@pytest.fixture(scope="module")
def metadata(composed: Bench) -> Any:
    """The dictionary, swapped to this machine's order of bytes."""
    return commit_of(composed).get_child_value(0).byteswap()


def _types(metadata: Any) -> dict[str, str]:
    entries = (metadata.get_child_value(index) for index in range(metadata.n_children()))
    return {
        entry.get_child_value(0).get_string(): entry.get_child_value(1).get_variant().get_type_string()
        for entry in entries
    }


def test_types(metadata: Any) -> None:
    types = _types(metadata)
    assert {key: types.get(key) for key in TYPES} == TYPES
    added = {"com.example.number": "x", "com.example.list": "av", "com.example.string": "s"}
    ours = {"strata.package-sizes": "at", "strata.boot-size": "t"}
    assert types == {**TYPES, **added, **ours}


def test_the_commit_is_in_normal_form(composed: Bench) -> None:
    commit = commit_of(composed)
    assert commit.is_normal_form()
    assert commit.get_type_string() == "(a{sv}aya(say)sstayay)"
    assert commit.get_child_value(3).get_string() == ""  # subject
    assert commit.get_child_value(4).get_string() == ""  # body


def test_values(metadata: Any) -> None:
    found = metadata.unpack()
    assert found["version"] == "7"
    assert found["ostree.linux"] == "6.0"
    assert found["ostree.bootable"] is True
    assert found["rpmostree.initramfs-args"] == ["--omit=plymouth"]
    assert len(bytes.fromhex(found["rpmostree.inputhash"])) == 32
    assert found["rpmostree.rpmmd-repos"] == [{"id": "shale", "timestamp": NEWEST}]
    assert found["com.example.number"] == 258
    assert found["com.example.list"] == [1, "two", {"three": True}]


def test_package_list_is_as_db_list_reads_it(metadata: Any) -> None:
    rows = metadata.unpack()["rpmostree.rpmdb.pkglist"]
    assert rows == sorted(rows)
    assert ("greeter", "1", "2.0~rc1", "1", "noarch") in rows
    assert ("shell", "0", "5.0", "1", "x86_64") in rows
    assert len(rows) == 7


def test_advisories_are_those_of_packages_in_the_image(composed: Bench, metadata: Any) -> None:
    ((name, kind, severity, packages, extra),) = metadata.unpack()["rpmostree.advisories"]
    assert (name, kind, severity) == ("SHALE-2024-1", 1, 3)  # security, important
    assert packages == ["greeter-1:2.0~rc1-1.noarch"]
    assert extra["cve_references"] == [("urn:cve:CVE-2024-1", "CVE-2024-1"), ("urn:cve:CVE-2024-2", "CVE-2024-2")]


def test_integers_are_big_endian_on_disk(composed: Bench) -> None:
    raw = commit_of(composed).get_child_value(0)
    data = bytes(raw.get_data_as_bytes().get_data())
    assert NEWEST.to_bytes(8, "big") in data
    assert (258).to_bytes(8, "big") in data
    assert NEWEST.to_bytes(8, "little") not in data


def test_timestamp_is_that_of_the_newest_package(composed: Bench) -> None:
    from gi.repository import OSTree

    assert OSTree.commit_get_timestamp(commit_of(composed)) == NEWEST


def test_a_container_is_not_bootable(bench: Bench) -> None:
    bench.treefile = {"ref": REF, "repos": ["shale"], "packages": ["greeter"], "container": True, "recommends": False}
    bench.compose()
    types = _types(commit_of(bench).get_child_value(0))
    assert "ostree.bootable" not in types
    assert "ostree.linux" not in types


def test_the_treefile_in_the_image_is_the_one_composed(composed: Bench) -> None:
    document = json.loads(composed.cat("/usr/share/rpm-ostree/treefile.json"))
    assert document["packages"] == ["greeter", "kernel"]
    assert document["automatic-version-prefix"] == "7"
