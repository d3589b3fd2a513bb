# SPDX-License-Identifier: GPL-2.0-or-later
"""Finishing steps: an assembled root becomes a tree that OSTree can deploy."""
