# SPDX-License-Identifier: GPL-2.0-or-later
"""What composing costs, beside dnf and ostree doing the same in the same run.

    python -m benchmarks.compose [--runs N] [--output FILE] [--quick] [--synthetic]

Writes FILE: {name: {"median": x, "runs": [x, …]}}, beside it FILE's name with `.environment.json`, and a table
to stdout. A ratio is made of two figures of the same run. In each run both sides start from nothing, then
compose again with nothing and with one package changed; which side goes first alternates. Before a figure
counts, both results must hold the same packages. A missed target is said, and is no error.

The peer's incremental way is measured twice: `one_changed_vs_incremental` is against the root as dnf left it,
`one_changed_vs_linked_root` against the quickest that can be had, a root of hard links to the repository, which
scripts can damage (see `Peer.prepare_linked`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import BenchmarkError, Cost, check_cpu
from benchmarks.sides import Ours, Peer, decompress_all, environment, key_of
from benchmarks.subject import Rpm, Subject, find_rpms, open_subject, output, write_jobs, write_update
from benchmarks.synthetic import make_synthetic
from rpmtree.files import remove_tree

TOP = Path(__file__).resolve().parent.parent
#: Names of figures that must not be above a limit.
TARGETS = {
    "cold_compose_cpu": 0.55,
    "cold_compose_wall": 0.50,
    "one_changed_wall": 0.15,
    "one_changed_vs_incremental": 0.6,
    "nothing_changed_s": 0.8,
    "nothing_changed_ratio": 0.10,
    "compose_peak_mb": 200,
    "import_cpu": 3.3,
}
#: Load by others, in CPUs, from which on times are not to be believed.
_NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Setting:
    """All that the runs need."""

    subject: Subject
    rpms: Sequence[Rpm]
    newer: Rpm
    jobs: Path
    #: Where `newer` is.
    extra: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 1 if the comparison could not be made."""
    args = _arguments(argv)
    try:
        figures, facts = _benchmark(args)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(summary(figures), indent=2) + "\n")
    args.output.with_suffix(".environment.json").write_text(json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(figures)))
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compose", description="Measure against dnf and ostree.")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="paired runs that count (5)")
    parser.add_argument("--output", type=Path, default=TOP / "build/bench.json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="one run, and none before it to warm up")
    parser.add_argument("--treefile", type=Path, default=TOP / "treefiles/granite-12.yaml", help="what is composed")
    parser.add_argument("--synthetic", action="store_true", help="compose made-up packages instead")
    parser.add_argument("--work", type=Path, default=TOP / "build/bench", metavar="DIR", help="emptied first")
    return parser.parse_args(argv)


def _benchmark(args: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, object]]:
    if os.geteuid() != 0:
        raise BenchmarkError("both sides need root")
    work: Path = args.work.absolute()
    remove_tree(work)
    work.mkdir(parents=True)
    treefile = make_synthetic(work / "synthetic") if args.synthetic else args.treefile.absolute()
    setting = _prepare(treefile, work)
    refused = ""
    try:
        seen = check_cpu(work, work / "control.log", environment(work))
        print(f"control: of 1 s burned in a sandbox {seen:.2f} s were seen")
    except BenchmarkError as error:
        refused = str(error)
        print(f"warning: no figures about CPU: {refused}", file=sys.stderr)
    facts = _facts(setting, refused)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    runs, warm_up = (1, 0) if args.quick else (args.runs, 1)
    figures: dict[str, list[float]] = {}
    for number in range(-warm_up, runs):
        found = _run(setting, work / f"run-{number + 1}", peer_first=number % 2 == 0)
        print(f"run {number + 1}" if number >= 0 else "warm-up", *_short(found), flush=True)
        if number >= 0:
            for name, value in found.items():
                if not (refused and "cpu" in name):
                    figures.setdefault(name, []).append(round(value, 4))
    remove_tree(work)
    return figures, facts


def _prepare(treefile: Path, work: Path) -> Setting:
    """Compose once to learn the packages, and make the newer build of one."""
    subject = open_subject(treefile, work)
    trial = Ours(subject, work / "trial")
    trial.prepare()
    trial.compose(subject.before)
    rpms = find_rpms(subject, trial.packages())
    newer = write_update(subject, treefile, rpms)
    return Setting(subject, rpms, newer, write_jobs(subject, rpms), subject.after.parent)


def _run(setting: Setting, work: Path, *, peer_first: bool) -> dict[str, float]:
    """One paired run in the new directory `work`: all figures. Raises BenchmarkError where the sides differ."""
    subject, ours, peer = setting.subject, Ours(setting.subject, work / "ours"), Peer(setting.subject, work / "peer")
    ours.prepare()
    peer.prepare(setting.extra)
    for rpm in setting.rpms:
        rpm.path.read_bytes()  # warm page cache
    cold_peer, cold_ours = _both(peer.cold, lambda: ours.compose(subject.before), peer_first=peer_first)
    _check_same([rpm.nevra for rpm in setting.rpms], ours.packages(), peer.packages(peer.kept))
    if not peer.knows_keys():
        raise BenchmarkError("dnf has recorded no signing key: it can't have checked signatures")
    nothing = ours.compose(subject.before)
    if "No apparent changes" not in nothing.stdout:
        raise BenchmarkError("composing again with nothing changed made a commit")
    name, key = setting.newer.name, key_of(setting.extra)
    peer.prepare_linked(key)
    upgrade, one = _both(lambda: peer.upgrade_linked(name), lambda: ours.compose(subject.after), peer_first=peer_first)
    peer.forget_last()
    peer.prepare_kept(key)
    upgrade_kept = peer.upgrade_kept(name)
    wanted = [setting.newer.nevra if rpm.name == name else rpm.nevra for rpm in setting.rpms]
    _check_same(wanted, ours.packages(), peer.packages(peer.linked), peer.packages(peer.kept))
    imported, floor = ours.import_all(setting.jobs), decompress_all(setting.jobs, subject.work)
    return {
        "cold_compose_cpu": cold_ours.cpu / cold_peer.cpu,
        "cold_compose_wall": cold_ours.wall / cold_peer.wall,
        "one_changed_wall": one.wall / cold_peer.wall,
        # The kept root is the one that dnf made; that of hard links, which no dnf makes, is beside it.
        "one_changed_vs_incremental": one.wall / upgrade_kept.wall,
        "one_changed_vs_linked_root": one.wall / upgrade.wall,
        "nothing_changed_s": nothing.wall,
        "nothing_changed_ratio": nothing.wall / cold_peer.wall,
        "compose_peak_mb": max(cost.peak_mb for cost in (cold_ours, nothing, one)),
        "import_cpu": imported.cpu / floor.cpu,
        "cold_compose_wall_s": cold_ours.wall,
        "cold_compose_cpu_s": cold_ours.cpu,
        "peer_cold_wall_s": cold_peer.wall,
        "peer_cold_cpu_s": cold_peer.cpu,
        "one_changed_wall_s": one.wall,
        "one_changed_cpu_s": one.cpu,
        "peer_incremental_wall_s": upgrade_kept.wall,
        "peer_incremental_cpu_s": upgrade_kept.cpu,
        "peer_linked_root_wall_s": upgrade.wall,
        "peer_linked_root_cpu_s": upgrade.cpu,
        "nothing_changed_cpu_s": nothing.cpu,
        "import_wall_s": imported.wall,
        "import_cpu_s": imported.cpu,
        "import_floor_cpu_s": floor.cpu,
        "import_peak_mb": imported.peak_mb,
        "peer_peak_mb": max(cold_peer.peak_mb, upgrade.peak_mb),
        "other_load": max(cost.others for cost in (cold_ours, cold_peer, nothing, one, upgrade, upgrade_kept)),
    }


def _both(peer: Callable[[], Cost], ours: Callable[[], Cost], *, peer_first: bool) -> tuple[Cost, Cost]:
    """Both results, the peer's first, whichever was made first."""
    if peer_first:
        return peer(), ours()
    mine = ours()
    return peer(), mine


def _check_same(wanted: Sequence[str], *results: Sequence[str]) -> None:
    for found in results:
        if different := set(found) ^ set(wanted):
            raise BenchmarkError(f"the results differ in packages: {', '.join(sorted(different))}")


def _facts(setting: Setting, refused: str) -> dict[str, object]:
    """What the figures depend on."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), "unknown")
    work = str(setting.subject.work)
    versions = {
        name: output([name, "--version"]).strip().splitlines()[at].strip(" '")
        for name, at in (("dnf", 0), ("rpm", 0), ("ostree", 1), ("bwrap", 0))
    }
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "cpu model": model,
        "kernel": platform.release(),
        "file system": output(["findmnt", "-no", "FSTYPE", "-T", work]).strip(),
        "load before": os.getloadavg()[0],
        "python": platform.python_version(),
        **versions,
        "compose": output([str(Path(sys.executable).with_name("compose")), "--version"]).strip(),
        "packages": len(setting.rpms),
        "payload MB": round(sum(rpm.path.stat().st_size for rpm in setting.rpms) / 1e6, 1),
        "changed package": f"{setting.newer.nevra}, {setting.newer.path.stat().st_size} bytes",
        "cpu figures": refused or "control passed",
    }


def summary(figures: Mapping[str, Sequence[float]]) -> dict[str, dict[str, object]]:
    """The document of the output file."""
    return {name: {"median": statistics.median(runs), "runs": list(runs)} for name, runs in figures.items()}


def table(figures: Mapping[str, Sequence[float]], targets: Mapping[str, float] = TARGETS) -> list[str]:
    """Lines that say what was found, and how it compares with the targets."""
    form = "{:<28}{:>9}{:>9}{:>9}  {:<9}{}"
    lines = ["", form.format("", "median", "least", "most", "target", "verdict")]
    for name, runs in figures.items():
        median, limit = statistics.median(runs), targets.get(name)
        target = "" if limit is None else f"<= {limit:g}"
        numbers = (f"{value:.3f}" for value in (median, min(runs), max(runs)))
        lines.append(form.format(name, *numbers, target, verdict(median, limit)).rstrip())
    lines += [f"{name:<28}not measured" for name in targets if name not in figures]
    if max(figures.get("other_load", [0.0])) > _NOISE:
        lines.append(f"The machine was busy with other things too (other_load > {_NOISE} CPUs): measure again.")
    return lines


def verdict(median: float, limit: float | None) -> str:
    """Whether a figure is within its limit; nothing for one that has none."""
    if limit is None:
        return ""
    return "ok" if median <= limit else "MISSED"


def _short(found: Mapping[str, float]) -> list[str]:
    names = ("cold_compose_wall_s", "peer_cold_wall_s", "one_changed_wall_s", "peer_incremental_wall_s")
    return [f"{name} {found[name]:.2f}" for name in (*names, "nothing_changed_s", "other_load")]


if __name__ == "__main__":
    sys.exit(main())
