# SPDX-License-Identifier: GPL-2.0-or-later
"""`layer remote`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree.errors import ConfigError, StoreError, UsageError
from rpmtree.ostree.sysroot import Sysroot, init_fs
from tests.support.layer import layer
from tests.support.openpgp import Key

pytestmark = pytest.mark.needs("root", "gi:")
URL = "http://127.0.0.1:1/repo"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return init_fs(tmp_path / "sysroot").path


def keyring(path: Path) -> Path:
    return path / "ostree/repo/site.trustedkeys.gpg"


def test_add_show_list_delete(path: Path) -> None:
    done = layer(path, "remote add", "site", URL, "--set=contenturl=http://127.0.0.1:2/", "--set", "proxy=http://x")
    assert (done.status, done.stdout.splitlines()[:3]) == (0, ["name=site", f"url={URL}", "gpg-verify=true"])
    assert layer(path, "remote add", "lab", URL, "--no-gpg-verify", "--json").json["gpg-verify"] is False
    assert layer(path, "remote list").stdout == "lab\nsite\n"
    assert layer(path, "remote list", "-u").stdout == f"lab   {URL}\nsite  {URL}\n"
    assert [remote["name"] for remote in layer(path, "remote list", "--json").json] == ["lab", "site"]
    shown = layer(path, "remote show", "site", "--json").json
    assert (shown["contenturl"], shown["options"]) == ("http://127.0.0.1:2/", {"proxy": "http://x"})
    assert layer(path, "remote delete", "site", "--json").json == {"name": "site", "changed": True}
    assert layer(path, "remote list").stdout == "lab\n"


def test_one_that_is_there(path: Path) -> None:
    layer(path, "remote add", "site", URL)
    assert layer(path, "remote add", "site", f"{URL}2").status == StoreError.exit_code
    assert layer(path, "remote add", "site", f"{URL}2", "--if-not-exists", "--json").json["changed"] is False
    assert layer(path, "remote show", "site", "--json").json["url"] == URL
    assert layer(path, "remote add", "site", f"{URL}2", "--force", "--no-gpg-verify").status == 0
    shown = layer(path, "remote show", "site", "--json").json
    assert (shown["url"], shown["gpg-verify"]) == (f"{URL}2", False)


def test_one_that_is_not_there(path: Path) -> None:
    assert layer(path, "remote show", "site").status == StoreError.exit_code
    assert layer(path, "remote delete", "site").status == StoreError.exit_code
    assert layer(path, "remote delete", "site", "--if-exists", "--json").json["changed"] is False


def test_keys(path: Path, tmp_path: Path, key: Key, other_key: Key) -> None:
    for name, one in (("one", key), ("two", other_key)):
        (tmp_path / name).write_text(one.public_key())
    files = [f"--gpg-import={tmp_path / name}" for name in ("one", "two")]
    assert layer(path, "remote add", "site", URL, *files, "--json").json["keys"] == 2
    assert keyring(path).stat().st_size > 0
    assert layer(path, "remote add", "site", URL, files[0], "--force", "--json").json["keys"] == 0


def test_what_is_no_key_leaves_no_remote(path: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk")
    assert layer(path, "remote add", "site", URL, f"--gpg-import={tmp_path / 'junk'}").status == StoreError.exit_code
    missing = layer(path, "remote add", "site", URL, f"--gpg-import={tmp_path / 'missing'}")
    assert missing.status == ConfigError.exit_code
    assert layer(path, "remote list").stdout == ""
    assert layer(path, "remote add", "site", URL).status == 0


@pytest.mark.parametrize(
    "words",
    [
        ["../x", URL],
        ["site", ""],
        ["site", URL, "--set=proxy"],
        ["site", URL, "--set=proxy=a\nb=c"],
        ["site", URL, "--no-gpg-verify", "--gpg-import=/dev/null"],
        ["site", URL, "--force", "--if-not-exists"],
        ["site"],
    ],
)
def test_refused(path: Path, words: list[str]) -> None:
    assert layer(path, "remote add", *words).status == UsageError.exit_code
    assert layer(path, "remote list").stdout == ""


def test_the_lock(path: Path) -> None:
    with Sysroot.open(path).lock("layer upgrade"):
        assert layer(path, "remote add", "site", URL).status == 75
        assert layer(path, "remote list").status == 0
