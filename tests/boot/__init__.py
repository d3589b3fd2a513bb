# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that boot what is composed, in QEMU."""
