# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says of its deployments."""

from __future__ import annotations

import json
from typing import Any

from tests.boot.machine import Machine


def status(guest: Machine) -> dict[str, Any]:
    """All that `layer status` says."""
    found: dict[str, Any] = json.loads(guest.check("layer status --json"))
    return found


def deployments(guest: Machine) -> list[dict[str, Any]]:
    """What it says of each deployment, the one that boots next first."""
    found: list[dict[str, Any]] = status(guest)["deployments"]
    return found


def booted(guest: Machine) -> dict[str, Any]:
    """The same of the one that runs."""
    (found,) = [one for one in deployments(guest) if one["booted"]]
    return found
