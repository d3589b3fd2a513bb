# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose kickstart`: options and a treefile become a file, or nothing is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from compose.cli import build_parser
from kickstart import passwords
from kickstart.installation import Account, Installation, Source
from kickstart.reading import read
from rpmtree.app import invoke

HASH = passwords.hashed("stone", "saltstring")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKSVt2xT2oYDkCVcUvkE3wfYLzrE0g1kR5Ul0bS4t2P core@stone"
BRANCH = ("--url=https://x.example/repo", "--ref=granite/12/x86_64/server")


def compose(tmp_path: Path, *words: str) -> int:
    return invoke("compose", build_parser, ["kickstart", "-o", str(tmp_path / "out.ks"), *words], os.environ)


def written(tmp_path: Path, *words: str) -> Installation:
    assert compose(tmp_path, *words) == 0
    return read(tmp_path / "out.ks", basearch="x86_64")[0]


def test_options_become_what_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key.pub").write_text(f"# a remark\n{KEY}\n\n")
    options = (
        *(*BRANCH, "--remote=origin", "--osname=g", "--no-gpg", "--lang=de_DE.UTF-8", "--keyboard=de"),
        *("--timezone=Europe/Berlin", "--hostname=a.example", f"--rootpw-hash={HASH}", "--user=core:wheel,adm"),
        *("--user=b", f"--user-hash=core={HASH}", f"--ssh-key=core={tmp_path}/key.pub"),
        *(f"--ssh-key=root={tmp_path}/key.pub", "--karg=quiet", '--karg=a="b c"', "--enable=x", "--disable=y"),
        "--json",
    )  # fmt: skip
    found = written(tmp_path, *options)
    assert found.source == Source("https://x.example/repo", "granite/12/x86_64/server", "origin", "g", gpg=False)
    assert found.root == Account("root", HASH, keys=(KEY,))
    assert found.users == (Account("core", HASH, groups=("wheel", "adm"), keys=(KEY,)), Account("b"))
    assert (found.lang, found.keyboard, found.timezone) == ("de_DE.UTF-8", "de", "Europe/Berlin")
    assert (found.hostname, found.enabled, found.disabled) == ("a.example", ("x",), ("y",))
    assert found.kernel_arguments == ("quiet", 'a="b c"')
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "file": str(tmp_path / "out.ks"),
        "profile": "metal",
        "for": "F41",
        "ref": "granite/12/x86_64/server",
    }
    assert "log in" not in captured.err
    assert (tmp_path / "out.ks").stat().st_mode & 0o777 == 0o600


def test_what_is_not_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = written(tmp_path, *BRANCH)
    assert found.source == Source("https://x.example/repo", "granite/12/x86_64/server", "granite", "granite")
    assert found.root == Account("root", locked=True)
    assert (found.lang, found.keyboard, found.timezone, found.selinux) == ("en_US.UTF-8", "us", "Etc/UTC", None)
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path}/out.ks\n"
    assert "nobody can log in" in captured.err
    assert (tmp_path / "out.ks").stat().st_mode & 0o777 == 0o644


def test_the_machine_follows_another_repository(tmp_path: Path) -> None:
    [script] = written(tmp_path, *BRANCH, "--final-url=https://y.example/repo").post
    assert script.text.splitlines()[-1].split() == ["ostree", "remote", "add", "granite", "https://y.example/repo"]
    assert script.essential


def test_a_treefile_says_branch_and_target(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "ref: stone/${basearch}\nosname: slate\nselinux: false\ndefault-target: graphical.target\n"
    )
    found = written(tmp_path, f"--treefile={tmp_path}/t.yaml", "--url=https://x.example/repo")
    assert found.source is not None
    assert (found.source.ref.partition("/")[0], found.source.osname) == ("stone", "slate")
    assert found.selinux == "disabled"
    assert "\nxconfig --startxonboot\n" in (tmp_path / "out.ks").read_text()
    (tmp_path / "t.yaml").write_text("ref: stone\ndefault-target: multi-user.target\n")
    found = written(tmp_path, f"--treefile={tmp_path}/t.yaml", *BRANCH, "--osname=g")
    assert found.source is not None
    assert (found.source.ref, found.source.osname, found.selinux) == ("granite/12/x86_64/server", "g", None)
    assert "\nskipx\n" in (tmp_path / "out.ks").read_text()


def test_a_container_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compose(tmp_path, "--container=quay.io/a/b:c", "--for=rhel9", "--profile=vm", "--json") == 0
    assert json.loads(capsys.readouterr().out)["container"] == "quay.io/a/b:c"
    assert "\nostreecontainer --stateroot=default --url=quay.io/a/b:c\n" in (tmp_path / "out.ks").read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--url"),
        (("--url=https://x.example",), "--ref"),
        (("--ref=a",), "--url"),
        ((*BRANCH, "--for=F20"), "F20"),
        ((*BRANCH, "--for=DEVEL"), "DEVEL"),
        ((*BRANCH, "--container=a"), "--container"),
        (("--container=a", "--for=F37"), "ostreecontainer"),
        (("--container=a b",), "--container"),
        (("--container=-a",), "--container"),
        (("--url=ftp://x", "--ref=a"), "--url"),
        (("--url=https://x\nrootpw", "--ref=a"), "--url"),
        (("--url=https://x", "--ref=a b"), "--ref"),
        (("--url=https://x", "--ref=_/../b"), "--ref"),
        ((*BRANCH, "--remote=a b"), "--remote"),
        ((*BRANCH, "--osname=../a"), "--osname"),
        ((*BRANCH, "--final-url=x"), "--final-url"),
        ((*BRANCH, "--lang=de DE"), "--lang"),
        ((*BRANCH, "--keyboard=a/b"), "--keyboard"),
        ((*BRANCH, "--timezone=../x"), "--timezone"),
        ((*BRANCH, "--hostname=a_b"), "--hostname"),
        ((*BRANCH, "--rootpw-hash=secret"), "--rootpw-hash"),
        ((*BRANCH, f"--rootpw-hash={HASH}", "--lock-root"), "--lock-root"),
        ((*BRANCH, f"--rootpw-hash={HASH}", "--profile=cloud"), "cloud"),
        ((*BRANCH, "--user=a:b c"), "--user"),
        ((*BRANCH, "--user=root"), "root"),
        ((*BRANCH, "--user=a", "--user=a:b"), "--user"),
        ((*BRANCH, f"--user-hash=a={HASH}"), "--user-hash"),
        ((*BRANCH, f"--user-hash=root={HASH}"), "--rootpw-hash"),
        ((*BRANCH, "--user=a", "--user-hash=a=secret"), "--user-hash"),
        ((*BRANCH, "--user=a", "--user-hash=a"), "--user-hash"),
        ((*BRANCH, "--user=a", "--ssh-key=b=key.pub"), "--ssh-key"),
        ((*BRANCH, "--karg=a b"), "--karg"),
        ((*BRANCH, '--karg=a="b'), "--karg"),
        ((*BRANCH, "--karg="), "--karg"),
        ((*BRANCH, "--karg=-a"), "begins with -"),
        ((*BRANCH, "--enable=../a"), "--enable"),
        ((*BRANCH, "--enable=a", "--disable=a"), "a is both"),
        ((*BRANCH, "--no-gpg", "--gpg-key=key"), "--gpg-key"),
        ((*BRANCH, "--profile=other"), "--profile"),
    ],
)
def test_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], named: str) -> None:
    assert compose(tmp_path, *words) == 2
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "# nothing\n", "nonsense\n", f"{KEY}\nnonsense\n"])
def test_a_file_without_keys(tmp_path: Path, content: str) -> None:
    (tmp_path / "key.pub").write_text(content)
    assert compose(tmp_path, *BRANCH, "--user=a", f"--ssh-key=a={tmp_path}/key.pub") == 2
    assert not (tmp_path / "out.ks").exists()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert compose(tmp_path, *BRANCH, "--user=a", f"--ssh-key=a={tmp_path}/gone") == 3
    assert compose(tmp_path, *BRANCH, f"--gpg-key={tmp_path}/gone") == 3
    assert compose(tmp_path, *BRANCH, f"--treefile={tmp_path}/gone") == 3
    assert compose(tmp_path / "gone", *BRANCH) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_can_not_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    assert compose(tmp_path, *BRANCH) == 0
    before = (tmp_path / "out.ks").read_bytes()
    assert compose(tmp_path, *BRANCH, "--for=F22") == 2
    assert (tmp_path / "out.ks").read_bytes() == before
    assert compose(tmp_path, *BRANCH, "--hostname=other") == 0
    assert (tmp_path / "out.ks").read_bytes() != before
