# SPDX-License-Identifier: GPL-2.0-or-later
"""Composes that are stopped or killed in the middle: the repository stays whole, and the same command works next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rpmtree.files import remove_tree
from tests.end_to_end.shale import COMPOSE, REF, Bench, greeter, ostree, run_verb
from tests.support.policies import policy
from tests.support.processes import none_left
from tests.support.rpms import rpm

#: In the middle of a script: it writes this, and then waits long enough to be killed.
_SLEEPER = rpm("sleeper", requires=["shell"], post="echo >/etc/sleeping; sleep 61")


def stop(
    bench: Bench, step: str, signum: int, delay: float = 0.0, cached: bool = True, verb: Sequence[str | Path] = ()
) -> tuple[int, str]:
    """Start a compose and send it the signal `delay` after it has announced the step; gives its status and stderr.

    `verb` is another one than `tree`, with its arguments.
    """
    read, write = os.pipe()
    argv = bench.argv("--force-nocache", f"--progress-fd={write}", cached=cached)
    if verb:
        argv = [str(COMPOSE), *map(str, verb), f"--progress-fd={write}"]
    with subprocess.Popen(argv, pass_fds=(write,), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(write)
        with os.fdopen(read) as events:
            for line in events:
                event = json.loads(line)
                if event["event"] == "step_started" and event["name"] == step:
                    time.sleep(delay)
                    process.send_signal(signum)
                    break
            else:
                pytest.fail(f"the step {step} did not come: {process.stderr.read() if process.stderr else ''!r}")
            for _ in events:
                pass
        _, stderr = process.communicate(timeout=60)
    assert b"Traceback" not in stderr
    return process.returncode, stderr.decode()


def steps(bench: Bench) -> list[str]:
    """What a compose announces, in its order."""
    read, write = os.pipe()
    with subprocess.Popen(
        bench.argv("--force-nocache", f"--progress-fd={write}"), pass_fds=(write,), stdout=subprocess.DEVNULL
    ) as process:
        os.close(write)
        with os.fdopen(read) as events:
            found = [event["name"] for event in map(json.loads, events) if event["event"] == "step_started"]
    assert process.returncode == 0
    return found


@pytest.mark.parametrize(
    ("signum", "delay"),
    [
        (signal.SIGINT, 0.0),
        (signal.SIGINT, 0.04),
        (signal.SIGTERM, 0.02),
        (signal.SIGKILL, 0.0),
        (signal.SIGKILL, 0.04),
    ],
)
def test_stopped_at_each_step(bench: Bench, signum: signal.Signals, delay: float) -> None:
    bench.compose()
    first = bench.commit()
    bench.add_repo("updates", [greeter("2.2")])
    announced = [step for step in steps(bench) if step not in ("Fetching", "Importing")]  # now in the cache
    second = bench.commit()
    scratch = bench.state()["scratch"]
    assert len(announced) >= 5
    for step in announced:
        ostree(bench.repo, "reset", REF, first)
        before = bench.state()
        status, stderr = stop(bench, step, signum, delay)
        none_left(str(bench.top))
        # The signal may come when all is done, and while Python ends.
        done = bench.commit() == second
        assert done or status == (-signum if signum == signal.SIGKILL else 128 + signum), (step, stderr)
        # Between the objects and the branch there is a moment that only SIGKILL shows.
        if not done and signum != signal.SIGKILL and step != "Publishing":
            assert bench.state() == before, step
        bench.check()
        assert bench.commit() in (first, second)
    ostree(bench.repo, "reset", REF, first)
    bench.compose()
    assert bench.commit() == second
    bench.check()
    ostree(bench.cachedir / "pkgcache-repo", "fsck", "--quiet")
    # SIGKILL may leave the one line of a branch to be; libostree clears repo/tmp of what is a day old.
    left = [path for path in (bench.repo / "tmp").iterdir() if path.is_dir() or path.stat().st_size > 65]
    assert [path.name for path in left if path.name != "cache"] == scratch


@pytest.mark.parametrize("step", ["Solving", "Fetching", "Importing"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_stopped_before_there_is_a_cache(bench: Bench, signum: signal.Signals, step: str) -> None:
    before = bench.state()
    stop(bench, step, signum, delay=0.05)
    none_left(str(bench.top))
    assert bench.state() == before
    bench.compose()
    bench.check()
    ostree(bench.cachedir / "pkgcache-repo", "fsck", "--quiet")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_a_script(bench: Bench, signum: signal.Signals) -> None:
    bench.add_repo("slow", [_SLEEPER])
    bench.treefile["packages"] = ["greeter", "kernel", "sleeper"]
    started = time.monotonic()
    assert stop(bench, "Running scripts", signum, delay=1)[0] != 0
    assert time.monotonic() - started < 20
    none_left("sleep 61")
    assert bench.refs() == {}
    bench.treefile["packages"] = ["greeter", "kernel"]
    bench.compose()
    bench.check()


def test_stopped_while_files_are_labelled(bench: Bench) -> None:
    many = rpm("many", files={f"/usr/share/many/{at}": f"{at}\n" for at in range(4000)})
    bench.add_repo("policy", [policy(), many])
    bench.treefile |= {"packages": ["greeter", "kernel", "stone-policy", "many"], "selinux": True}
    state = bench.state()
    assert stop(bench, "Committing", signal.SIGTERM, delay=0.2)[0] == 128 + signal.SIGTERM
    none_left(str(bench.cachedir))
    assert bench.state() == state
    bench.compose()
    bench.check()
    assert "usr_t" in ostree(bench.repo, "ls", "-X", REF, "/usr/share/many/3999")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_a_plain_root_is_whole_or_not_there(bench: Bench, signum: signal.Signals) -> None:
    dest = bench.top / "dest"
    verb = ("install", bench.treefile_path, dest)
    stop(bench, "Running scripts", signum, verb=verb)
    none_left(str(bench.top))
    assert not (dest / "rootfs").exists()
    stop(bench, "Copying", signum, verb=verb)
    stopped = len(list(dest.glob("rootfs/**/*")))
    remove_tree(dest / "rootfs")
    run_verb(bench, *verb)
    assert stopped in (0, len(list(dest.glob("rootfs/**/*"))))
    assert [path.name for path in dest.iterdir()] == ["rootfs"]


def test_killed_without_a_cachedir_the_next_run_clears_up(bench: Bench) -> None:
    assert stop(bench, "Committing", signal.SIGKILL, cached=False)[0] == -signal.SIGKILL
    bench.compose(cached=False)
    bench.check()
    assert bench.state()["scratch"] == []


def test_two_at_once_with_one_cachedir(bench: Bench) -> None:
    """One composes, the other is told that it is busy, and by whom."""
    bench.add_repo("slow", [rpm("sleeper", requires=["shell"], post="sleep 3")])
    bench.treefile["packages"] = ["greeter", "kernel", "sleeper"]
    with subprocess.Popen(bench.argv(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        for _ in range(100):
            if (bench.cachedir / "work").exists():
                break
            time.sleep(0.05)
        done = bench.compose(status=75)
        assert str(first.pid) in done.stderr
        first.communicate(timeout=60)
        assert first.returncode == 0
    bench.check()


def test_two_at_once_into_one_repository(bench: Bench) -> None:
    argvs = []
    for name in ("one", "two"):
        bench.treefile["ref"] = f"shale/{name}"
        argv = bench.argv(cached=False)
        treefile = bench.top / f"{name}.yaml"
        treefile.write_text(json.dumps(bench.treefile))
        argvs.append([*argv[:-1], f"--cachedir={bench.top / name}", str(treefile)])
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for argv in argvs]
    for process in started:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
    assert set(bench.refs()) == {"shale/one", "shale/two"}
    bench.check()
