# SPDX-License-Identifier: GPL-2.0-or-later
"""What questions to a big repository cost, beside dnf asked the same in the same run.

    python -m benchmarks.solve [--runs N] [--output FILE] [--packages N]

Three operations over made-up metadata of 60,000 packages with a base of 320: `install --assumeno`, `check-update`,
`search`. Both sides have fetched the metadata over HTTP before, and have made what they keep of it; neither asks the
server again. Each is a fresh process; which side goes first alternates; answers must be of equal number.
`big_solve_wall` and `big_solve_peak` are the worst ratio of the three operations in a run.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bigrepo import BASE, PACKAGES, make_base, make_big, packages
from benchmarks.compose import summary, table
from benchmarks.measure import BenchmarkError, Cost, measure
from rpmtree.files import remove_tree
from tests.support.webserver import serve

TOP = Path(__file__).resolve().parent.parent
TARGETS = {"big_solve_wall": 1.1, "big_solve_peak": 1.0}
_RPMDB = "usr/share/rpm"
_SEARCHED = "image"
#: How many packages are asked for in one installation.
_WANTED = 10
#: Statuses with which dnf ends well.
_DNF = {"install": 1, "check-update": 100, "search": 0}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where everything is, and what is asked for."""

    work: Path
    url: str
    wanted: tuple[str, ...]

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(self.work)}

    def words(self, question: str) -> list[str]:
        """What the question is about."""
        return {"install": list(self.wanted), "check-update": [], "search": [_SEARCHED]}[question]

    def ours(self, question: str) -> Cost:
        """Ask a PackageSource."""
        argv = [sys.executable, "-m", "benchmarks.solving", self.url, str(self.work / "ours"), str(self.work / "base")]
        return measure([[*argv, question, *self.words(question)]], env=self.env, cwd=TOP, log=self.work / "ours.log")

    def dnf(self, question: str) -> Cost:
        """Ask dnf."""
        argv = ["dnf", f"--config={self.work / 'dnf.conf'}", f"--installroot={self.work / 'root'}", "--releasever=1"]
        argv += ["--assumeno"] if question == "install" else []
        checked = ["/bin/sh", "-c", f'"$@"; test $? -eq {_DNF[question]}', "sh", *argv, question, *self.words(question)]
        return measure([checked], env=self.env, cwd=self.work, log=self.work / "dnf.log")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 1 if the comparison could not be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solve", description="Measure questions against dnf.")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="paired runs that count (5)")
    parser.add_argument("--output", type=Path, default=TOP / "build/bench-solve.json", metavar="FILE")
    parser.add_argument("--packages", type=int, default=PACKAGES, metavar="N", help=f"in the repository ({PACKAGES})")
    parser.add_argument("--work", type=Path, default=TOP / "build/bench-solve", metavar="DIR", help="emptied first")
    args = parser.parse_args(argv)
    try:
        figures = _benchmark(args.work.absolute(), args.packages, args.runs)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(summary(figures), indent=2) + "\n")
    print("\n".join(table(figures, TARGETS)))
    return 0


def _benchmark(work: Path, count: int, runs: int) -> dict[str, list[float]]:
    remove_tree(work)
    make_big(work / "www/big", count)
    with serve(work / "www") as site:
        setting = _prepare(work, f"{site.url}big", count)
        _run(setting, peer_first=True)  # fetches the metadata, and counts for nothing
        asked = len(site.requests)
        figures: dict[str, list[float]] = {}
        for number in range(runs):
            found = _run(setting, peer_first=number % 2 == 0)
            print(f"run {number + 1}", *(f"{name} {found[name]:.2f}" for name in TARGETS), flush=True)
            for name, value in found.items():
                figures.setdefault(name, []).append(round(value, 4))
        if len(site.requests) != asked:
            raise BenchmarkError("the server was asked again: caches were not warm")
    remove_tree(work)
    return figures


def _prepare(work: Path, url: str, count: int) -> Setting:
    made = packages(count)
    make_base(work / "base", work / "rpms", count)
    (work / "root" / _RPMDB).parent.mkdir(parents=True)
    shutil.copytree(work / "base", work / "root" / _RPMDB)
    lines = ["[main]", "plugins=0", "gpgcheck=0", "cachedir=/../dnf-cache", "logdir=/../dnf-log", "reposdir=/nowhere"]
    lines += ["metadata_expire=never", "[big]", "name=big", f"baseurl={url}"]
    (work / "dnf.conf").write_text("\n".join([*lines, ""]))
    # rpm reads it from the home directory: it is the only place that dnf doesn't reset.
    (work / ".rpmmacros").write_text(f"%_dbpath /{_RPMDB}\n")
    step = (count - BASE) // (_WANTED + 1)
    return Setting(work, url, tuple(made[BASE + step * number].name for number in range(1, _WANTED + 1)))


def _run(setting: Setting, *, peer_first: bool) -> dict[str, float]:
    """One paired run: all figures. Raises BenchmarkError where the sides differ."""
    figures: dict[str, float] = {}
    walls, peaks, loads = [], [], []
    for question in ("install", "check-update", "search"):
        if peer_first:
            peer, ours = setting.dnf(question), setting.ours(question)
        else:
            ours, peer = setting.ours(question), setting.dnf(question)
        _check_same(question, ours.stdout, peer.stdout)
        name = question.replace("-", "_")
        walls.append(ours.wall / peer.wall)
        peaks.append(ours.peak_mb / peer.peak_mb)
        loads += [ours.others, peer.others]
        figures |= {
            f"{name}_wall_s": ours.wall,
            f"{name}_peak_mb": ours.peak_mb,
            f"dnf_{name}_wall_s": peer.wall,
            f"dnf_{name}_peak_mb": peer.peak_mb,
            f"{name}_cpu_s": ours.cpu,
            f"dnf_{name}_cpu_s": peer.cpu,
        }
    return {"big_solve_wall": max(walls), "big_solve_peak": max(peaks), **figures, "other_load": max(loads)}


def _check_same(question: str, ours: str, dnf: str) -> None:
    form = {
        "install": r"^Install +(\d+) Packages?$",
        "check-update": r"^(\S+\.\S+) +\S+ +big *$",
        "search": r"^(\S+\.\S+) : ",
    }
    found = re.findall(form[question], dnf, re.MULTILINE)
    theirs = int(found[0]) if question == "install" and found else len(found)
    if not theirs or f"found {theirs}\n" not in ours:
        raise BenchmarkError(f"{question}: dnf finds {theirs}, we: {ours.splitlines()[-1]}")


if __name__ == "__main__":
    sys.exit(main())
