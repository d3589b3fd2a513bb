# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers and SELinux labels where a compose is done in steps: the tree is the one that `compose tree` makes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.end_to_end.shale import REF, Bench, Shale, ostree, run_verb
from tests.support.policies import ATTRIBUTE, expected, labels, policy
from tests.support.rpms import file, rpm

#: In the place of dracut: an initramfs that nobody boots.
DRACUT = '#!/bin/sh\nfor last in "$@"; do :; done\necho image >"$last"\n'
MODULE = "/usr/lib/dracut/modules.d/98ostree/module-setup.sh"
SCRIPT = "cat /usr/share/layered/one >/etc/seen; echo script >/usr/share/layered/two"


@pytest.fixture
def bench(tmp_path: Path, shale: Shale) -> Bench:
    """One with a policy, and two layers in a repository aside: one adds, one replaces what packages and it have."""
    made = Bench(tmp_path / "bench", shale)
    ostree(made.top / "layers", "init", "--mode=archive")
    added = {"share__layered__one": "one", "share__layered__two": "two", "lib__liblayered.so.1": "lib"}
    made.add_layer(made.top / "layers", "demo/added", **added, etc__layered__conf="conf", bin__layered="#!/bin/sh\n")
    made.add_layer(made.top / "layers", "demo/over", bin__greet="#!/bin/sh\necho over\n", share__layered__two="over")
    made.add_repo("more", [policy(), rpm("look", requires=["shell"], post=SCRIPT)])
    made.treefile |= {
        "packages": ["greeter", "kernel", "stone-policy", "look"], "selinux": True, "ostree-layers": ["demo/added"],
        "ostree-override-layers": ["demo/over"], "postprocess": ["#!/bin/sh\ncat /usr/bin/greet >/etc/copied\n"],
    }  # fmt: skip
    return made


def layer_repo(bench: Bench) -> str:
    return f"--layer-repo={bench.top / 'layers'}"


def content(bench: Bench) -> str:
    """What the tree of the branch is, whatever the commit's metadata."""
    found = re.search(r"ContentChecksum:\s+(\w+)", ostree(bench.repo, "show", REF))
    assert found
    return found[1]


def checked_out(bench: Bench) -> Path:
    tree = bench.top / f"tree-{bench.commit()[:12]}"
    ostree(bench.repo, "checkout", "-H", REF, str(tree))
    return tree


def installed(bench: Bench, *options: str) -> Path:
    words = (f"--cachedir={bench.cachedir}", layer_repo(bench), *options, bench.treefile_path, bench.top / "dest")
    run_verb(bench, "install", *words)
    return bench.top / "dest/rootfs"


def committed(bench: Bench, root: Path, *options: str) -> None:
    words = (f"--repo={bench.repo}", f"--cachedir={bench.cachedir}", *options, bench.treefile_path, root)
    run_verb(bench, "commit", *words)
    bench.check()


def files(root: Path) -> dict[str, tuple[object, ...]]:
    """Path → kind, mode, owner and content, of all that is in a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, others in os.walk(root):
        for name in (*names, *others):
            path = Path(directory, name)
            info = path.lstat()
            told = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(root))] = (info.st_mode, info.st_uid, info.st_gid, told)
    return found


def test_layers_and_labels_step_by_step(bench: Bench) -> None:
    bench.compose(layer_repo(bench))
    wanted = content(bench)
    by_tree = labels(checked_out(bench))
    assert bench.cat("/usr/etc/seen") == "one"
    assert bench.cat("/usr/share/layered/two") == "script\n"
    assert bench.cat("/usr/bin/greet") == bench.cat("/usr/etc/copied") == "#!/bin/sh\necho over\n"
    bench.init()
    root = installed(bench)
    assert [(root / path).read_text() for path in ("etc/layered/conf", "etc/seen")] == ["conf", "one"]
    # Labels are the commit's; what a file has where it lies is the machine's own.
    os.setxattr(root / "usr/bin/greet", ATTRIBUTE, b"system_u:object_r:elsewhere_t:s0\0")
    run_verb(bench, "postprocess", root, bench.treefile_path)
    committed(bench, root)
    assert content(bench) == wanted
    found = labels(checked_out(bench))
    assert found == by_tree == expected(bench.top / f"tree-{bench.commit()[:12]}")
    assert found["/usr/bin/layered"][1] == "system_u:object_r:bin_t:s0"
    assert found["/usr/lib/liblayered.so.1"][1] == "system_u:object_r:lib_so_t:s0"
    assert found["/usr/etc/layered/conf"][1] == "system_u:object_r:etc_t:s0"
    assert found["/usr/bin/greet"][1] == "system_u:object_r:greet_exec_t:s0"


def test_the_generic_half_alone_knows_of_the_policy(bench: Bench) -> None:
    """Without a treefile the defaults of all keys hold, and one of them is to label."""
    made = [rpm("dracut", files={"/usr/bin/dracut": file(DRACUT, mode=0o755), MODULE: ""})]
    bench.add_repo("tools", made)
    bench.treefile["repos"] = ["shale", "more", "tools"]
    bench.treefile["packages"] = ["greeter", "kernel", "stone-policy", "look", "dracut"]
    for key in ("no-initramfs", "boot-location"):
        del bench.treefile[key]
    bench.compose(layer_repo(bench))
    before, by_tree = bench.commit(), labels(checked_out(bench))
    root = installed(bench, "--postprocess")
    run_verb(bench, "postprocess", root)
    committed(bench, root)
    assert labels(checked_out(bench)) == by_tree
    assert ostree(bench.repo, "diff", before, REF) == ""


def test_a_plain_root_has_the_layers(bench: Bench) -> None:
    bench.treefile["selinux"] = False
    bench.compose(layer_repo(bench))
    tree = checked_out(bench)
    (tree / "usr/etc").rename(tree / "etc")
    target = bench.top / "root"
    run_verb(bench, "rootfs", f"--cachedir={bench.cachedir}", layer_repo(bench), bench.treefile_path, target)
    assert files(target) == files(tree)
    assert (target / "usr/share/layered/one").read_text() == "one"


def test_layers_of_the_repository_of_a_root(bench: Bench) -> None:
    """As rpm-ostree's hidden option has it: layers and the ids of accounts come from there."""
    bench.treefile["selinux"] = False
    bench.compose(layer_repo(bench))
    words = (f"--cachedir={bench.cachedir}", bench.treefile_path)
    assert "--layer-repo" in run_verb(bench, "rootfs", *words, bench.top / "none", status=3).stderr
    repo = f"--ostree-repo={bench.repo}"
    assert "has no demo/added" in run_verb(bench, "rootfs", repo, *words, bench.top / "none", status=3).stderr
    ostree(bench.repo, "pull-local", str(bench.top / "layers"), "demo/added", "demo/over")
    run_verb(bench, "rootfs", repo, *words, bench.top / "root")  # though nothing has changed since the commit
    assert (bench.top / "root/usr/share/layered/one").read_text() == "one"
    run_verb(bench, "rootfs", "--ostree-repo=/no/where", *words, bench.top / "none", status=8)
    assert not (bench.top / "none").exists()


def test_a_commit_needs_no_layers(bench: Bench) -> None:
    """They are in the root: it may be committed where their repository is not at hand."""
    root = installed(bench)
    run_verb(bench, "postprocess", root, bench.treefile_path)
    (bench.top / "layers").rename(bench.top / "gone")
    committed(bench, root)
    assert bench.cat("/usr/share/layered/one") == "one"


@pytest.mark.parametrize("how", ["treefile", "option", "version"])
def test_choices_of_labels_hold_in_steps(bench: Bench, how: str) -> None:
    options: tuple[str, ...] = ("--disable-selinux",) if how == "option" else ()
    if how == "treefile":
        bench.treefile["selinux"] = False
    if how == "version":
        bench.treefile["selinux-label-version"] = 1
    bench.compose(layer_repo(bench), *options)
    wanted = content(bench)
    bench.init()
    root = installed(bench)
    run_verb(bench, "postprocess", *(["--disable-selinux"] if options else []), root, bench.treefile_path)
    committed(bench, root, *options)
    assert content(bench) == wanted
    found = labels(checked_out(bench))
    assert ({value for _, value in found.values()} == {None}) is (how != "version")
