# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of a package are left out of a root by language or as documentation, by rpm's rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rpmtree.rpm.package import File


def left_out(files: Sequence[File], *, install_langs: Sequence[str] = (), documentation: bool = True) -> frozenset[str]:
    """The paths that rpm doesn't install with `_install_langs` (none: all) and, without documentation, `--excludedocs`.

    A directory that the package owns goes with the last of its own files. One whose files are of
    subdirectories stays: rpm looks one level down.
    """
    if documentation and (not install_langs or "all" in install_langs):
        return frozenset()
    out = {
        file.path for file in files if (not documentation and file.is_doc) or not _is_wanted(file.lang, install_langs)
    }
    emptied = {_parent(path) for path in out} - {_parent(file.path) for file in files if file.path not in out}
    return frozenset(out | {file.path for file in files if file.is_dir and file.path in emptied})


def _is_wanted(langs: str, install_langs: Sequence[str]) -> bool:
    """Whether a file marked `de|de_AT` is wanted: by `de`, and by `de_DE` too, which begins with it."""
    if not langs or not install_langs or "all" in install_langs:
        return True
    return any(wanted.startswith(lang) for lang in langs.split("|") if lang for wanted in install_langs)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
