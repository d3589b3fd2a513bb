# SPDX-License-Identifier: GPL-2.0-or-later
"""RPM: headers, payloads, repositories, solving, the database. The only room that imports rpm and dnf."""
