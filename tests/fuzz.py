# SPDX-License-Identifier: GPL-2.0-or-later
"""Parsers of what strangers write, against inputs that nobody has thought of: they refuse, and never fail.

    python -m tests.fuzz TARGET... [--runs N] [--state DIR]

Each target is run in a process of its own by atheris (libFuzzer), which looks for inputs that reach new code. What it
learned and how often it ran are kept in DIR, so that runs add up. The status is 1 where an input made a parser fail: it
is in DIR/TARGET/finds, and belongs into tests/fuzz_finds/TARGET, which tests/unit/test_fuzz.py goes through.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from rpmtree.errors import ConfigError

TOP = Path(__file__).resolve().parent.parent
FINDS = TOP / "tests/fuzz_finds"
#: Bytes of an input.
_LONGEST = 2048


def treefile(data: bytes) -> None:
    """A treefile with what it includes: the first byte decides how it is read."""
    from compose.load import load

    path = _scratch() / ("t.yaml", "t.json", "t.ks")[data[0] % 3 if data else 0]
    path.write_bytes(data[1:])
    try:
        loaded = load(path, basearch="x86_64", within=[path.parent])
    except ConfigError as error:
        _check_place(error)
        return
    # What is printed must read back as the same.
    again = path.with_name("again.json")
    again.write_text(loaded.to_text())
    assert load(again, basearch="x86_64", within=[path.parent]).to_text() == loaded.to_text()


def condition(data: bytes) -> None:
    """A condition of an include."""
    from compose.conditions import holds

    try:
        holds(data.decode("utf-8", "replace"), {"a": True, "b": 7, "basearch": "x86_64", "releasever": 41})
    except ValueError:
        return


def lockfile(data: bytes) -> None:
    """A lockfile."""
    from compose.lockfile import read

    path = _scratch() / "lock.json"
    path.write_bytes(data)
    try:
        read([path])
    except ConfigError as error:
        _check_place(error)


def kickstart(data: bytes) -> None:
    """The package list of a kickstart file."""
    from compose.kickstart_packages import parse

    try:
        parse(data.decode("utf-8", "replace"), "t.ks")
    except ConfigError as error:
        _check_place(error)


def installation(data: bytes) -> None:
    """A kickstart file that installs a machine: the first byte decides whether the reader is lenient."""
    from kickstart.reading import read

    path = _scratch() / "install.ks"
    path.write_bytes(data[1:])
    try:
        found, _ = read(path, lenient=bool(data) and bool(data[0] % 2), basearch="x86_64")
    except ConfigError as error:
        _check_place(error)
        return
    # What was let through has no way out of a line of fstab, passwd or a boot loader entry.
    accounts = (found.root, *found.users)
    texts = [text for one in accounts for text in (one.name, one.gecos, one.home, one.shell, one.password, *one.groups)]
    texts += [text for one in found.partitions for text in (one.mountpoint, one.label, *one.options)]
    texts += [*found.kernel_arguments, *found.enabled, *found.disabled, found.hostname, found.lang, found.keyboard]
    assert not any(character in text for text in texts if text for character in "\n\r\t\0")
    assert not any(one.mountpoint.startswith(("/usr", "/etc")) or ".." in one.mountpoint for one in found.partitions)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "treefile": treefile,
    "condition": condition,
    "lockfile": lockfile,
    "kickstart": kickstart,
    "installation": installation,
}
#: Inputs to begin with.
SEEDS: Mapping[str, Sequence[bytes]] = {
    "treefile": (
        b"\0ref: a/${basearch}\npackages: [a b, \"'c >= 1'\"]\npackages-x86_64:\n- d\n-\nvariables: {x: 1}\n"
        b"conditional-include:\n- if: [x == 1]\n  include: {repos: [r]}\narch-include: {x86_64: t.yaml}\n",
        b"\0repo-packages: {a: [b]}\nadd-files: [[a, usr/b]]\ncheck-passwd: {type: data, entries: {root: [0, 0]}}\n"
        b"edition: 2024\nmetadata: &a {b: [1, 2.5, null, true]}\nadd-commit-metadata: *a\nreleasever: 41\n",
        # Mistakes that are gone past.
        b"\0ref: !t a\nref: b\nselinux: 3\n[k]: v\nunits: &u [a]\nrepos: *v\nmetadata: {<<: *u, a: 1, a: 2}\nodd: 1\n"
        b"include: [none.yaml, t.yaml]\nconditional-include: [{if: [q == 1, a], include: {b: 1}}]\nosname: ${z}\n",
        b'\1{"ref": "a", "include": ["t.json"], "comment": 1, "packages": ["a"], "rojig": {"name": "${x}"}}',
        b"\2%include t.ks\n%packages --exclude-weakdeps\na # b\n-c\n@d\n%end\n",
    ),
    "condition": (b'basearch == "x86_64"', b"releasever >= 41", b"a != true"),
    "lockfile": (
        b'{"packages": {"a": {"evra": "1:2-3.x86_64", "digest": "sha256:0", "metadata": {}}, '
        b'"b.noarch": {"evr": "1-2"}}, '
        b'"metadata": {"generated": "2020-01-01T00:00:00Z", "rpmmd_repos": {"a": {"generated": "x"}}}}',
    ),
    "kickstart": (b"%include a.ks\n%packages --exclude-weakdeps\na # b\n-c\n@d\n%end\n",),
    "installation": (
        b"\0ostreesetup --osname=a --remote=b --url=https://x/ --ref=a/${basearch} --nogpg\nlang C\nkeyboard us\n"
        b"timezone --utc Etc/UTC\nnetwork --hostname=a\nservices --enabled=a,b --disabled=c\nselinux --enforcing\n",
        b"\0part /boot --size=300 --fstype=xfs --label=b --asprimary\npart / --grow --size=1 --maxsize=9\n"
        b"part /var --size=5 --fsoptions='noatime,x=y'\nbootloader --append='a b=\"c d\"' --timeout=1\nreqpart\n",
        b"\0rootpw --lock --iscrypted locked\nuser --name=a --groups='b,c(5)' --uid=1000 --gecos='d e'\n"
        b"group --name=c --gid=5\nsshkey --username=a 'ssh-ed25519 AAAA'\nautopart --type=plain --nohome\n",
        b"\1text\nvolgroup a pv.1\nlogvol / --name=a --vgname=a\n%include install.ks\n%post --erroronfail\na\n%end\n"
        b"%packages\na\n%end\n%pre\nb\n%end\nunheard-of 'of\n",
    ),
}


def _check_place(error: ConfigError) -> None:
    if error.place is None:
        raise AssertionError("an error without a place") from error


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None)


def _scratch() -> Path:
    return Path(_directory().name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run targets one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="+", choices=[*TARGETS, "all"], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--runs", type=int, default=100_000, metavar="N", help="more executions of each (100000)")
    parser.add_argument("--state", type=Path, default=TOP / "build/fuzz", metavar="DIR")
    args = parser.parse_args(argv)
    names = list(TARGETS) if "all" in args.targets else args.targets
    return max(_fuzz(name, args.runs, args.state / name) for name in names)


def _fuzz(name: str, runs: int, state: Path) -> int:
    for directory in ("corpus", "finds"):
        (state / directory).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (state / "corpus" / f"seed-{number}").write_bytes(seed)
    count = state / "runs.json"
    before = json.loads(count.read_text()) if count.exists() else 0
    argv = [
        sys.executable,
        "-c",
        f"from tests import fuzz; fuzz.child({name!r})",
        f"-runs={runs}",
        f"-max_len={_LONGEST}",
    ]
    argv += [f"-artifact_prefix={state}/finds/", "-print_final_stats=1", "-timeout=10", str(state / "corpus")]
    done = subprocess.run(argv, cwd=TOP, stderr=subprocess.PIPE, text=True, check=False)
    line = next((line for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units:")), None)
    executed = int(line.rpartition(" ")[2]) if line else 0
    count.write_text(json.dumps(before + executed))
    print(f"{name}: {executed} more, {before + executed} in all, status {done.returncode}", flush=True)
    if done.returncode != 0:
        print(done.stderr[-4000:])
    return 1 if done.returncode != 0 else 0


def child(name: str) -> None:
    """The process that runs one target, with libFuzzer's options as its arguments."""
    import atheris

    with atheris.instrument_imports(include=["compose", "kickstart"]):
        import kickstart.reading  # noqa: F401
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
