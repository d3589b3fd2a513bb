# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of a kickstart file that was written, run: who signs the branch, and where the machine finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kickstart.installation import Account, Installation, Source
from kickstart.rendering import Wanted, key_of, render
from rpmtree.command import run
from rpmtree.errors import CommandFailed
from tests.support.gnupg import GnuPg, gnupg

pytestmark = pytest.mark.needs("ostree", "gpg", "base64")
REF = "granite/12/x86_64/server"


@pytest.fixture(scope="module")
def keys() -> Iterator[GnuPg]:
    with gnupg() as found:
        yield found


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The repository of a machine that was installed from a remote `granite`."""
    path = tmp_path / "machine"
    run(["ostree", f"--repo={path}", "init", "--mode=bare-user-only"])
    run(["ostree", f"--repo={path}", "remote", "add", "--no-gpg-verify", "granite", "http://installer.example/"])
    return path


def served(tmp_path: Path, signed_by: GnuPg | None, key: str = "") -> Source:
    """A repository with one commit on a branch."""
    path, tree = tmp_path / "served", tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("stone\n")
    run(["ostree", f"--repo={path}", "init", "--mode=archive"])
    how = [f"--gpg-sign={key}", f"--gpg-homedir={signed_by.home}"] if signed_by else []
    run(["ostree", f"--repo={path}", "commit", f"--branch={REF}", *how, str(tree)])
    return Source(f"file://{path}", REF, "granite", "granite")


def script(text: str, section: str, trusted: Path) -> str:
    """The body of a section, with a directory of the test's own in place of the installer's keys."""
    _, _, rest = text.partition(f"\n{section} --erroronfail\n")
    body, end, _ = rest.partition("\n%end\n")
    assert end
    return body.replace("/usr/share/ostree/trusted.gpg.d", str(trusted))


def shell(body: str, machine: Path) -> None:
    run(["sh", "-c", body], env={"OSTREE_REPO": str(machine)})


def test_the_key_is_trusted_by_installer_and_machine(tmp_path: Path, machine: Path, keys: GnuPg) -> None:
    key = keys.make_key("branch")
    source = served(tmp_path, keys, key)
    text = render(Wanted(Installation(source, root=Account("root")), key=key_of(keys.public_key(key))))
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    pull = ["ostree", f"--repo={machine}", "pull", "installer", REF]
    run(["ostree", f"--repo={machine}", "remote", "add", "--set=gpg-verify=true", "installer", source.url])
    installer = {"OSTREE_GPG_HOME": str(trusted)}
    with pytest.raises(CommandFailed):
        run(pull, env=installer)
    shell(script(text, "%pre", trusted), machine)
    run(pull, env=installer)

    shell(script(text, "%post", trusted), machine)
    run(["ostree", f"--repo={machine}", "pull", "granite", REF])
    assert key[-16:].encode() in run(["ostree", f"--repo={machine}", "remote", "gpg-list-keys", "granite"]).stdout


@pytest.mark.parametrize("signed", [False, True])
def test_another_key_lets_nothing_in(tmp_path: Path, machine: Path, keys: GnuPg, signed: bool) -> None:
    source = served(tmp_path, keys if signed else None, keys.make_key(f"stranger{signed}"))
    other = keys.public_key(keys.make_key(f"other{signed}"))
    text = render(Wanted(Installation(source), key=key_of(other)))
    shell(script(text, "%post", tmp_path), machine)
    with pytest.raises(CommandFailed):
        run(["ostree", f"--repo={machine}", "pull", "granite", REF])


@pytest.mark.parametrize("final", [None, "https://final.example/a;$(touch%20x)&b='c'"])
def test_the_machine_follows_its_remote(tmp_path: Path, machine: Path, final: str | None) -> None:
    source = Source("https://x.example/repo", REF, "granite", "granite", gpg=False)
    text = render(Wanted(Installation(source), final_url=final))
    for _ in range(2):  # a second time changes nothing
        shell(script(text, "%post", tmp_path), machine)
    found = run(["ostree", f"--repo={machine}", "remote", "show-url", "granite"]).stdout.decode().strip()
    assert found == (final or source.url)
    assert "gpg-verify=false" in (machine / "config").read_text()
    assert not list(tmp_path.glob("x*"))
