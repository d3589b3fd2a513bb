# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys that a treefile may be met with, but that are no fields of `compose.treefile.Treefile`."""

from __future__ import annotations

#: Spellings of before keys had dashes.
LEGACY = {
    "gpg_key": "gpg-key",
    "boot_location": "boot-location",
    "default_target": "default-target",
    "automatic_version_prefix": "automatic-version-prefix",
    "bootstrap_packages": "bootstrap-packages",
    "jigdo": "rojig",
}

#: Keys that are accepted and have no effect, and why.
WITHOUT_EFFECT = {
    "cliwrap": "nothing is wrapped",
    "cliwrap-binaries": "nothing is wrapped",
    "modules": "no package manager is left that knows modules; their packages come from the repositories as they are",
    "platform-module": "no package manager is left that knows modules",
}

#: Keys that change an existing system, and mean nothing in a compose.
DERIVE_ONLY = frozenset(
    (
        "base-refspec",
        "container-image-reference",
        "custom",
        "ex-override-replace",
        "initramfs",
        "override-commit",
        "override-remove",
        "override-replace-local",
        "packages-local",
        "packages-local-fileoverride",
        "unconfigured-state",
    )
)

#: What `packages-` can end in.
ARCHITECTURES = frozenset(
    ("aarch64", "armhfp", "i386", "loongarch64", "ppc", "ppc64", "ppc64le", "riscv64", "s390x", "sparc", "x86_64")
)
