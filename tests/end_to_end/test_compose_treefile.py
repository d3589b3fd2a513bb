# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of a treefile in the tree that is composed: what each does, beside a tree where none of them is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.end_to_end.shale import REF, Bench, Shale, ostree
from tests.support.rpms import file, rpm

VAR_SCRIPT = "mkdir -p /var/lib/made && chmod 0750 /var/lib/made"
FILES = {"/usr/share/tool/data": "data\n", "/usr/share/tool/extra": "extra\n", "/usr/bin/tool": file("t", mode=0o755)}


def prepared(top: Path, shale: Shale) -> Bench:
    """A bench with more packages, and files for a treefile to name."""
    bench = Bench(top, shale)
    bench.add_repo("more", [rpm("tool", requires=["shell"], files=FILES, post=VAR_SCRIPT)])
    bench.treefile["packages"] = ["greeter", "kernel", "tool"]
    for name in ("no-initramfs", "boot-location"):
        del bench.treefile[name]
    bench.treefile |= {"no-initramfs": True}
    (top / "motd").write_text("hello\n")
    (top / "motd").chmod(0o640)
    (top / "last.sh").write_text("#!/bin/sh\necho script >>/etc/order\n")
    (top / "last.sh").chmod(0o755)
    return bench


@pytest.fixture(scope="module")
def plain(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Composed with the defaults of all keys."""
    bench = prepared(tmp_path_factory.mktemp("plain"), shale)
    bench.compose()
    return bench


KEYS: dict[str, object] = {
    "edition": "2024", "units": ["tool.service"], "default-target": "tool.target", "machineid-compat": False,
    "mutate-os-release": "1 (X)", "automatic-version-prefix": "7", "automatic-version-suffix": "-",
    "postprocess": ["#!/bin/sh\necho one >/etc/order", "#!/bin/sh\necho two >>/etc/order"],
    "postprocess-script": "last.sh", "add-files": [["motd", "/etc/motd"], ["motd", "usr/share/motd"]],
    "remove-files": ["usr/share/man"], "remove-from-packages": [["tool", "/usr/share/tool/ex.*"]],
    "opt-usrlocal": "root", "container-cmd": ["/bin/sh", "-c"], "initramfs-args": ["--add=tool"],
    "install-langs": ["de"], "documentation": False, "recommends": True, "osname": "shale",
    "scriptlets": {"tool": {"var": "tmpfiles"}, "greeter": {"skip": ["post"]}},
    "check-passwd": {"type": "data", "entries": {"root": 0, "greeter": [777, 778]}},
    "check-groups": {"type": "data", "entries": {"root": 0, "greeter": 778}},
    "ignore-removed-users": ["gone"], "readonly-executables": True, "add-commit-metadata": {"who": "${basearch}"},
    "metadata": {"for": "others"}, "rpmdb": "host", "rpmdb-normalize": True, "cliwrap": True, "ima": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def full(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Composed twice with all those keys, so that there is a version before."""
    bench = prepared(tmp_path_factory.mktemp("full"), shale)
    del bench.treefile["recommends"]
    bench.treefile |= {**KEYS, "machineid-compat": True}
    bench.compose()
    # Units can't be enabled on machines whose first boot is to be one: the two are tried one after the other.
    assert "/usr/etc/machine-id" in bench.paths()
    assert "/usr/etc/systemd/system/multi-user.target.wants/tool.service" in bench.paths()
    bench.treefile |= {"machineid-compat": False, "units": []}
    bench.compose("--force-nocache")
    return bench


def metadata(bench: Bench, key: str) -> str:
    return ostree(bench.repo, "show", f"--print-metadata-key={key}", REF).strip()


def line(bench: Bench, path: str) -> list[str]:
    """Mode, owner, group of a path, and where a link leads."""
    found = bench.paths()[path].split()
    return [*found[:3], *found[5:]]


@pytest.mark.parametrize(
    ("path", "in_plain", "in_full"),
    [
        ("/tmp", ["l00777", "0", "0", "->", "sysroot/tmp"], ["d01777", "0", "0"]),  # edition
        ("/usr/lib/systemd/system/default.target", None, ["l00777", "0", "0", "->", "tool.target"]),
        ("/usr/etc/machine-id", ["-00444", "0", "0"], None),
        ("/usr/etc/motd", None, ["-00640", "0", "0"]),
        ("/usr/share/motd", None, ["-00640", "0", "0"]),
        ("/usr/share/man", ["d00755", "0", "0"], None),
        ("/usr/share/tool/extra", ["-00644", "0", "0"], None),
        ("/usr/share/tool/data", ["-00644", "0", "0"], ["-00644", "0", "0"]),
        ("/opt", ["l00777", "0", "0", "->", "var/opt"], ["d00755", "0", "0"]),
        ("/usr/share/locale/fr/greeter.mo", ["-00644", "0", "0"], None),
        ("/usr/share/locale/de/greeter.mo", ["-00644", "0", "0"], ["-00644", "0", "0"]),
        ("/usr/etc/greeter.made", ["-00644", "0", "0"], None),
        ("/usr/share/greeter/words", ["-00640", "400", "400"], ["-00640", "777", "778"]),
        ("/usr/bin/tool", ["-00755", "0", "0"], ["-00555", "0", "0"]),
    ],
)
def test_paths(plain: Bench, full: Bench, path: str, in_plain: list[str] | None, in_full: list[str] | None) -> None:
    assert [line(bench, path) if path in bench.paths() else None for bench in (plain, full)] == [in_plain, in_full]


def test_the_kernels_place(plain: Bench, full: Bench) -> None:
    both = [
        [path for path in bench.paths() if re.search("/usr/lib/ostree-boot/vmlinuz", path)] for bench in (plain, full)
    ]
    assert [len(found) for found in both] == [1, 0]
    assert "/usr/lib/modules/6.0/vmlinuz" in full.paths()


def test_contents(plain: Bench, full: Bench) -> None:
    assert full.cat("/usr/etc/order") == "one\ntwo\nscript\n"
    assert "OSTREE_VERSION" not in plain.cat("/usr/lib/os-release")
    assert "7-1" in full.cat("/usr/lib/os-release")
    tmpfiles = [bench.cat("/usr/lib/tmpfiles.d/rpm-ostree-autovar.conf") for bench in (plain, full)]
    assert ["/var/lib/made" in text for text in tmpfiles] == [False, True]


def test_packages(plain: Bench, full: Bench) -> None:
    assert set(full.packages()) - set(plain.packages()) == {"manual"}  # recommended


def test_metadata(plain: Bench, full: Bench) -> None:
    assert metadata(full, "version") == "'7-1'"
    assert metadata(full, "ostree.container-cmd") == "['/bin/sh', '-c']"
    assert metadata(full, "rpmostree.initramfs-args") == "['--add=tool']"
    assert metadata(full, "who") == "'x86_64'"
    shown = ostree(plain.repo, "show", "--raw", REF)
    assert not [key for key in ("'version'", "container-cmd", "initramfs-args", "'who'") if key in shown]
    assert "'for'" not in ostree(full.repo, "show", "--raw", REF)  # data for other tools is theirs


def test_nothing_is_no_tree(plain: Bench) -> None:
    before = plain.state()
    given, plain.treefile["packages"] = plain.treefile["packages"], []
    plain.treefile["container"] = True
    refused = plain.compose(status=3).stderr
    assert "No packages in transaction" in refused
    assert re.search(r"shale\.yaml:1:[0-9]+: ", refused)
    assert plain.state() == before
    plain.treefile |= {"packages": given, "container": False}


def test_who_vanished_may_be_ignored(shale: Shale, tmp_path: Path) -> None:
    bench = prepared(tmp_path / "bench", shale)
    pre = "echo gone:x:555:555::/:/bin/sh >>/etc/passwd; echo gone:x:555: >>/etc/group"
    own = {"/usr/share/gone": file("g", user="gone", group="gone")}
    bench.add_repo("gone", [rpm("gone", requires=["shell"], requires_pre=["setup"], pre=pre, files=own)])
    bench.treefile |= {"repos": ["shale", "more", "gone"], "packages": ["greeter", "kernel", "gone"]}
    bench.compose()
    bench.treefile |= {"packages": ["greeter", "kernel"], "preserve-passwd": False}
    said = bench.compose(status=1).stderr
    assert "gone" in said
    bench.treefile |= {"ignore-removed-users": ["gone"], "ignore-removed-groups": ["*"]}
    bench.compose()
