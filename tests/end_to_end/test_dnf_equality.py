# SPDX-License-Identifier: GPL-2.0-or-later
"""All of Granite 12, composed and installed by dnf: the same tree but for what RULES say, each with its reason."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rpmtree import command
from tests.end_to_end import granite
from tests.end_to_end.equality import RULES, Entry, Tree, differences, looked_into, scan, text_file
from tests.end_to_end.granite import RPMDB, Image

REF = "granite/12/x86_64/equality"
REPO = "granite"

#: What `rpm -Va --nomtime` may say of the image at run time: path → how, and why.
CHANGED = {
    "/etc/passwd": ("S.5......", "accounts of packages moved to /usr/lib/passwd"),
    "/etc/group": ("S.5......", "accounts of packages moved to /usr/lib/group"),
    "/etc/shadow": ("SM5......", "accounts were added; mode 0"),
    "/etc/gshadow": ("SM5......", "groups were added; mode 0"),
    "/etc/shells": ("S.5......", "shells were added by %post"),
    "/var/log/btmp": ("......G..", "a ghost: made by tmpfiles.d, for group utmp"),
    "/var/log/lastlog": ("......G..", "a ghost: made by tmpfiles.d, for group utmp"),
    "/var/log/wtmp": ("......G..", "a ghost: made by tmpfiles.d, for group utmp"),
    "/var/lib/polkit-1": (".M...U...", "polkit's own tmpfiles.d gives it to polkitd"),
    "/var/lib/selinux/default": (".M.......", "a link leads to the policy's directory in /etc, which everyone reads"),
    "/proc": (".M.......", "the kernel's, with its mode"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The two sides."""

    image: Image
    root: Path
    composed: Tree
    peer: Tree


@pytest.fixture(scope="module")
def pair(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    top = tmp_path_factory.mktemp("granite")
    directory = granite.repositories(distro, top / "tree.d")
    settings = {"ref": REF, "repos": [REPO], "packages": ["*"], "selinux": False, "no-initramfs": True,
                "boot-location": "modules"}  # fmt: skip
    treefile = directory / "all.yaml"
    treefile.write_text(json.dumps(settings))
    image = granite.compose(treefile, top, REF)
    granite.install(image.packages(), directory, REPO, top / "root")
    composed, peer = (scan(path, looked_into) for path in (image.tree, top / "root"))
    composed = replace(composed, texts={**composed.texts, "packages": "\n".join(image.packages())})
    return Pair(image, top / "root", composed, peer)


def test_enough_packages(pair: Pair) -> None:
    assert len(pair.image.packages()) >= 220
    assert len(pair.peer.entries) > 10_000


def test_the_rules_are_few_and_say_why() -> None:
    assert len(RULES) <= 25
    assert len({rule.reason for rule in RULES}) == len(RULES)


def test_the_trees_are_equal(pair: Pair) -> None:
    found = differences(pair.composed, pair.peer, RULES)
    assert not found, "\n".join(found)


def test_every_rule_is_needed(pair: Pair) -> None:
    idle = [rule.reason for rule in RULES
            if not differences(pair.composed, pair.peer, [other for other in RULES if other is not rule])]  # fmt: skip
    assert idle == []


def _planted(tree: Tree, path: str, entry: Entry | None) -> Tree:
    entries = {**tree.entries, path: entry}
    return replace(tree, entries={key: value for key, value in entries.items() if value is not None})


def _with_caps(tree: Tree) -> str:
    return next(path for path, entry in sorted(tree.entries.items()) if entry.xattrs)


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/bash", "/usr/etc/fstab", "/usr/bin/sh", "/usr/lib/systemd", "/usr/lib/passwd", "/usr/etc/shadow",
     "/usr/lib/userdb/daemon.user", "/usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite", "/root", "/boot"],
)  # fmt: skip
def test_a_planted_difference_is_found(pair: Pair, path: str) -> None:
    """The control of the comparison: another content, mode, owner, or none at all, each turns it red."""
    entry = pair.composed.entries[path]
    others = [replace(entry, mode=entry.mode ^ stat.S_IWOTH), replace(entry, uid=entry.uid + 1), None]
    others += [] if entry.is_dir else [replace(entry, content=entry.content[::-1])]
    for other in others:
        found = differences(_planted(pair.composed, path, other), pair.peer, RULES)
        assert [line for line in found if line.startswith(f"{path}: ")], other


def test_a_lost_capability_and_a_lost_directory_of_var_are_found(pair: Pair) -> None:
    path = _with_caps(pair.composed)
    stripped = replace(pair.composed.entries[path], xattrs=())
    assert differences(_planted(pair.composed, path, stripped), pair.peer, RULES)
    assert differences(_planted(pair.composed, "/usr/lib/planted", text_file("")), pair.peer, RULES)
    autovar = "/usr/lib/tmpfiles.d/rpm-ostree-autovar.conf"
    lines = pair.composed.texts[autovar].splitlines(keepends=True)
    dropped = next(line for line in lines if line.startswith("d /var/lib/"))
    texts = {**pair.composed.texts, autovar: "".join(line for line in lines if line != dropped)}
    found = differences(replace(pair.composed, texts=texts), pair.peer, RULES)
    assert any(line.startswith(f"{dropped.split()[1]}: ") for line in found)


def _database(path: Path) -> list[str]:
    argv = ["rpm", f"--dbpath={path}", "-qa", "--qf", "%{NEVRA} %{SHA256HEADER} %{INSTPREFIXES}\n"]
    return sorted(line for line in command.run(argv).stdout.decode().splitlines() if "gpg-pubkey" not in line)


def test_the_rpm_databases_hold_the_same(pair: Pair) -> None:
    ours = _database(pair.image.tree / RPMDB)
    assert ours == _database(pair.root / RPMDB)
    assert len(ours) == len(pair.image.packages())
    assert ours == _database(pair.image.tree / "usr/lib/sysimage/rpm-ostree-base-db")


def test_rpm_of_the_image_works_on_a_read_only_tree(pair: Pair) -> None:
    """WAL mode, a missing macro file or a wrong _dbpath would show here, and only here."""
    assert len(pair.image.run("rpm", "-qa").splitlines()) == len(pair.image.packages())
    assert pair.image.run("rpm", "-qf", "/usr/bin/bash").startswith("bash-")


def test_rpm_verifies_the_image_as_it_runs(pair: Pair) -> None:
    """/var is filled by the image's own systemd-tmpfiles: so its lines are verified along with the tree."""
    script = "systemd-tmpfiles --create --prefix=/var --prefix=/run/media >/dev/null 2>&1; rpm -Va --nomtime"
    lines = pair.image.run("sh", "-c", script, status=1).splitlines()
    found = {line.split()[-1]: line.split()[0] for line in lines}
    assert found == {path: how for path, (how, _) in CHANGED.items() if path in found}
    assert "/etc/passwd" in found  # the control: it does find what differs


def test_rpm_verifies_what_dnf_installed(pair: Pair) -> None:
    """A fault that is in both would be one of the packages: hardlinks without their data, for one."""
    argv = ["rpm", f"--root={pair.root}", f"--dbpath=/{RPMDB}", "-Va", "--nomtime", "--noscripts"]
    lines = command.run(argv, check=False).stdout.decode().splitlines()
    assert {line.split()[-1] for line in lines} <= {*CHANGED, "/var/lib/rpm", "/dev", "/run"}
