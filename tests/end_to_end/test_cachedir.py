# SPDX-License-Identifier: GPL-2.0-or-later
"""Cache directories that someone was at: mended, or named; never a commit that is not whole or not the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.shale import Bench


def objects(cache: Path, kind: str) -> list[Path]:
    """The objects of the cached packages; links are left out, for a link's content can't be damaged."""
    return [path for path in cache.glob(f"pkgcache-repo/objects/*/*.{kind}") if not path.is_symlink()]


def gone(place: str) -> Callable[[Path], None]:
    """Harm: a directory is removed."""
    return lambda cache: shutil.rmtree(cache / place)


def removed(kind: str) -> Callable[[Path], None]:
    """Harm: all objects of a kind are removed."""

    def harm(cache: Path) -> None:
        for path in objects(cache, kind):
            path.unlink()

    return harm


def cut(kind: str, what: bytes = b"") -> Callable[[Path], None]:
    """Harm: all objects of a kind that hold `what` lose their ends."""

    def harm(cache: Path) -> None:
        for path in objects(cache, kind):
            if what in path.read_bytes():
                os.truncate(path, 5)

    return harm


def config(text: str) -> Callable[[Path], None]:
    """Harm: the repository of packages has another configuration."""

    def harm(cache: Path) -> None:
        (cache / "pkgcache-repo/config").write_text(text)

    return harm


def a_file_for_work(cache: Path) -> None:
    shutil.rmtree(cache / "work")
    (cache / "work").touch()


def a_file_out_of_the_checkout(cache: Path) -> None:
    (cache / "work/lower/usr/lib/os-release").unlink()


def a_deep_tree_from_a_script(cache: Path) -> None:
    """Deeper than any stack, where the next run has to clear up."""
    dig = "import os, sys; os.chdir(sys.argv[1])\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
    subprocess.run(["python3", "-c", dig, cache / "work/upper"], check=True)


def pruned(cache: Path) -> None:
    argv = ["ostree", "prune", "--refs-only", f"--repo={cache / 'pkgcache-repo'}"]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


MENDED = {
    "branches gone": gone("pkgcache-repo/refs"),
    "objects gone": gone("pkgcache-repo/objects"),
    "tmp gone": gone("pkgcache-repo/tmp"),
    "metadata gone": gone("rpm-md"),
    "commits gone": removed("commit"),
    "trees gone": removed("dirtree"),
    "files gone": removed("file"),
    "pruned": pruned,
    "checkout gone": gone("work/lower"),
    "checkout changed": a_file_out_of_the_checkout,
    "a deep tree": a_deep_tree_from_a_script,
}
NAMED = {
    "trees cut": cut("dirtree"),
    "a file cut": cut("file", b"polite"),
    "another mode": config("[core]\nrepo_version=1\nmode=bare-user\n"),
    "no mode": config(""),
    "work is a file": a_file_for_work,
}


@pytest.mark.parametrize("case", MENDED)
def test_is_mended(bench: Bench, case: str) -> None:
    bench.compose()
    expected = bench.commit()
    bench.init()
    MENDED[case](bench.cachedir)
    bench.compose("--force-nocache")
    assert bench.commit() == expected
    bench.check()


@pytest.mark.parametrize(
    ("case", "mode"), [*((case, "bare") for case in NAMED), ("trees cut", "archive"), ("a file cut", "archive")]
)
def test_is_named(bench: Bench, case: str, mode: str) -> None:
    bench.compose()
    bench.init(mode)
    NAMED[case](bench.cachedir)
    done = bench.compose("--force-nocache", status=8)
    assert str(bench.cachedir) in done.stderr
    assert bench.refs() == {}
    shutil.rmtree(bench.cachedir)
    bench.compose("--force-nocache")
    bench.check()
