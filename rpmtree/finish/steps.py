# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of the finishing steps.

It is rpm-ostree's, but that some of its steps come later here. Accounts move to /usr/lib only after dracut
has run, which copies those it needs from /etc/passwd. /var is emptied and the top level made after all
programs have run: they need /var/tmp and /tmp, and what they leave behind is to be named, not kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rpmtree.errors import STORAGE_ERRORS, ToolError
from rpmtree.files import Root
from rpmtree.finish import (
    add_files,
    autovar,
    base_db,
    boot_links,
    check_accounts,
    default_target,
    finalize,
    foreign,
    initramfs,
    integration,
    kernel,
    layout,
    leftovers,
    machine_id,
    os_release,
    passwd,
    postprocess,
    remove_files,
    rpmdb_home,
    selinux,
    shadow,
    skeleton,
    state_overlay,
    treefile_json,
    units,
    useradd,
    var,
    var_state,
)
from rpmtree.progress import Reporter, step
from rpmtree.root.spec import FinishSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the tree. `name` is a verb phrase that people see."""

    name: str
    function: Callable[[Root, FinishSpec, Reporter], None]


#: What a treefile asks for beside packages.
TREEFILE_STEPS: tuple[Step, ...] = (
    Step("Checking the layout", layout.apply),
    Step("Placing the rpm database", rpmdb_home.apply),
    Step("Enabling units", units.apply),
    Step("Setting the default target", default_target.apply),
    Step("Enabling state overlays", state_overlay.apply),
    Step("Storing the treefile", treefile_json.apply),
    Step("Writing the version to os-release", os_release.apply),
    Step("Removing files of the treefile", remove_files.apply),
    Step("Adding files of the treefile", add_files.apply),
    Step("Running postprocess scripts", postprocess.apply),
)
#: What makes any root one for OSTree.
SYSTEM_STEPS: tuple[Step, ...] = (
    # Again: a script may have made /usr/etc, or have opened the rpm database.
    Step("Checking the layout after scripts", layout.apply),
    Step("Closing the rpm database", rpmdb_home.apply),
    Step("Removing leftovers", leftovers.apply),
    Step("Setting where homes are made", useradd.apply),
    Step("Moving state of the image out of /var", var_state.apply),
    Step("Adding aliases to the SELinux policy", selinux.apply),
    Step("Emptying machine-id", machine_id.apply),
    Step("Placing the kernel", kernel.apply),
    Step("Making the initramfs", initramfs.apply),
    Step("Linking kernel and initramfs", boot_links.apply),
    Step("Moving accounts to /usr/lib", passwd.apply),
    Step("Making shadow reproducible", shadow.apply),
    Step("Writing tmpfiles.d for the links", integration.apply),
    Step("Merging tmpfiles.d of packages", autovar.apply),
    Step("Emptying /var", var.apply),
    Step("Making the top level", skeleton.apply),
    Step("Keeping a copy of the rpm database", base_db.apply),
    Step("Comparing accounts", check_accounts.apply),
    Step("Running finalize.d", finalize.apply),
)
COMPOSE_STEPS: tuple[Step, ...] = (*TREEFILE_STEPS, *SYSTEM_STEPS)
#: For a root that was made elsewhere. It is read as a whole, which one that is assembled here needs not be.
FOREIGN_STEPS: tuple[Step, ...] = (Step("Taking in a root from elsewhere", foreign.apply),)

#: For packages on a base that is finished: what they can have changed. Tests of what the base decided stay out.
LAYER_STEPS: tuple[Step, ...] = (
    Step("Checking the layout", layout.apply),
    Step("Closing the rpm database", rpmdb_home.apply),
    Step("Removing leftovers", leftovers.apply),
    Step("Moving state of the image out of /var", var_state.apply),
    Step("Adding aliases to the SELinux policy", selinux.apply),
    Step("Moving accounts to /usr/lib", passwd.apply),
    Step("Making shadow reproducible", shadow.apply),
    Step("Merging tmpfiles.d of packages", autovar.apply),
    Step("Emptying /var", var.apply),
)
#: The same where the kernel's directory has changed.
KERNEL_LAYER_STEPS: tuple[Step, ...] = (
    *LAYER_STEPS[:5],
    Step("Placing the kernel", kernel.apply),
    Step("Making the initramfs", initramfs.apply),
    Step("Linking kernel and initramfs", boot_links.apply),
    *LAYER_STEPS[5:],
)


def finish_root(root: Root, spec: FinishSpec, steps: Sequence[Step], reporter: Reporter) -> None:
    """Run the steps on a root in which packages are placed and scripts have run.

    Raises ToolError as the steps do, and for what the tree itself makes impossible, such as a link where
    a directory has to be. The root is then half done: throw it away.
    """
    with step(reporter, "Finishing the tree"):
        for number, each in enumerate(steps):
            reporter.advanced(number, len(steps))
            started = time.monotonic()
            try:
                each.function(root, spec, reporter)
            except OSError as error:
                if error.errno in STORAGE_ERRORS:
                    raise
                where = f": {error.filename}" if error.filename else ""
                raise ToolError(f"{each.name} failed: {error.strerror}{where}") from error
            log.debug("%s: %.3f s", each.name, time.monotonic() - started)
