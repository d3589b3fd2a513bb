# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose extensions` on a composed Shale: what comes, what doesn't come again, what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.end_to_end.shale import REF, Bench, Done, Shale, run_verb
from tests.support.openpgp import Key
from tests.support.rpms import make_repo, repo_file, rpm

MORE = (
    rpm("tracer", files={"/usr/bin/tracer": "t"}, requires=["libtrace", "libstone >= 3"], recommends=["manual"]),
    rpm("libtrace", files={"/usr/lib/libtrace.so": "l"}),
    rpm("kernel-devel", version="6.0", arch="x86_64", files={"/usr/src/kernels/6.0/Makefile": "m"}),
    rpm("kernel-devel", version="6.1", arch="x86_64", files={"/usr/src/kernels/6.1/Makefile": "m"}),
    rpm("libstone", version="4"),
    rpm("clash", conflicts=["greeter"]),
)
EXTENSIONS = {
    "repos": ["more"],
    "extensions": {
        "tracing": {"packages": ["tracer"], "repos": ["more"]},
        "kernel-devel": {"kind": "development", "match-base-evr": "kernel"},
        "elsewhere": {"packages": ["nowhere"], "architectures": ["s390x"]},
    },
}


@pytest.fixture(scope="module")
def composed(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench whose branch has a commit; tests change other directories alone."""
    bench = Bench(tmp_path_factory.mktemp("extensions"), shale)
    bench.compose()
    bench.add_repo("more", MORE)
    bench.treefile["repos"] = ["shale"]
    bench.treefile["exclude-packages"] = ["tracer"]
    return bench


def extend(bench: Bench, where: Path, document: object, *options: str, status: int = 0) -> Done:
    """Run it into `where`/out for the document, which is written beside."""
    path = where / "ext.yaml"
    path.write_text(json.dumps(document))
    words = (f"--output-dir={where / 'out'}", f"--cachedir={bench.cachedir}", *options, bench.treefile_path, path)
    return run_verb(bench, "extensions", *words, status=status)


def rpms(where: Path) -> list[str]:
    return sorted(path.name for path in (where / "out").glob("*.rpm"))


def test_what_the_base_lacks_comes_once(composed: Bench, tmp_path: Path) -> None:
    stamp, repo = tmp_path / "changed", f"--repo={composed.repo}"
    options = (repo, f"--base-rev={composed.commit()}", f"--touch-if-changed={stamp}")
    assert extend(composed, tmp_path, EXTENSIONS, *options).stdout == f"Wrote 3 packages to {tmp_path / 'out'}\n"
    expected = ["kernel-devel-6.0-1.x86_64.rpm", "libtrace-1.0-1.noarch.rpm", "tracer-1.0-1.noarch.rpm"]
    assert rpms(tmp_path) == expected
    source = composed.top / "rpms-more"
    assert all((tmp_path / "out" / name).read_bytes() == (source / name).read_bytes() for name in expected)
    assert json.loads((tmp_path / "out/extensions.json").read_text()) == {
        "repos": ["more"],
        "extensions": {
            "kernel-devel": {"packages": ["kernel-devel-6.0-1"], "match-base-evr": "kernel", "kind": "development"},
            "tracing": {"packages": ["tracer"], "kind": "os-extension"},
        },
    }
    os.utime(stamp, (1, 1))
    assert extend(composed, tmp_path, EXTENSIONS, *options).stdout == "No change.\n"
    assert stamp.stat().st_mtime == 1
    (tmp_path / "out" / expected[1]).unlink()
    assert json.loads(extend(composed, tmp_path, EXTENSIONS, *options, "--json").stdout)["changed"] is True
    assert rpms(tmp_path) == expected
    assert stamp.stat().st_mtime > 1
    less = {**EXTENSIONS, "extensions": {"tracing": {"packages": ["tracer"]}}}
    assert "kernel-devel-6.0-1.x86_64.rpm" in extend(composed, tmp_path, less, *options).stderr
    assert (tmp_path / "out/.rpm-ostree-state-chksum").exists()


def test_the_branch_or_a_root_may_be_the_base(composed: Bench, tmp_path: Path) -> None:
    extend(composed, tmp_path, EXTENSIONS, f"--repo={composed.repo}")
    expected = rpms(tmp_path)
    run_verb(composed, "install", f"--cachedir={composed.cachedir}", composed.treefile_path, tmp_path / "dest")
    with_root = tmp_path / "with-root"
    with_root.mkdir()
    extend(composed, with_root, EXTENSIONS, f"--rootfs={tmp_path / 'dest/rootfs'}")
    assert rpms(with_root) == expected
    assert [extend(composed, tmp_path, EXTENSIONS, *options, status=status).status for options, status in [
        ((), 2),
        ((f"--repo={composed.repo}", f"--base-rev={REF}", f"--rootfs={tmp_path}"), 2),
        ((f"--repo={composed.repo}", "--base-rev=no/such"), 8),
        ((f"--rootfs={tmp_path}",), 8),
    ]] == [2, 2, 8, 8]  # fmt: skip


@pytest.mark.parametrize(
    ("extensions", "status", "named"),
    [
        ({"a": {"packages": ["tracer", "greeter"]}}, 3, "ext.yaml:1:"),
        ({"a": {"packages": ["clash"]}}, 4, "clash"),
        ({"a": {"packages": ["absent"]}}, 4, "absent"),
        ({"a": {"packages": ["'libstone = 5'"], "kind": "development"}}, 4, "libstone = 5"),
        ({"a": {"packages": ["tracer"], "repos": ["unknown"]}}, 3, "unknown"),
    ],
)
def test_what_does_not_fit_is_refused(
    composed: Bench, tmp_path: Path, extensions: object, status: int, named: str
) -> None:
    document = {"repos": ["more"], "extensions": extensions}
    assert named in extend(composed, tmp_path, document, f"--repo={composed.repo}", status=status).stderr
    assert rpms(tmp_path) == []
    assert not (tmp_path / "out/extensions.json").exists()


def test_repositories_beside_the_document(composed: Bench, tmp_path: Path) -> None:
    """Who publishes extensions may have .repo files that the base does not know; the treefile's go before them."""
    document, options = {"repos": ["aside"], "extensions": {"tracer": {}}}, f"--repo={composed.repo}"
    assert "aside" in extend(composed, tmp_path, document, options, status=3).stderr
    where = make_repo(tmp_path / "rpms", MORE, key=composed.shale.key)
    repo_file(tmp_path / "aside.repo", "aside", where, gpgcheck=True, gpgkey=composed.shale.key)
    repo_file(tmp_path / "shale.repo", "shale", tmp_path / "nowhere", gpgcheck=True, gpgkey=composed.shale.key)
    extend(composed, tmp_path, document, options, "--layer-repo=/not/looked/at")
    assert rpms(tmp_path) == ["libtrace-1.0-1.noarch.rpm", "tracer-1.0-1.noarch.rpm"]


@pytest.mark.parametrize(("key", "status"), [(None, 0), (Key.generate("Stranger <stranger@localhost>"), 5)])
def test_packages_must_be_signed(bench: Bench, tmp_path: Path, key: Key | None, status: int) -> None:
    bench.compose()
    bench.add_repo("other", [rpm("tracer")], key=key)
    bench.treefile["repos"] = ["shale"]
    document = {"extensions": {"tracer": {"repos": ["other"]}}}
    extend(bench, tmp_path, document, f"--repo={bench.repo}", status=status)
    assert rpms(tmp_path) == ([] if status else ["tracer-1.0-1.noarch.rpm"])


def test_what_is_in_the_base_may_be_asked_for_to_build_with(composed: Bench, tmp_path: Path) -> None:
    """As they are: what they need is not looked for, and what the base has of them says nothing."""
    wanted = {
        "own": {"packages": ["libstone"], "match-base-evr": "libstone", "kind": "development"},
        "newer": {"packages": ["libstone"], "kind": "development"},
        "tracing": {"packages": ["tracer /usr/src/kernels/6.1/Makefile"], "kind": "development"},
    }
    document = {"repos": ["more"], "extensions": wanted}
    extend(composed, tmp_path, document, f"--repo={composed.repo}")
    expected = ["kernel-devel-6.1-1.x86_64.rpm", "libstone-3.1-1.noarch.rpm", "libstone-4-1.noarch.rpm",
                "tracer-1.0-1.noarch.rpm"]  # fmt: skip
    assert rpms(tmp_path) == expected
    assert extend(composed, tmp_path, document, f"--repo={composed.repo}").stdout == "No change.\n"
