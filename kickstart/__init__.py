# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstart files that install a composed branch."""
