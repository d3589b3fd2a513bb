# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux labels of what is composed, and of what is layered on that: for each path those of the policy in the tree."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rpmtree.ostree.sysroot import Sysroot, init_fs
from tests.end_to_end import granite
from tests.end_to_end.granite import Image
from tests.end_to_end.shale import COMPOSE, REF, Bench, Shale, ostree
from tests.support.policies import CONTEXTS, expected, label_as_a_kernel, labels, policy
from tests.support.rpms import Package, directory, file, make_repo, rpm, symlink
from tests.support.sysroots import make_mutable

GREET = "system_u:object_r:greet_exec_t:s0"
OTHER = CONTEXTS.replace("greet_exec_t", "hello_exec_t")


@pytest.fixture
def bench(tmp_path: Path, shale: Shale) -> Bench:
    """One whose treefile takes a policy, and labels."""
    made = Bench(tmp_path / "bench", shale)
    made.treefile |= {"packages": ["greeter", "kernel", "stone-policy"], "selinux": True}
    return made


def local_rules(type_: str) -> str:
    """A script that adds rules to the policy: one, and one for a path that the policy names itself.

    Which counts of the latter two is libselinux's to say: the local one, but with 3.8.
    """
    rules = (f"echo '/usr/bin/{name} -- system_u:object_r:{type_}:s0'" for name in ("greet-root", "greet"))
    return f"{{ {'; '.join(rules)}; }} >/etc/selinux/stone/contexts/files/file_contexts.local"


def tree_of(bench: Bench) -> Path:
    """The newest commit as files."""
    return checked_out(bench.repo, bench.commit(), bench.top)


def checked_out(repo: Path, commit: str, top: Path) -> Path:
    tree = top / f"tree-{commit[:12]}"
    if not tree.exists():
        ostree(repo, "checkout", "-H", commit, str(tree))
    return tree


def label(bench: Bench, path: str) -> str | None:
    return labels(tree_of(bench))[path][1]


def test_every_path_has_the_label_of_the_policy_in_the_tree(bench: Bench) -> None:
    bench.add_repo("policy", [policy()])
    bench.compose()
    tree = tree_of(bench)
    found, wanted = labels(tree), expected(tree)
    assert found == wanted
    bench.check()
    by_path = {path: value for path, (_, value) in found.items()}
    assert by_path["/usr/bin/greet"] == GREET
    assert by_path["/usr/lib/libstone.so.3"] == "system_u:object_r:lib_link_t:s0"
    assert by_path["/usr/lib/libstone.so.3.1"] == "system_u:object_r:lib_so_t:s0"
    assert by_path["/usr/share/greeter"] == "system_u:object_r:greeter_dir_t:s0"
    # Two names of one file in the package.
    assert by_path["/usr/share/greeter/words"] == "system_u:object_r:usr_t:s0"
    assert by_path["/usr/share/greeter/phrases"] == "system_u:object_r:phrases_t:s0"
    # Made by a script, and by finishing steps.
    assert by_path["/usr/etc/greeter.made"] == "system_u:object_r:greeter_etc_t:s0"
    assert by_path["/usr/share/rpm-ostree/treefile.json"] == "system_u:object_r:usr_t:s0"
    assert by_path["/usr/share/rpm/rpmdb.sqlite"] == "system_u:object_r:usr_t:s0"
    assert by_path["/home"] == "system_u:object_r:home_link_t:s0"
    assert by_path["/sysroot"] is None
    assert by_path["/"] == "system_u:object_r:root_t:s0"
    capability = ostree(bench.repo, "ls", "-X", REF, "/usr/bin/greet")
    assert "security.capability" in capability
    assert "security.selinux" in capability


def test_what_a_script_does_to_the_policy_counts(bench: Bench) -> None:
    bench.add_repo("policy", [policy(requires_pre=["shell"], post=local_rules("by_script_t"))])
    bench.compose()
    assert labels(tree_of(bench)) == expected(tree_of(bench))
    assert label(bench, "/usr/bin/greet-root") == "system_u:object_r:by_script_t:s0"


def test_aliases(bench: Bench) -> None:
    bench.add_repo("policy", [policy()])
    bench.compose()
    lines = bench.cat("/usr/etc/selinux/stone/contexts/files/file_contexts.subs_dist").splitlines()
    assert lines == [
        "/usr/etc/systemd/system /usr/lib/systemd/system",
        "/run /var/run",
        "/etc/systemd/system /usr/lib/systemd/system",
        "#/var/home /home",
        "/home /var/home",
        "/usr/etc /etc",
        "/usr/lib/opt /opt",
        "/usr/etc/systemd/system /usr/lib/systemd/system",
    ]
    assert label(bench, "/usr/etc") == "system_u:object_r:etc_t:s0"


@pytest.mark.parametrize(("version", "type_"), [(0, "usr_t"), (1, "etc_t")])
def test_label_version(bench: Bench, version: int, type_: str) -> None:
    bench.add_repo("policy", [policy(aliases=None)])
    bench.treefile["selinux-label-version"] = version
    bench.compose()
    tree = tree_of(bench)
    assert labels(tree) == expected(tree, version=version)
    assert labels(tree) != expected(tree, version=1 - version)
    assert label(bench, "/usr/etc/nsswitch.conf") == f"system_u:object_r:{type_}:s0"


@pytest.mark.parametrize("how", ["treefile", "option", "disabled", "no policy"])
def test_no_labels(bench: Bench, how: str) -> None:
    bench.add_repo("policy", [policy(mode="disabled" if how == "disabled" else "enforcing")])
    if how == "treefile":
        bench.treefile["selinux"] = False
    elif how == "no policy":
        bench.treefile["packages"] = ["greeter", "kernel"]
    bench.compose(*(["--disable-selinux"] if how == "option" else []))
    assert {value for _, value in labels(tree_of(bench)).values()} == {None}
    assert not (bench.cachedir / "pkgcache-repo/strata-labels").exists()
    if how != "no policy":
        assert "/usr/etc /etc" not in bench.cat("/usr/etc/selinux/stone/contexts/files/file_contexts.subs_dist")


def test_again(bench: Bench) -> None:
    bench.add_repo("policy", [policy()])
    bench.compose("--no-parent")
    first, cached = bench.commit(), cache(bench)
    assert "No apparent changes" in bench.compose().stdout
    bench.compose("--force-nocache", "--no-parent")
    assert (bench.commit(), cache(bench)) == (first, cached)
    # Without what was noted, and without the cache: the same.
    shutil.rmtree(bench.cachedir / "pkgcache-repo/strata-labels")
    bench.compose("--force-nocache", "--no-parent")
    assert bench.commit() == first
    bench.compose("--force-nocache", "--no-parent", cached=False)
    assert bench.commit() == first


def cache(bench: Bench) -> frozenset[str]:
    """The content objects of the package cache."""
    objects = bench.cachedir / "pkgcache-repo/objects"
    return frozenset(f"{path.parent.name}{path.stem}" for path in objects.glob("*/*.file"))


def test_another_policy_relabels_what_it_changes(bench: Bench) -> None:
    bench.add_repo("policy", [policy()])
    bench.compose()
    first, before = bench.commit(), cache(bench)
    bench.add_repo("newer", [policy("2", contexts=OTHER)])
    bench.compose()
    tree = tree_of(bench)
    assert labels(tree) == expected(tree)
    assert label(bench, "/usr/bin/greet") == "system_u:object_r:hello_exec_t:s0"
    # greet; of the new package file_contexts and the binary policy, each as it came and labelled; the rpm database,
    # the treefile.
    assert len(cache(bench) - before) <= 8
    # And back: nothing is copied that was once.
    between = cache(bench)
    bench.add_repo("newest", [policy("3")])
    bench.compose()
    assert label(bench, "/usr/bin/greet") == GREET
    assert len(cache(bench) - between) <= 6
    changed = ostree(bench.repo, "diff", first, REF).split()
    assert "/usr/bin/greet" not in changed
    bench.check()


def test_objects_that_a_prune_took_are_made_again(bench: Bench) -> None:
    bench.add_repo("policy", [policy()])
    bench.compose("--no-parent")
    first = bench.commit()
    ostree(bench.cachedir / "pkgcache-repo", "prune", "--refs-only")
    bench.init()
    bench.compose("--no-parent", "--force-nocache")
    assert bench.commit() == first
    bench.check()


def test_into_an_archive(bench: Bench) -> None:
    bench.add_repo("policy", [policy()])
    bench.init("archive")
    bench.compose()
    assert GREET in ostree(bench.repo, "ls", "-X", REF, "/usr/bin/greet")
    bench.check()


@pytest.mark.parametrize("mode", ["archive", "bare-user"])
def test_without_labels_where_selinux_runs(bench: Bench, mode: str) -> None:
    """The kernel of the machine that composes gives each file in the cache a label, which is none of the image's."""
    bench.treefile |= {"packages": ["greeter", "kernel"], "selinux": False}
    bench.compose("--no-parent")
    first = bench.commit()
    label_as_a_kernel(bench.cachedir / "pkgcache-repo")
    bench.init(mode)
    bench.compose("--no-parent", "--force-nocache")
    assert bench.commit() == first
    bench.check()


@pytest.mark.parametrize("mode", ["archive", "bare-user"])
@pytest.mark.parametrize("kernel", [False, True])
def test_a_labelled_layer_on_a_tree_without_labels(bench: Bench, mode: str, kernel: bool) -> None:
    """What has a label of its own keeps it."""
    layers, tree = bench.top / "layers", bench.top / "layer/usr/share/demo"
    tree.mkdir(parents=True)
    (tree / "one").write_text("one")
    os.setxattr(tree / "one", "security.selinux", b"system_u:object_r:demo_t:s0\0")
    ostree(layers, "init", "--mode=archive")
    owner = ("--owner-uid=0", "--owner-gid=0")
    ostree(layers, "commit", "--branch=demo/one", f"--tree=dir={bench.top / 'layer'}", "--subject=x", *owner)
    bench.treefile |= {"packages": ["greeter", "kernel"], "selinux": False, "ostree-layers": ["demo/one"]}
    bench.init(mode)
    bench.compose("--no-parent", f"--layer-repo={layers}")
    if kernel:
        first = bench.commit()
        label_as_a_kernel(bench.cachedir / "pkgcache-repo")
        bench.init(mode)
        bench.compose("--no-parent", "--force-nocache", f"--layer-repo={layers}")
        assert bench.commit() == first
    assert "demo_t" in ostree(bench.repo, "ls", "-X", REF, "/usr/share/demo/one")
    assert "security.selinux" not in ostree(bench.repo, "ls", "-X", REF, "/usr/bin/greet")
    bench.check()


TOOLS = "[tools]\nname=Tools\nbaseurl=file://{}\nenabled=1\ngpgcheck=0\nmetadata_expire=0\n"


def tools() -> list[Package]:
    """What is layered: a package with files of all kinds, and one whose script changes the policy."""
    files = {
        "/usr/bin": directory(),
        "/usr/bin/tool": file("#!/bin/sh\n", mode=0o4755),
        "/usr/lib/libtool.so.1": symlink("libtool.so.1.0"),
        "/usr/lib/libtool.so.1.0": "a library\n",
        "/usr/share/tool/data": "data\n",
        "/etc/tool.conf": "a = b\n",
    }
    script = "echo made >/usr/share/tool/made; echo made >>/etc/greeter.made"
    return [
        rpm("tool", requires=["shell"], post=script, files=files),
        rpm(
            "module", requires=["shell"], post=local_rules("by_module_t"), files={"/usr/share/module/rules": "rules\n"}
        ),
    ]


def repos_of(bench: Bench) -> Package:
    """The package by which a machine finds the tools."""
    text = TOOLS.format(bench.top / "tools")
    return rpm("shale-repos", files={"/etc/yum.repos.d/tools.repo": file(text)})


@dataclass(frozen=True, slots=True)
class Machine:
    """A sysroot in which what the bench has composed is deployed."""

    sysroot: Sysroot
    top: Path

    @classmethod
    def make(cls, bench: Bench, *options: str) -> Machine:
        make_repo(bench.top / "tools", tools())
        bench.add_repo("policy", [policy(), repos_of(bench)])
        bench.treefile["packages"] = ["greeter", "kernel", "stone-policy", "shale-repos"]
        bench.compose(*options)
        return cls.deploy(bench.repo, REF, bench.top)

    @classmethod
    def deploy(cls, repo: Path, ref: str, top: Path) -> Machine:
        made = init_fs(top / "sysroot")
        ostree(made.repo_path, "pull-local", "--remote=site", str(repo), ref)
        made.init_stateroot("test")
        with made.lock("test"):
            made.deploy("test", ostree(repo, "rev-parse", ref).strip(), f"[origin]\nrefspec=site:{ref}\n")
        return cls(made, top)

    def fetch_another_policy(self, bench: Bench) -> None:
        """Compose a base with other labels for programs, onto the local branch."""
        changed = policy("2", contexts=CONTEXTS.replace(":bin_t:", ":binary_t:"))
        bench.add_repo("newer", [changed, repos_of(bench)])
        bench.compose()
        ostree(self.sysroot.repo_path, "pull-local", str(bench.repo), REF)

    def layer(self, verb: str, *words: str | Path, status: int = 0) -> str:
        """Gives what it says on standard error."""
        argv = [str(COMPOSE.with_name("layer")), *verb.split(), f"--sysroot={self.sysroot.path}", *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stderr

    def tree(self) -> Path:
        """The commit of the first deployment, as files."""
        ostree(self.sysroot.repo_path, "fsck", "--quiet")
        found = self.sysroot.deployments()[0]
        return checked_out(self.sysroot.repo_path, found.checksum, self.top)


@pytest.fixture
def bench_of_machine(bench: Bench) -> Iterator[Bench]:
    yield bench
    make_mutable(bench.top / "sysroot")


def test_layered_packages_have_labels(bench_of_machine: Bench) -> None:
    machine = Machine.make(bench_of_machine)
    base = labels(machine.tree())
    machine.layer("install", "tool")
    found = labels(machine.tree())
    assert found == expected(machine.tree())
    assert found["/usr/bin/tool"] == (stat.S_IFREG | 0o4755, "system_u:object_r:bin_t:s0")
    assert found["/usr/lib/libtool.so.1"][1] == "system_u:object_r:lib_link_t:s0"
    assert found["/usr/share/tool/made"][1] == "system_u:object_r:usr_t:s0"
    assert found["/usr/etc/greeter.made"][1] == "system_u:object_r:greeter_etc_t:s0"
    assert base.items() <= found.items()
    deployed = machine.sysroot.deployments()[0].path
    assert labels(deployed / "usr/bin")["/tool"][1] == "system_u:object_r:bin_t:s0"
    machine.layer("uninstall", "tool")
    assert labels(machine.tree()) == base


def test_where_selinux_runs_a_repository_stays_whole(bench_of_machine: Bench) -> None:
    machine = Machine.make(bench_of_machine)
    repo = machine.sysroot.repo_path
    machine.layer("install", "tool")
    label_as_a_kernel(repo)
    machine.tree()
    # Another policy: packages that were kept are labelled anew.
    machine.fetch_another_policy(bench_of_machine)
    before = {path.name for path in repo.glob("objects/*/*.file")}
    machine.layer("rebase", f":{REF}")
    label_as_a_kernel(repo)
    found = labels(machine.tree())
    assert found == expected(machine.tree())
    assert found["/usr/bin/tool"][1] == "system_u:object_r:binary_t:s0"
    assert len({path.name for path in repo.glob("objects/*/*.file")} - before) > 1
    machine.layer("verify")
    machine.layer("install", "module")  # with a policy of its own
    label_as_a_kernel(repo)
    assert labels(machine.tree()) == expected(machine.tree())
    # A file is taken in before it is known what it is put on.
    where = make_repo(bench_of_machine.top / "files", [rpm("loose", files={"/usr/bin/loose": file("loose\n")})])
    machine.layer("install", *where.rglob("loose*.rpm"))
    label_as_a_kernel(repo)
    assert labels(machine.tree())["/usr/bin/loose"][1] == "system_u:object_r:binary_t:s0"
    # One whose request is inactive is put on nothing.
    dormant = rpm("greeter", epoch=1, version="2.0~rc1", files={"/usr/bin/greet2": "x"})
    (inactive,) = make_repo(bench_of_machine.top / "inactive", [dormant]).rglob("greeter*.rpm")
    machine.layer("install --allow-inactive", inactive)
    label_as_a_kernel(repo)
    machine.tree()


def test_a_deployed_file_that_was_changed_is_not_taken_along(bench_of_machine: Bench) -> None:
    """It is an object of the package cache, and another policy makes another object of it."""
    machine = Machine.make(bench_of_machine)
    machine.layer("install", "tool")
    (machine.sysroot.deployments()[0].path / "usr/bin/tool").write_text("evil\n")
    machine.fetch_another_policy(bench_of_machine)
    machine.layer("rebase", f":{REF}")
    found = machine.sysroot.deployments()[0]
    assert (found.path / "usr/bin/tool").read_text() == "#!/bin/sh\n"
    assert "binary_t" in (labels(found.path / "usr/bin")["/tool"][1] or "")
    machine.layer("verify", "0")


def test_a_package_that_came_as_a_file_and_was_changed(bench_of_machine: Bench) -> None:
    machine = Machine.make(bench_of_machine)
    (tool,) = (bench_of_machine.top / "tools").rglob("tool-*.rpm")
    machine.layer("install", tool)
    (before,) = machine.sysroot.deployments()[:1]
    (before.path / "usr/bin/tool").write_text("evil\n")
    machine.fetch_another_policy(bench_of_machine)
    said = machine.layer("rebase", f":{REF}", status=8)
    assert "tool-1.0-1.noarch, which came as a file, is not whole in the repository any more" in said
    assert machine.sysroot.deployments()[0].checksum == before.checksum
    machine.layer("install --idempotent", tool)
    machine.layer("rebase", f":{REF}")
    assert (machine.sysroot.deployments()[0].path / "usr/bin/tool").read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize("another", [False, True])
def test_a_package_with_a_file_that_is_lost_is_fetched_again(bench_of_machine: Bench, another: bool) -> None:
    machine = Machine.make(bench_of_machine)
    repo = machine.sysroot.repo_path
    machine.layer("install", "tool")
    tree = checked_out(repo, machine.sysroot.deployments()[0].checksum, bench_of_machine.top)
    inode = (tree / "usr/share/tool/data").stat().st_ino
    (lost,) = (path for path in repo.glob("objects/*/*.file") if path.lstat().st_ino == inode)
    lost.unlink()
    if another:
        machine.fetch_another_policy(bench_of_machine)
        machine.layer("rebase", f":{REF}")
    else:
        machine.layer("install", "module")
    assert lost.exists()
    assert (machine.sysroot.deployments()[0].path / "usr/share/tool/data").read_text() == "data\n"
    machine.tree()


def test_a_layered_package_that_changes_the_policy_relabels_the_base(bench_of_machine: Bench) -> None:
    machine = Machine.make(bench_of_machine)
    before = machine.tree()
    machine.layer("install", "module")
    tree = machine.tree()
    found = labels(tree)
    assert found == expected(tree)
    assert found["/usr/bin/greet-root"][1] == "system_u:object_r:by_module_t:s0"
    # What has the same label is the same file still.
    same = "usr/lib/libstone.so.3.1"
    assert (tree / same).stat().st_ino == (before / same).stat().st_ino


def test_a_policy_that_is_replaced_relabels_the_base(bench_of_machine: Bench) -> None:
    machine = Machine.make(bench_of_machine)
    where = make_repo(bench_of_machine.top / "override", [policy("2", contexts=OTHER)])
    (package,) = where.rglob("stone-policy-2*.rpm")
    before = labels(machine.tree())
    machine.layer("override replace", package)
    tree = machine.tree()
    found = labels(tree)
    assert found == expected(tree)
    assert found["/usr/bin/greet"][1] == "system_u:object_r:hello_exec_t:s0"
    assert found["/usr/etc/nsswitch.conf"] == before["/usr/etc/nsswitch.conf"]  # by the alias of /usr/etc
    machine.layer("override reset", "stone-policy")
    assert labels(machine.tree()) == before


def test_a_base_without_labels_stays_so(bench_of_machine: Bench) -> None:
    machine = Machine.make(bench_of_machine, "--disable-selinux")
    machine.layer("install", "tool")
    assert "/usr/bin/tool" in labels(machine.tree())
    assert {value for _, value in labels(machine.tree()).values()} == {None}


@pytest.fixture(scope="module")
def image(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Granite with Debian's policy, and all that is needed to ask it."""
    top = tmp_path_factory.mktemp("granite")
    treefile = granite.repositories(distro, top / "tree.d") / "labelled.yaml"
    settings = {
        "ref": "granite/12/labelled", "repos": ["granite"], "selinux": True, "no-initramfs": True,
        "boot-location": "modules", "packages": ["granite-release", "kernel", "systemd", "openssh-server", "sudo",
        "man-db", "python3", "locales", "selinux-policy-default", "selinux-utils", "policycoreutils"],
    }  # fmt: skip
    treefile.write_text(json.dumps(settings))
    return granite.compose(treefile, top, "granite/12/labelled")


_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "lnk_file"}


def matchpathcon(image: Image, paths: Mapping[str, int]) -> dict[str, str | None]:
    """What the image's own program says of paths (path → mode), by the policy in the image."""
    answers: dict[str, str | None] = {}
    for kind, name in _KINDS.items():
        some = [path for path, mode in paths.items() if stat.S_IFMT(mode) == kind]
        for start in range(0, len(some), 5000):
            for line in image.run("matchpathcon", "-m", name, *some[start : start + 5000]).splitlines():
                path, _, label = line.partition("\t")
                answers[path] = None if label == "<<none>>" else label
    assert answers.keys() == paths.keys()
    return answers


def test_every_path_of_granite_has_the_label_that_matchpathcon_gives(image: Image) -> None:
    found = labels(image.tree)
    assert len(found) > 10_000
    answers = matchpathcon(image, {path: mode for path, (mode, _) in found.items()})
    assert {path: label for path, (_, label) in found.items()} == answers
    assert len(set(answers.values())) > 50
    assert answers["/usr/sbin/sshd"] == "system_u:object_r:sshd_exec_t:s0"
    # It would tell.
    wrong = {**answers, "/usr/sbin/sshd": answers["/usr/bin/sudo"]}
    assert [path for path, (_, label) in found.items() if label != wrong[path]] == ["/usr/sbin/sshd"]


def test_configuration_of_granite_has_the_labels_of_its_place_on_a_machine(image: Image) -> None:
    etc = {
        path.removeprefix("/usr"): value for path, value in labels(image.tree).items() if path.startswith("/usr/etc/")
    }
    assert matchpathcon(image, {path: mode for path, (mode, _) in etc.items()}) == {
        path: label for path, (_, label) in etc.items()
    }


@pytest.fixture
def granite_machine(image: Image, tmp_path: Path) -> Iterator[Machine]:
    yield Machine.deploy(image.repo, image.ref, tmp_path)
    make_mutable(tmp_path / "sysroot")


def test_layering_on_granite(image: Image, granite_machine: Machine, distro: Path) -> None:
    machine = granite_machine
    (package,) = (distro / "granite-12/12.2/Packages").glob("tree-[0-9]*.rpm")
    machine.layer("install", package)  # libostree has the deployment refresh its policy, from the modules in /etc
    before, found = labels(image.tree), labels(machine.tree())
    assert before.items() - found.items() == set()
    new = {path: mode for path, (mode, _) in found.items() if path not in before}
    assert "/usr/bin/tree" in new
    assert {path: found[path][1] for path in new} == matchpathcon(Image(image.repo, image.ref, machine.tree()), new)
