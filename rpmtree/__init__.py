# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine that compose and layering share: RPM packages in, OSTree commits out.

It knows no treefile, no origin and no command line; those belong to its two front ends.
"""

__version__ = "0.1.0"
