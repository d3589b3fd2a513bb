# SPDX-License-Identifier: GPL-2.0-or-later
"""What layering costs, beside `ostree admin deploy` of the same base in the same run.

    python -m benchmarks.layer [--runs N] [--output FILE] [--quick]

There are three sysroots of their own on one file system, each with two deployments, as a machine that was upgraded has
them, and the metadata of the package repository read before. One deploys the base again, one runs `layer install
powerline`: the packages are fetched from disk, checked, imported, put on the base, their scripts run, and the outcome
is committed and deployed. The third does that where a dozen packages are layered: `layer_dozen` is what that takes over
what it takes where none is. All have equally many deployments, since libostree reads the kernel of each whenever one is
added.

All windows end with a sync of the file system. They lie close together, and which comes first changes: each run is of
some rounds, with new sysroots, and a side's cost is that of its best round. What a machine does beside only adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compose import TOP, summary, table
from benchmarks.measure import BenchmarkError, Cost, check_cpu, measure
from benchmarks.sides import environment
from benchmarks.subject import COMPOSE, output
from rpmtree.files import remove_tree
from tests.support.sysroots import make_mutable

LAYER = str(Path(sys.executable).with_name("layer"))
#: Names of figures that must not be above a limit.
TARGETS = {
    "layer_install_cpu": 1.5,
    "layer_install_wall": 1.8,
    "layer_status_s": 0.20,
    "layer_peak_mb": 200,
    "layer_dozen": 1.2,
}
PACKAGE = "powerline"
DOZEN = ("ed", "git", "htop", "jq", "nano", "screen", "socat", "strace", "tmux", "tree", "vim-tiny", "zip")
_ROUNDS = 3
_REF = "granite/12/x86_64/stable"


@dataclass(frozen=True, slots=True)
class Sysroot:
    """A sysroot in the directory `path`, with the base deployed once."""

    path: Path

    @classmethod
    def make(cls, path: Path, base: Path) -> Sysroot:
        """Make one; objects are hard links to those of the bare repository `base`."""
        path.mkdir(parents=True)
        output(["ostree", "admin", "init-fs", str(path)])
        output(["ostree", "admin", "os-init", f"--sysroot={path}", "granite"])
        output(["ostree", "config", f"--repo={path / 'ostree/repo'}", "set", "sysroot.bootloader", "none"])
        output(["ostree", "pull-local", f"--repo={path / 'ostree/repo'}", str(base), _REF])
        output(["ostree", "admin", "deploy", f"--sysroot={path}", "--os=granite", _REF])
        made = cls(path)
        repos = next((path / "ostree/deploy/granite/deploy").glob("*.0")) / "etc/yum.repos.d"
        repos.mkdir(exist_ok=True)
        shutil.copy(TOP / "build/distro/granite-12/granite.repo", repos)
        made.layer("refresh-md")
        made.layer("search", PACKAGE)
        return made

    def layer(self, verb: str, *words: str) -> Cost:
        """Run a verb of ours."""
        return self._measured([LAYER, verb, f"--sysroot={self.path}", *words])

    def deploy(self) -> Cost:
        """Deploy the base once more."""
        return self._measured(["ostree", "admin", "deploy", f"--sysroot={self.path}", "--os=granite", _REF])

    def _measured(self, argv: Sequence[str]) -> Cost:
        log = self.path.parent / f"{self.path.name}.log"
        commands = [list(argv), ["sync", "-f", str(self.path)]]
        return measure(commands, env=environment(self.path.parent), cwd=self.path.parent, log=log)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 1 if the comparison could not be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layer", description="Measure against ostree admin.")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="paired runs that count (5)")
    parser.add_argument("--output", type=Path, default=TOP / "build/bench-layer.json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="one run, and none before it to warm up")
    parser.add_argument("--work", type=Path, default=TOP / "build/bench-layer", metavar="DIR", help="emptied first")
    args = parser.parse_args(argv)
    try:
        figures = _benchmark(args.work.absolute(), 1 if args.quick else args.runs, 0 if args.quick else 1)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.output.write_text(json.dumps(summary(figures), indent=2) + "\n")
    print("\n".join(table(figures, TARGETS)))
    return 0


def _benchmark(work: Path, runs: int, warm_up: int) -> dict[str, list[float]]:
    if os.geteuid() != 0:
        raise BenchmarkError("both sides need root")
    clear(work)
    work.mkdir(parents=True)
    seen = check_cpu(work, work / "control.log", environment(work))
    print(f"control: of 1 s burned in a sandbox {seen:.2f} s were seen")
    base = _compose(work)
    figures: dict[str, list[float]] = {}
    for number in range(-warm_up, runs):
        found = _run(base, work / f"run-{number + 1}", number)
        shown = (f"{name} {found[name]:.3f}" for name in (*TARGETS, "other_load"))
        print(f"run {number + 1}" if number >= 0 else "warm-up", *shown, flush=True)
        if number >= 0:
            for name, value in found.items():
                figures.setdefault(name, []).append(round(value, 4))
    clear(work)
    return figures


def _compose(work: Path) -> Path:
    repo = work / "base"
    output(["ostree", "init", f"--repo={repo}", "--mode=bare"])
    treefile = work / "tree.json"
    included = str(TOP / "treefiles/granite-12.yaml")
    treefile.write_text(json.dumps({"include": included, "no-initramfs": True, "ref": _REF}))
    options = [f"--repo={repo}", f"--cachedir={work / 'cache'}", f"--allow-outside={TOP / 'treefiles'}"]
    output([COMPOSE, "tree", *options, str(treefile)])
    return repo


def _run(base: Path, work: Path, number: int) -> dict[str, float]:
    rounds = [_round(base, work / f"round-{at}", number + at) for at in range(_ROUNDS)]
    best = {side: _best([costs[side] for costs in rounds]) for side in rounds[0]}
    deployed, install, loaded, status = best["deploy"], best["install"], best["loaded"], best["status"]
    return {
        "layer_install_cpu": install.cpu / deployed.cpu,
        "layer_install_wall": install.wall / deployed.wall,
        "layer_status_s": status.wall,
        "layer_peak_mb": max(cost.peak_mb for cost in (install, status, loaded)),
        "layer_dozen": loaded.wall / install.wall,
        "layer_install_cpu_s": install.cpu,
        "layer_install_wall_s": install.wall,
        "peer_deploy_cpu_s": deployed.cpu,
        "peer_deploy_wall_s": deployed.wall,
        "layer_dozen_cpu": loaded.cpu / install.cpu,
        "other_load": max(cost.others for cost in (install, deployed, loaded)),
    }


def _round(base: Path, work: Path, number: int) -> dict[str, Cost]:
    """What each side cost. `number` decides which is the first."""
    peer, ours, dozen = (Sysroot.make(work / name, base) for name in ("peer", "ours", "dozen"))
    peer.deploy()
    ours.deploy()
    dozen.layer("install", *DOZEN)
    for sysroot in (peer, ours, dozen):
        # Not removed: a file system that was just relieved of thousands of directories is slow to make new ones.
        sysroot.layer("pin", "1")
    sides = {
        "deploy": peer.deploy,
        "install": lambda: ours.layer("install", PACKAGE),
        "loaded": lambda: dozen.layer("install", PACKAGE),
    }
    first = number % len(sides)
    costs = {side: sides[side]() for side in (*list(sides)[first:], *list(sides)[:first])}
    costs["status"] = ours.layer("status")
    if PACKAGE not in costs["status"].stdout:
        raise BenchmarkError(f"{PACKAGE} was not layered")
    return costs


def _best(costs: Sequence[Cost]) -> Cost:
    """The least of each; the peak is the highest."""
    return Cost(
        wall=min(cost.wall for cost in costs),
        cpu=min(cost.cpu for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
        others=max(cost.others for cost in costs),
        stdout=costs[0].stdout,
    )


def clear(work: Path) -> None:
    """Remove sysroots, whose deployments libostree has made immutable."""
    for deployed in work.glob("run-*/*/*/ostree"):
        make_mutable(deployed.parent)
    remove_tree(work)


if __name__ == "__main__":
    sys.exit(main())
