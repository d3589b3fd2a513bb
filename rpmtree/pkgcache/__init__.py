# SPDX-License-Identifier: GPL-2.0-or-later
"""The package cache: each RPM once, as its own OSTree commit."""
