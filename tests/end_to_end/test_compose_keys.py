# SPDX-License-Identifier: GPL-2.0-or-later
"""Treefile keys that change what a compose makes of packages, by real runs of the real command."""

from __future__ import annotations

from tests.end_to_end.shale import Bench, programs
from tests.support.rpms import Package, file, rpm

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
