# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots: what they are to be, how they are put together, and how package scripts run in them."""
