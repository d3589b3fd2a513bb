# SPDX-License-Identifier: GPL-2.0-or-later
"""Treefile keys that change what a compose makes of packages, by real runs of the real command."""

from __future__ import annotations

import re
from pathlib import Path

from rpmtree.ostree.detached import add_detached
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.variant import Variant
from tests.end_to_end.shale import REF, Bench, ostree, programs
from tests.support.rpms import Package, Raw, file, rpm
from tests.support.rpmwriter import STRINGS

NO_CHANGES = "No apparent changes since previous commit; use --force-nocache to override\n"


class TestSysusers:
    MACRO = "%__systemd_sysusers\t%{_rpmconfigdir}/sysusers.sh\n"

    @staticmethod
    def service(name: str) -> Package:
        """A package with a file that belongs to a user of a sysusers.d file, and a script that needs that user."""
        files = {
            f"/usr/lib/sysusers.d/{name}.conf": f'u {name} - "{name}"\n',
            f"/usr/share/{name}": file("mine", mode=0o640, user=name, group=name),
        }
        return rpm(
            name, files=files, requires=["setup"], pre=f"case $(cat /etc/passwd) in *{name}:*) ;; *) exit 1; esac"
        )

    def services(self, bench: Bench, *names: str) -> None:
        tool = rpm("systemd", files=programs("systemd-sysusers"), arch="x86_64", requires=["shell"])
        macros = rpm("rpm", files={"/usr/lib/rpm/macros.d/macros.accounts": self.MACRO})
        bench.add_repo("services", [tool, macros, *map(self.service, ("alpha", "zeta"))])
        bench.treefile["packages"] = ["greeter", "kernel", *names]

    def owners(self, bench: Bench, *names: str) -> list[str]:
        """Uid and gid of the services' files, each as the accounts of the image name it."""
        ids = {line.split(":")[2]: line.split(":")[0] for line in bench.cat("/usr/etc/passwd").splitlines()}
        return [ids[bench.paths()[f"/usr/share/{name}"].split()[1]] for name in names]

    def test_as_the_images_rpm_would(self, bench: Bench) -> None:
        self.services(bench, "systemd", "zeta")
        assert "%pre of zeta" in bench.compose(status=6).stderr
        self.services(bench, "systemd", "rpm", "zeta")
        bench.compose()
        assert self.owners(bench, "zeta") == ["zeta"]

    def test_forced_and_with_the_ids_of_before(self, bench: Bench) -> None:
        self.services(bench, "systemd", "zeta")
        bench.treefile["sysusers"] = "compose-forced"
        bench.compose()
        before = bench.paths()["/usr/share/zeta"]
        self.services(bench, "systemd", "alpha", "zeta")
        bench.compose()
        assert bench.paths()["/usr/share/zeta"] == before
        assert self.owners(bench, "alpha", "zeta") == ["alpha", "zeta"]
        bench.treefile["preserve-passwd"] = False
        bench.treefile |= {"check-passwd": {"type": "none"}, "check-groups": {"type": "none"}}
        bench.compose()
        assert bench.paths()["/usr/share/zeta"] != before  # the control: alpha comes first

    def test_forced_without_the_program(self, bench: Bench) -> None:
        bench.treefile["sysusers"] = "compose-forced"
        before = bench.state()
        assert "has no /usr/bin/systemd-sysusers" in bench.compose(status=1).stderr
        assert bench.state() == before


class TestLayers:
    def test_on_top_of_packages(self, bench: Bench) -> None:
        layers = bench.top / "layers"
        ostree(layers, "init", "--mode=archive")
        bench.add_layer(layers, "demo/one", share__demo="one", etc__demo="conf", bin__greet="#!/bin/sh\n")
        bench.treefile |= {"ostree-override-layers": ["demo/one"]}
        assert "--layer-repo" in bench.compose(status=3).stderr
        option = f"--layer-repo={layers}"
        bench.compose(option)
        bench.check()
        assert [bench.cat(f"/usr/{path}") for path in ("share/demo", "etc/demo")] == ["one", "conf"]
        assert bench.cat("/usr/bin/greet") == "#!/bin/sh\n"
        assert bench.cat("/usr/bin/greet-root") == "#!/bin/sh\necho root\n"  # the control
        assert bench.compose(option).stdout == NO_CHANGES
        ostree(layers, "commit", "--branch=demo/one", "--tree=ref=demo/one", "--subject=again")
        assert bench.compose(option).stdout == NO_CHANGES
        bench.add_layer(layers, "demo/one", share__demo="two")
        bench.compose(option)
        assert (bench.cat("/usr/share/demo"), "/usr/etc/demo" in bench.paths()) == ("two", False)

    def test_conflicts_are_refused(self, bench: Bench) -> None:
        bench.add_layer(bench.repo, "demo/one", bin__greet="other")
        bench.treefile["ostree-layers"] = ["demo/one"]
        before = bench.state()
        refused = bench.compose(status=9).stderr
        assert "greeter-1:2.0~rc1-1.noarch and the layer demo/one own different files at /usr/bin/greet" in refused
        assert bench.state() == before
        bench.add_layer(bench.repo, "demo/one", share__demo="one")
        bench.compose()
        plain = bench.commit()
        bench.treefile |= {"ostree-layers": [], "ostree-override-layers": ["demo/one"]}
        bench.compose()
        assert bench.cat("/usr/share/demo") == "one"
        assert bench.commit() != plain

    def test_scripts_see_them(self, bench: Bench) -> None:
        bench.add_layer(bench.repo, "demo/one", lib__libstone_x="one")
        bench.treefile["ostree-layers"] = ["demo/one"]
        bench.add_repo("look", [rpm("look", requires=["shell"], pre="cat /usr/lib/libstone_x >/etc/seen")])
        bench.treefile["packages"] = ["greeter", "kernel", "look"]
        bench.compose()
        assert bench.cat("/usr/etc/seen") == "one"


class TestRecorded:
    """What is recorded of the repositories, in the commit or beside it."""

    KEYS = ("rpmostree.rpmmd-repos", "rpmostree.advisories")

    @staticmethod
    def newer(where: Path) -> None:
        """Nothing of the repository's changes but the time of its metadata."""
        index = where / "repodata/repomd.xml"
        index.write_text(re.sub("<timestamp>[0-9]+<", "<timestamp>1800000000<", index.read_text()))

    def compose(self, bench: Bench, where: str) -> tuple[str, str]:
        """Compose from nothing; the commit, and what of it stands beside it."""
        bench.treefile |= {"repo-metadata": where, "advisories-metadata": where}
        bench.compose("--no-parent", "--force-nocache")
        inline = ostree(bench.repo, "show", "--raw", REF)
        assert [f"'{key}'" in inline for key in self.KEYS] == [where == "inline"] * 2
        if where == "inline":
            return bench.commit(), ""
        return bench.commit(), "".join(
            ostree(bench.repo, "show", f"--print-detached-metadata-key={key}", REF) for key in self.KEYS
        )

    def test_beside_the_commit_they_do_not_change_it(self, bench: Bench) -> None:
        bench.init("archive")
        extra = bench.add_repo("extra", [rpm("extra")])
        bench.treefile |= {"packages": ["greeter", "kernel", "extra"]}
        inline, _ = self.compose(bench, "inline")
        detached, recorded = self.compose(bench, "detached")
        assert "SHALE-2024-1" in recorded
        assert "1800000000" not in recorded
        add_detached(Repository(bench.repo), bytes.fromhex(detached), {"site.note": Variant("s", "stays")})
        self.newer(extra)
        assert bench.compose().stdout == NO_CHANGES
        again, recorded = self.compose(bench, "detached")
        assert again == detached
        assert "'timestamp': <uint64 1800000000>" in recorded
        assert "stays" in ostree(bench.repo, "show", "--print-detached-metadata-key=site.note", REF)
        assert self.compose(bench, "inline")[0] != inline  # the control: in the commit, the time counts
        bench.check()


class TestImportChoices:
    """Modes and attributes that packages' files are imported with."""

    def test_executables_without_the_right_to_write(self, bench: Bench) -> None:
        files = {"/usr/bin/own": file("own", mode=0o750, user="greeter", group="greeter")}
        bench.add_repo("own", [rpm("own", files=files, requires_pre=["greeter"])])
        bench.treefile["packages"] = ["greeter", "kernel", "own"]
        bench.compose("--no-parent")
        usual = bench.commit()
        assert bench.paths()["/usr/bin/own"].startswith("-00750 400 400")
        bench.treefile["readonly-executables"] = True
        bench.compose("--no-parent")
        lines = bench.paths()
        expected = {"greet": "-00555 0 0", "greet-root": "-04555 0 0", "own": "-00550 400 400", "sh": "-00555 0 0"}
        assert {name: " ".join(lines[f"/usr/bin/{name}"].split()[:3]) for name in expected} == expected
        assert lines["/usr/share/greeter/words"].startswith("-00640 400 400")
        assert "security.capability" in ostree(bench.repo, "ls", "-X", REF, "/usr/bin/greet")
        bench.check()
        del bench.treefile["readonly-executables"]
        bench.compose("--no-parent")
        assert bench.commit() == usual  # what was imported for the other is not taken

    def test_signatures_of_files(self, bench: Bench) -> None:
        files = {
            "/usr/bin/own": file("own", mode=0o750, user="greeter", group="greeter"),
            "/usr/lib/changed": file("changed"),
            "/usr/lib/signed": file("signed"),
        }
        raw = Raw(signature={274: (STRINGS, ["0302" + "aa" * 20] * len(files))})
        post = "echo more >>/usr/lib/changed"
        bench.add_repo("signed", [rpm("signed", files=files, requires_pre=["greeter"], raw=raw, post=post)])
        bench.treefile["packages"] = ["greeter", "kernel", "signed"]

        def marked() -> list[str]:
            names = ("bin/own", "lib/changed", "lib/signed", "bin/greet")
            listed = {name: ostree(bench.repo, "ls", "-X", REF, f"/usr/{name}") for name in names}
            assert "-00750 400 400" in listed["bin/own"]
            return [name for name in names if "security.ima" in listed[name]]

        bench.compose()
        assert marked() == []
        bench.treefile["ima"] = True
        bench.compose()
        assert marked() == ["bin/own", "lib/signed"]  # a signature of what a script has changed is none
        bench.check()


def test_devices_are_left_out_or_an_error(bench: Bench) -> None:
    program = bench.top / "finalize.d/10-nodes"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nmknod usr/lib/null c 1 3\nmkfifo usr/lib/pipe\n")
    program.chmod(0o755)
    bench.treefile["ignore-devices"] = False
    before = bench.state()
    refused = bench.compose(status=1).stderr
    assert "error: /usr/lib/null is a device, a pipe or a socket" in refused
    assert "/usr/lib/pipe" in refused
    assert bench.state() == before
    bench.treefile["ignore-devices"] = True
    said = bench.compose().stderr
    assert [f"/usr/lib/{name} is a device, a pipe or a socket" in said for name in ("null", "pipe")] == [True, True]
    assert not {"/usr/lib/null", "/usr/lib/pipe"} & bench.paths().keys()
    program.write_text("#!/bin/sh\n")
    bench.treefile["ignore-devices"] = False
    bench.compose()
