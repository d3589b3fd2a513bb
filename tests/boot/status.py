# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says of its deployments."""

from __future__ import annotations

import json
from typing import Any

from tests.boot.machine import Machine


def deployments(guest: Machine) -> list[dict[str, Any]]:
    """What `layer status` says of each deployment, the one that boots next first."""
    found: list[dict[str, Any]] = json.loads(guest.check("layer status --json"))["deployments"]
    return found


def booted(guest: Machine) -> dict[str, Any]:
    """The same of the one that runs."""
    (found,) = [one for one in deployments(guest) if one["booted"]]
    return found
