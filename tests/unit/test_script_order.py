# SPDX-License-Identifier: GPL-2.0-or-later
"""Which scripts run, when, with what arguments and input."""

from __future__ import annotations

import pytest

from rpmtree.root.script_order import OwnersStep, ScriptRun, plan_scripts
from rpmtree.rpm.package import Package, Scriptlet
from tests.support.scriptvalues import LUA, SH, file, package, trigger


def _planned(*packages: Package, skipped: frozenset[str] = frozenset(), kernel_install: bool = False) -> list[str]:
    return [_shown(step) for step in plan_scripts(packages, skipped=skipped, kernel_install=kernel_install)]


def _shown(step: ScriptRun | OwnersStep) -> str:
    if isinstance(step, OwnersStep):
        return f"{step.package.name} owners"
    mark = f" {step.script.body}" if step.script.body != "true" else ""
    files = "" if step.stdin is None else ": " + " ".join(step.stdin)
    return f"{step.package.name} {step.phase}{mark} {' '.join(map(str, step.arguments))}{files}"


def _scripts_only(*packages: Package) -> list[str]:
    return [line for line in _planned(*packages) if not line.endswith(" owners")]


def test_frame() -> None:
    phases = dict.fromkeys(("pretrans", "pre", "post", "posttrans", "preun", "postun"), "true")
    assert _planned(package("a", **phases), package("b", **phases)) == [
        "a pretrans 1", "b pretrans 1", "a pre 1", "b pre 1", "a owners", "a post 1", "b owners", "b post 1",
        "a posttrans 1", "b posttrans 1",
    ]  # fmt: skip


def test_triggers_as_rpm_4_18_was_seen_to_run_them() -> None:
    """Three packages that trigger on each other and on each other's files; the lines are those of `rpm -i`."""

    def one(name: str) -> Package:
        triggers = [trigger("triggerin", "aaa", "bbb", "ccc"), trigger("triggerprein", "aaa", "bbb", "ccc")]
        for priority, body in ((100, "low"), (200000, "high")):
            triggers.append(trigger("filetriggerin", "/x", body=body, priority=priority))
            triggers.append(trigger("transfiletriggerin", "/x/a", "/x/b", body=body, priority=priority))
        return package(
            name, files=[file(f"/x/{name}"), file(f"/x/{name}/f")], triggers=triggers, pre="true", post="true"
        )

    a, b, c = (f"/x/{name} /x/{name}/f" for name in ("aaa", "bbb", "ccc"))
    assert _scripts_only(one("ccc"), one("bbb"), one("aaa")) == [
        "ccc pre 1",
        "ccc triggerprein 1 0",
        "bbb triggerprein 0 1",
        "bbb pre 1",
        "ccc triggerprein 1 0",
        "bbb triggerprein 1 0",
        "aaa triggerprein 0 1",
        "aaa pre 1",
        f"ccc filetriggerin high 0: {c}",
        "ccc post 1",
        "ccc triggerin 1 1",
        "ccc triggerin 1 1",
        f"ccc filetriggerin low 0: {c}",
        f"ccc filetriggerin high 0: {b}",
        f"bbb filetriggerin high 0: {b}",
        f"bbb filetriggerin high 0: {c}",
        "bbb post 1",
        "ccc triggerin 1 1",
        "bbb triggerin 1 1",
        "bbb triggerin 1 1",
        f"ccc filetriggerin low 0: {b}",
        f"bbb filetriggerin low 0: {b}",
        f"bbb filetriggerin low 0: {c}",
        f"ccc filetriggerin high 0: {a}",
        f"bbb filetriggerin high 0: {a}",
        f"aaa filetriggerin high 0: {a}",
        f"aaa filetriggerin high 0: {c} {b}",
        "aaa post 1",
        "ccc triggerin 1 1",
        "bbb triggerin 1 1",
        "aaa triggerin 1 1",
        "aaa triggerin 1 1",
        f"ccc filetriggerin low 0: {a}",
        f"bbb filetriggerin low 0: {a}",
        f"aaa filetriggerin low 0: {a}",
        f"aaa filetriggerin low 0: {c} {b}",
        f"ccc transfiletriggerin high 0: {a} {b}",
        f"ccc transfiletriggerin low 0: {a} {b}",
        f"bbb transfiletriggerin high 0: {a} {b}",
        f"bbb transfiletriggerin low 0: {a} {b}",
        f"aaa transfiletriggerin high 0: {a} {b}",
        f"aaa transfiletriggerin low 0: {a} {b}",
    ]


@pytest.mark.parametrize(
    ("sense", "evr", "runs"),
    [
        (0, "", True),
        (2, "3", True),
        (2, "2", False),
        (2 | 8, "2", True),
        (8, "2-1", True),
        (8, "2-2", False),
        (4, "1:1", False),
        (4 | 8, "2~rc1", True),
    ],
)
def test_conditions_with_versions(sense: int, evr: str, runs: bool) -> None:
    owner = package("owner", triggers=[trigger("triggerin", "other", sense=sense, evr=evr)])
    planned = _scripts_only(owner, package("other", version="2"))
    assert planned == (["owner triggerin 1 1"] if runs else [])


def test_triggers_of_removal_and_unmatched_ones_do_not_run() -> None:
    kinds = ("triggerun", "triggerpostun", "filetriggerun", "transfiletriggerun", "transfiletriggerpostun")
    owner = package(
        "owner",
        files=[file("/usr/x")],
        triggers=[
            *(trigger(kind, "other", "/usr") for kind in kinds),
            trigger("triggerin", "absent"),
            trigger("transfiletriggerin", "/opt"),
        ],
    )
    assert _scripts_only(owner, package("other")) == []


@pytest.mark.parametrize(
    ("name", "phase", "body", "interpreter", "runs"),
    [
        ("bash", "post", "x", SH, True),
        ("man-db", "posttrans", "x", SH, True),
        ("nfs-utils", "post", "x", SH, False),
        ("kernel-core", "posttrans", "x", SH, False),
        ("kernel-core", "post", "x", SH, True),
        ("kernelshark", "posttrans", "x", SH, True),
        ("p", "post", "-- rpm-ostree-skip\nx", LUA, False),
        ("p", "post", "-- rpm-ostree-skip\nx", SH, True),
        ("p", "post", "\n" * 10 + "-- rpm-ostree-skip\nx", LUA, True),
    ],
)
def test_ignored(name: str, phase: str, body: str, interpreter: tuple[str, ...], runs: bool) -> None:
    planned = plan_scripts([package(name, scripts=[Scriptlet(phase, interpreter, body)])])
    assert any(isinstance(step, ScriptRun) for step in planned) is runs


def test_skipped_by_request_and_kernel_install() -> None:
    a = package("a", pre="true", post="true")
    assert _planned(a, skipped=frozenset({"a.prein"})) == ["a owners", "a post 1"]
    assert _planned(a, skipped=frozenset({"a.post"})) == ["a pre 1", "a owners"]
    kernel = package("kernel-core", posttrans="true")
    assert _planned(kernel) == ["kernel-core owners"]
    assert _planned(kernel, kernel_install=True) == ["kernel-core owners", "kernel-core posttrans 1"]
