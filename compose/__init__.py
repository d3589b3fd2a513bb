# SPDX-License-Identifier: GPL-2.0-or-later
"""The release engineer's side: a treefile becomes a commit on a branch."""
