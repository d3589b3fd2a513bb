# SPDX-License-Identifier: GPL-2.0-or-later
"""OSTree: objects, repositories. The only room that imports gi."""
