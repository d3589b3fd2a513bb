# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose sign`."""

from __future__ import annotations

import argparse
from pathlib import Path

from compose.verbs.common import Verbs, gpg_homedir, show
from rpmtree.app import App
from rpmtree.errors import UsageError


def add(verbs: Verbs) -> None:
    """Add the parser of `compose sign`."""
    sign = verbs.add_parser(
        "sign",
        help="sign a commit",
        description="Add signatures to a commit. Those that are there stay; a key that has signed it adds nothing.",
    )
    sign.set_defaults(action=_sign)
    sign.add_argument("rev", metavar="COMMIT|REF")
    sign.add_argument("--repo", type=Path, metavar="REPO", required=True, help="repository that has the commit")
    sign.add_argument("--gpg-key", action="append", default=[], metavar="ID", help="sign with that secret key of gpg's")
    sign.add_argument("--gpg-homedir", type=Path, metavar="DIR", help="where gpg keeps its keys")
    sign.add_argument(
        "--ed25519-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="sign with the secret key in FILE: base64, as `ostree sign` takes it",
    )


def _sign(args: argparse.Namespace, app: App) -> None:
    from compose.sign import sign

    if not args.gpg_key and not args.ed25519_key:
        raise UsageError("with which key? None is named", hint="name one: --gpg-key=ID or --ed25519-key=FILE")
    homedir = (args.gpg_homedir or gpg_homedir(app)).absolute()
    outcome = sign(args.repo.absolute(), args.rev, args.gpg_key, homedir, args.ed25519_key)
    show(outcome, app)
