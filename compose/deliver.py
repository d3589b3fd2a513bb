# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of the verbs that commit: the commit goes where the user wants it, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compose.intent import Intent
from compose.publish import publish
from compose.report import Outcome, write_documents
from rpmtree.ostree.store import Store
from rpmtree.ostree.variant import Variant
from rpmtree.progress import Reporter, step
from rpmtree.root.commit import CommittedRoot


def deliver(
    intent: Intent,
    store: Store,
    committed: CommittedRoot,
    outcome: Outcome,
    reporter: Reporter,
    *,
    detached: Mapping[str, Variant] | None = None,
) -> Outcome:
    """Publish the commit, with `detached` beside it, and write what the options name. Raises ToolError.

    Gives `outcome` with the commit.
    """
    options = intent.options
    ref = None if options.write_commitid_to else intent.loaded.treefile.ref
    with step(reporter, "Publishing"):
        figures = publish(intent.repo, store, committed, ref, key=intent.key, detached=detached)
    commit = committed.checksum.hex()
    line = f"{ref} => {commit}" if ref else f"Wrote commit: {commit}"
    outcome = replace(outcome, lines=(line,), commit=commit, ref=ref, version=intent.version)
    parent = intent.repo.commit(committed.commit.parent) if committed.commit.parent else None
    write_documents(options, outcome, committed, figures, parent)
    return outcome
