# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of `compose`: each module has `add(verbs)`, which adds the parsers of a group.

They are all loaded for every command, so what an action stands on is imported inside of it.
"""

from __future__ import annotations

from compose.verbs import disk, extensions, kickstart, lock, rootfs, schema, serve, sign, tree

#: In the order of the help.
GROUPS = tuple(group.add for group in (tree, rootfs, lock, extensions, kickstart, disk, serve, sign, schema))
