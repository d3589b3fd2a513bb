# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose serve`."""

from __future__ import annotations

import argparse
from pathlib import Path

from compose.verbs.common import Verbs
from rpmtree.app import App


def add(verbs: Verbs) -> None:
    """Add the parser of `compose serve`."""
    serve = verbs.add_parser(
        "serve",
        help="serve a directory over HTTP, for labs and tests",
        description="Serve the files of a directory, a repository for example, over HTTP until a signal comes.",
    )
    serve.set_defaults(action=_serve)
    serve.add_argument("directory", metavar="DIR", type=Path)
    serve.add_argument("--bind", metavar="ADDRESS", default="127.0.0.1", help="listen there; else 127.0.0.1")
    serve.add_argument("--port", type=int, metavar="N", default=0, help="that port; else, or with 0, any that is free")
    serve.add_argument("--port-file", type=Path, metavar="FILE", help="write the port's number to FILE")


def _serve(args: argparse.Namespace, app: App) -> None:
    from compose.serve import serve

    serve(args.directory, args.bind, args.port, args.port_file, app)
