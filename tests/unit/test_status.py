# SPDX-License-Identifier: GPL-2.0-or-later
"""What `layer status` prints: the text to the letter, the JSON against the schema that is shipped."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from layering.classify import Dormant
from layering.origin import Extra, LocalPackage, Origin, RemoteReplacement
from layering.refspec import Branch, Commit
from layering.status import (
    AutomaticUpdates,
    CommitStatus,
    DeploymentStatus,
    Signature,
    SystemStatus,
    Transaction,
    to_json,
)
from layering.status_text import to_text
from rpmtree import command
from rpmtree.rpm.nevra import Nevra
from tests.conftest import TOP
from tests.support.schema import SCHEMA, faults

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64
META = {"version": "12.1", "rpmostree.inputhash": "ab", "rpmostree.rpmdb.pkglist": [["a", "0", "1", "1", "x"]]}
BASH, BASH_6 = Nevra.parse("bash-5-1.x86_64"), Nevra.parse("bash-6-1.x86_64")
GLIBC, GLIBC_3 = Nevra.parse("glibc-1:2-1.x86_64"), Nevra.parse("glibc-1:3-1.x86_64")

PLAIN = DeploymentStatus(
    "granite",
    0,
    CommitStatus(ONE, 1_700_000_000, "12.0", META),
    Origin(Branch("granite", "granite/12")),
    gpg_enabled=False,
)
LAYERED = DeploymentStatus(
    "granite",
    1,
    CommitStatus(TWO, 1_700_003_600, "12.1", {"rpmostree.clientlayer": True}),
    Origin(
        Branch("granite", "granite/12"),
        override_commit=THREE,
        packages=("bash", "powerline", "vi"),
        local_packages=(LocalPackage(Nevra.parse("tool-1-1.noarch"), ONE),),
        local_fileoverride=(LocalPackage(Nevra.parse("forced-1-1.noarch"), ONE),),
        removals=("ed", "nano"),
        local_replacements=(LocalPackage(BASH_6, ONE),),
        remote_replacements=(RemoteReplacement("updates", ("glibc",)),),
        regenerate_initramfs=True,
        initramfs_args=("-I", "/etc/a"),
        initramfs_etc=("/etc/crypttab",),
        follow=("tool",),
        until_newer=("bash",),
        reasons=(("bash", "crashes"), ("nano", "never")),
        extras=(Extra("rpmostree", "ex-cliwrap", "true"),),
    ),
    base=CommitStatus(ONE, 1_700_000_000, "12.1", META),
    pending_base=CommitStatus(THREE, 1_700_100_000, "12.2"),
    booted=True,
    staged=True,
    finalization_locked=True,
    pinned=True,
    boot_trial="trying 2 of 3",
    unlocked="hotfix",
    gpg_enabled=True,
    signatures=(
        Signature("gpg", "ABCD", True, "Releng", 1_700_000_000),
        Signature("ed25519", "k=", False, error="bad"),
    ),
    endoflife="Granite 12 ends in May",
    packages=("powerline", "vi"),
    base_removals=(Nevra.parse("nano-7.2-1.x86_64"),),
    base_local_replacements=((BASH_6, BASH),),
    base_remote_replacements={"updates": ((GLIBC_3, GLIBC),)},
    inactive_requests=(Dormant("bash", "already provided by bash-5-1.x86_64"),),
    inactive_removals=(Dormant("ed", "not in the base"),),
    inactive_replacements=(Dormant("sed-1-1.noarch", "not in the base"), Dormant("a from b", "not in the base")),
    live_inprogress=ONE,
    live_replaced=TWO,
    diff="1 upgraded, 2 added",
)
BROKEN = DeploymentStatus(
    "granite",
    0,
    CommitStatus(THREE, 1_700_000_000),
    None,
    origin_error="x.origin:3: what is this?",
    remote_error="none",
)
SYSTEM = SystemStatus((LAYERED, PLAIN, BROKEN))

TEXT = f"""\
State: idle
Deployments:
● granite:granite/12
                   Version: 12.1 (2023-11-14T22:13:20Z)
                BaseCommit: {ONE}
              KeptAtCommit: {THREE}
               PendingBase: 12.2 (2023-11-16T02:00:00Z)
              GPGSignature: Valid signature by ABCD
                 Signature: Invalid signature by k=: bad
                      Diff: 1 upgraded, 2 added
       RemovedBasePackages: nano 7.2-1 [never]
            LocalOverrides: bash 5-1 -> 6-1 [until newer] [crashes]
           RemoteOverrides: glibc 1:2-1 -> 1:3-1 from updates
      InactiveBaseRemovals: ed (not in the base)
  InactiveBaseReplacements: sed-1-1.noarch (not in the base),
                            a from b (not in the base)
           LayeredPackages: powerline vi
             LocalPackages: tool-1-1.noarch [follows repositories]
       LocalForcedPackages: forced-1-1.noarch
          InactiveRequests: bash (already provided by bash-5-1.x86_64)
                 Initramfs: regenerate -I /etc/a
              InitramfsEtc: /etc/crypttab
                    Staged: yes
        FinalizationLocked: yes
                    Pinned: yes
                 BootTrial: trying 2 of 3
                  Unlocked: hotfix
                 EndOfLife: Granite 12 ends in May

  granite:granite/12
                   Version: 12.0 (2023-11-14T22:13:20Z)
                    Commit: {ONE}
              GPGSignature: not verified

  origin unknown
               OriginError: x.origin:3: what is this?
                 Timestamp: 2023-11-14T22:13:20Z
                    Commit: {THREE}
               RemoteError: none
"""


def test_the_text_of_a_system() -> None:
    assert to_text(SYSTEM) == TEXT


def test_the_text_of_the_booted_deployment_alone() -> None:
    lines = to_text(SYSTEM, booted=True).splitlines()
    assert lines[1:3] == ["BootedDeployment:", "● granite:granite/12"]
    assert lines == [lines[0], lines[1], *TEXT.partition("\n\n")[0].splitlines()[2:]]


def test_verbose_text_adds_and_takes_nothing_away() -> None:
    verbose = to_text(SYSTEM, verbose=True).splitlines()
    new = [line.strip() for line in verbose if line not in TEXT.splitlines()]
    assert new == [
        f"Commit: {TWO} (2023-11-14T23:13:20Z)",
        "StateRoot: granite",
        "GPGSignature: Valid signature by ABCD (Releng)",
        *["StateRoot: granite"] * 2,
    ]


HEADS = [
    (SystemStatus(), ["State: idle", "Deployments: none"]),
    (
        SystemStatus(transaction=Transaction("layer upgrade", 12, 1_700_000_000)),
        [
            "State: busy",
            "Transaction: layer upgrade (pid 12, since 2023-11-14T22:13:20Z)",
            "Deployments: none",
        ],
    ),
    (
        SystemStatus(update_driver="Zincati", finalization_failure="no space"),
        [
            "State: idle",
            "AutomaticUpdatesDriver: Zincati",
            "Warning: failed to finalize previous deployment: no space",
            "Deployments: none",
        ],
    ),
]


@pytest.mark.parametrize(("status", "lines"), HEADS)
def test_the_head_of_the_text(status: SystemStatus, lines: list[str]) -> None:
    assert to_text(status).splitlines() == lines


TRUST = [
    (replace(PLAIN, gpg_enabled=True), ["GPGSignature: (unsigned)"]),
    (PLAIN, ["GPGSignature: not verified"]),
    (
        replace(PLAIN, signatures=(Signature("ed25519", "k=", True),)),
        ["Signature: Valid signature by k="],
    ),
    (
        replace(PLAIN, signatures=(Signature("ed25519", "k=", False),)),
        ["Signature: Invalid signature by k=", "GPGSignature: not verified"],
    ),
    (replace(PLAIN, origin=Origin(Branch(None, "b"))), []),
    (replace(PLAIN, origin=Origin(Commit(ONE)), gpg_enabled=None), []),
]


@pytest.mark.parametrize(("deployment", "lines"), TRUST)
def test_trust_is_shown_where_there_is_something_to_trust(deployment: DeploymentStatus, lines: list[str]) -> None:
    shown = to_text(SystemStatus((deployment,))).splitlines()
    assert [line.strip() for line in shown if "ignature" in line] == lines


def test_texts_from_elsewhere_stay_on_their_line_and_can_not_drive_the_terminal() -> None:
    evil = CommitStatus(ONE, 0, "1\n  Pinned: yes\x1b[2J")
    lines = to_text(SystemStatus((replace(PLAIN, commit=evil, endoflife="a\nb"),))).splitlines()
    assert lines[3].strip() == "Version: 1\\n  Pinned: yes\\x1b[2J (1970-01-01T00:00:00Z)"
    assert lines[-1].strip() == "EndOfLife: a\\nb"


def test_long_lists_are_broken_at_the_width() -> None:
    names = tuple(f"package-{number:02}" for number in range(20))
    lines = to_text(SystemStatus((replace(PLAIN, packages=names),)), columns=60).splitlines()
    start = next(index for index, line in enumerate(lines) if "LayeredPackages" in line)
    assert max(map(len, lines[start:])) <= 60
    assert len(lines[start:]) == 7  # three of ten letters in 32 columns
    assert " ".join(lines[start:]).partition(": ")[2].split() == list(names)


def test_the_json_of_a_layered_deployment() -> None:
    found = to_json(SYSTEM)["deployments"][0]
    expected = {
        "id": f"granite-{TWO}.1",
        "origin": "granite:granite/12",
        "checksum": TWO,
        "base-checksum": ONE,
        "base-commit-meta": {"version": "12.1", "rpmostree.inputhash": "ab"},
        "layered-commit-meta": {"rpmostree.clientlayer": True},
        "pending-base-version": "12.2",
        "requested-packages": ["bash", "powerline", "vi"],
        "requested-local-packages": ["tool-1-1.noarch"],
        "requested-base-local-replacements": ["bash-6-1.x86_64"],
        "requested-base-remote-replacements": {"updates": ["glibc"]},
        "base-removals": [["nano-7.2-1.x86_64", "nano", 0, "7.2", "1", "x86_64"]],
        "base-local-replacements": [
            [["bash-6-1.x86_64", "bash", 0, "6", "1", "x86_64"], ["bash-5-1.x86_64", "bash", 0, "5", "1", "x86_64"]]
        ],
        "cliwrap": True,
        "unlocked": "hotfix",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["strata"]["reasons"] == {"bash": "crashes", "nano": "never"}
    assert found["strata"]["verified"] is True


def test_a_base_that_is_deployed_as_it_is_has_no_keys_of_a_layered_one() -> None:
    found = to_json(SYSTEM)["deployments"][1]
    assert not [key for key in found if key.startswith(("base-checksum", "layered", "pending", "live"))]


def test_custom_origin_has_both_texts() -> None:
    origin = Origin(Commit(ONE), custom_url="u", custom_description="d")
    status = SystemStatus((replace(PLAIN, origin=origin),))
    assert to_json(status)["deployments"][0]["custom-origin"] == ["u", "d"]
    assert to_text(status).splitlines()[2] == "  d"
    assert list(faults(to_json(status), SCHEMA)) == []


UPDATE = {
    "osname": "granite",
    "origin": "granite:granite/12",
    "checksum": THREE,
    "version": "12.2",
    "timestamp": 1_700_100_000,
    "ref-has-new-commit": True,
    "gpg-enabled": True,
    "rpm-diff": {
        "upgraded": [
            [0, "bash", ["5-1", "x86_64"], ["6-1", "x86_64"]],
            [1, "jq", ["1-1", "noarch"], ["2-1", "noarch"]],
        ],
        "downgraded": [],
        "removed": [],
        "added": [[0, "nano", "7.2-1", "x86_64"]],
    },
    "advisories": [
        ["G-1", 1, 3, ["bash-6-1.x86_64"], {"cve_references": [["CVE-1", "urn:1"]]}],
        ["G-2", 1, 0, ["jq-2-1.noarch"], {"cve_references": []}],
        ["G-3", 2, 0, ["nano-7.2-1.x86_64"], {"cve_references": []}],
    ],
    "strata": {"from-checksum": TWO},
}
UPDATE_TEXT = f"""
AvailableUpdate:
                   Version: 12.2 (2023-11-16T02:00:00Z)
                    Commit: {THREE}
             SecAdvisories: 1 unknown severity, 1 important
                      Diff: 2 upgraded, 1 added
"""
STATUSES = [
    SYSTEM,
    *(status for status, _ in HEADS),
    SystemStatus(cached_update=UPDATE),
    SystemStatus(automatic=AutomaticUpdates("stage", 1_700_000_000, "failed: no")),
]


def test_an_update_that_was_found() -> None:
    text = to_text(SystemStatus((PLAIN,), cached_update=UPDATE))
    assert text.endswith(UPDATE_TEXT)
    listed = to_text(SystemStatus((PLAIN,), cached_update=UPDATE), advisories=True).splitlines()
    assert [line.split(": ", 1)[1] for line in listed if "Advisory:" in line] == [
        "G-1 (security important): CVE-1",
        "G-2 (security)",
        "G-3 (bugfix)",
    ]
    layered_only = {**UPDATE, "ref-has-new-commit": False, "advisories": []}
    text = to_text(SystemStatus((PLAIN,), cached_update=layered_only))
    assert text.endswith("\nAvailableUpdate:\n                      Diff: 2 upgraded, 1 added\n")


@pytest.mark.parametrize(
    ("automatic", "line"),
    [
        (AutomaticUpdates("none", 1_700_000_000), None),
        (AutomaticUpdates("check"), "AutomaticUpdates: check, never looked"),
        (AutomaticUpdates("apply", 1_700_000_000), "AutomaticUpdates: apply, last looked 2023-11-14T22:13:20Z"),
        (
            AutomaticUpdates("stage", 1_700_000_000, "failed: no\nroute"),
            "AutomaticUpdates: stage, last looked 2023-11-14T22:13:20Z: failed: no\\nroute",
        ),
    ],
)
def test_what_is_done_without_being_asked(automatic: AutomaticUpdates, line: str | None) -> None:
    assert to_text(SystemStatus(automatic=automatic)).splitlines()[1:-1] == ([] if line is None else [line])


@pytest.mark.parametrize("status", STATUSES)
def test_the_json_is_what_the_schema_says(status: SystemStatus) -> None:
    assert list(faults(json.loads(json.dumps(to_json(status))), SCHEMA)) == []


def test_every_key_of_the_schema_is_given_by_some_deployment() -> None:
    custom = replace(
        PLAIN, origin=Origin(Commit(ONE), custom_url="u", custom_description="d", unconfigured_state="Register")
    )
    found = to_json(SystemStatus((LAYERED, BROKEN, custom)))["deployments"]
    for kind, documents in (("deployment", found), ("strata", [one["strata"] for one in found])):
        assert {key for document in documents for key in document} == set(SCHEMA["$defs"][kind]["properties"])


SPOILED = [
    ("booted", "yes"), ("serial", True), ("checksum", "12"), ("unlocked", "no"), ("new-key", 1), ("modules", ["a"]),
    ("base-removals", [["nano"]]), ("signatures", [{"kind": "gpg", "key": "a"}]), ("strata", {}),
    ("base-local-replacements", [[["a", "b", "0", "1", "1", "x"]] * 2]), ("requested-packages", [1]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), SPOILED)
def test_the_schema_refuses_other_documents(key: str, value: object) -> None:
    document = to_json(SYSTEM)
    document["deployments"][1][key] = value
    assert list(faults(document, SCHEMA))


def test_the_schema_misses_what_is_required() -> None:
    document = to_json(SYSTEM)
    del document["deployments"][1]["id"]
    assert list(faults(document, SCHEMA)) == ["$.deployments[1]: no id"]


def test_what_status_stands_on_loads_no_solver() -> None:
    program = (
        "import sys, layering.gather, layering.status_text; print(sorted({'hawkey', 'dnf', 'rpm'} & {*sys.modules}))"
    )
    assert command.run([sys.executable, "-c", program], cwd=TOP).stdout == b"[]\n"
