# SPDX-License-Identifier: GPL-2.0-or-later
"""The admin's side: requests become a new local commit and a new deployment."""
