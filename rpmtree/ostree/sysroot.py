# SPDX-License-Identifier: GPL-2.0-or-later
"""Sysroots through libostree: reading deployments, and changing them so that a crash leaves the old or the new state.

Every method that changes something is called inside `Sysroot.lock`, and what it did is durable when it returns.
Which deployment to make, and from what, is `layering`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpmtree.errors import StoreError
from rpmtree.files import write_atomically
from rpmtree.ostree import deployments as rules
from rpmtree.ostree import finalization, origins
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.library import interruptible, libostree, make_durable, wrapped
from rpmtree.ostree.lock import Holder, holding
from rpmtree.ostree.objects import PKGLIST
from rpmtree.ostree.repo import Repository

if TYPE_CHECKING:
    from rpmtree.ostree.remotes import Remotes

_TOP = {"boot": 0o755, "dev": 0o755, "home": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755,
        "root": 0o700, "tmp": 0o1777}  # fmt: skip


class Sysroot:
    """The sysroot at `path`; made by `open`."""

    def __init__(self, path: Path, sysroot: Any) -> None:
        self.path = path
        self._sysroot = sysroot
        self._holder: Holder | None = None

    @classmethod
    def open(cls, path: Path | None = None) -> Sysroot:
        """The sysroot at `path`; None is the system that runs. Raises StoreError if there is none."""
        from gi.repository import Gio

        ostree = libostree()
        where = path or Path("/")
        if not _is_sysroot(where):
            hint = f"make one: ostree admin init-fs {where}" if path else "name one: --sysroot PATH"
            raise StoreError(f"{where} is not an OSTree sysroot", hint=hint)
        sysroot = ostree.Sysroot.new(Gio.File.new_for_path(str(where)))
        with wrapped(f"can't open the sysroot {where}"):
            if path is None and os.geteuid() == 0:
                # /sysroot and /boot may be mounted read-only; libostree makes them writable for us alone.
                sysroot.initialize_with_mount_namespace(None)
            sysroot.load(None)
        return cls(where, sysroot)

    @property
    def repo_path(self) -> Path:
        """The repository that the deployments are checked out of."""
        return self.path / "ostree" / "repo"

    @cached_property
    def repository(self) -> Repository:
        """The repository, for reading."""
        return Repository(self.repo_path)

    @property
    def remotes(self) -> Remotes:
        """Where commits come from."""
        from rpmtree.ostree.remotes import Remotes

        return Remotes(self._repo(), self.repo_path)

    def stateroots(self) -> tuple[str, ...]:
        """The names of the systems that share this sysroot, sorted: each has its own /var."""
        with suppress(FileNotFoundError):
            found = os.scandir(self.path / "ostree" / "deploy")
            return tuple(sorted(entry.name for entry in found if (Path(entry.path) / "var").is_dir()))
        return ()

    def deployments(self) -> tuple[Deployment, ...]:
        """All deployments, the one that boots next first. Raises StoreError."""
        self._reload()
        booted = self._sysroot.get_booted_deployment()
        return tuple(self._value(found, booted) for found in self._sysroot.get_deployments())

    def booted(self) -> Deployment | None:
        """The deployment that runs."""
        return next((found for found in self.deployments() if found.booted), None)

    def merge_deployment(self, osname: str) -> Deployment | None:
        """The deployment whose /etc a new one of `osname` starts from.

        The one that runs, where it is of `osname`, else the first (ostree_sysroot_get_merge_deployment).
        """
        self._reload()
        found = self._sysroot.get_merge_deployment(osname)
        return None if found is None else self._value(found, self._sysroot.get_booted_deployment())

    @contextmanager
    def lock(self, command: str, *, wait: float | None = 0) -> Iterator[None]:
        """Keep other writers out, libostree's own too; `command` is what they are told.

        Waits for `wait` seconds, None for as long as it takes. Deployments are read anew. Raises BusyError,
        naming process, command and time of whoever holds the lock.
        """
        self._require_writable()
        with holding(self.path / "ostree", command, wait, self._try_lock) as us:
            self._holder = us
            try:
                self._reload()
                yield
            finally:
                self._holder = None
                self._sysroot.unlock()

    def deploy(
        self,
        osname: str,
        checksum: str,
        origin_text: str,
        *,
        merge: Deployment | None = None,
        kargs: Sequence[str] | None = None,
        stage: bool = False,
    ) -> Deployment:
        """Deploy a commit in front of all others, or stage it for the next shutdown of the running system.

        /etc is merged from `merge`, and its kernel arguments are kept unless `kargs` replaces them. What
        runs, is pinned, belongs to another stateroot, or was merged from (the rollback) is retained. On any
        failure the old state is what it was. Raises StoreError, UsageError.
        """
        self._require_lock()
        rules.check_name(osname, "stateroot")
        options = rules.check_kargs(kargs if kargs is not None else merge.kargs if merge else ())
        if stage and self._sysroot.get_booted_deployment() is None:
            raise StoreError(f"{self.path} does not run: nothing can be staged in it")
        origin = origins.read(origin_text)
        from_ = None if merge is None else self._find(merge)
        make = self._sysroot.stage_tree if stage else self._sysroot.deploy_tree
        try:
            with wrapped(f"can't deploy {checksum} in {self.path}"):
                _, new = interruptible(
                    lambda cancellable: make(osname, checksum, origin, from_, list(options), cancellable)
                )
                if not stage:
                    self._put_in_front(osname, new, from_)
        except BaseException:
            self._forget_partial()
            raise
        self._sync()
        found = next((d for d in self.deployments() if d.osname == osname and d.serial == new.get_deployserial()
                      and d.checksum == checksum), None)  # fmt: skip
        if found is None:
            raise StoreError(f"{checksum} was deployed in {self.path}, and is not there")
        return found

    def write_origin(self, deployment: Deployment, text: str) -> Deployment:
        """Replace a deployment's origin; whether it is pinned stays. Raises StoreError."""
        self._require_lock()
        if deployment.staged:
            raise StoreError("a staged deployment's origin can't be changed", hint="stage it anew")
        found = self._find(deployment)
        origin = origins.read(text)
        with wrapped(f"can't write the origin of {deployment.id}"):
            origins.copy_transient(found.get_origin(), origin)
            self._sysroot.write_origin_file(found, origin, None)
        return self._changed(deployment)

    def set_kargs(self, deployment: Deployment, kargs: Sequence[str]) -> Deployment:
        """Replace a deployment's kernel arguments, by a switch as atomic as a new deployment."""
        self._require_lock()
        options = list(rules.check_kargs(kargs))
        found = self._find(deployment)
        with wrapped(f"can't set the kernel arguments of {deployment.id}"):
            if deployment.staged:
                self._sysroot.deployment_set_kargs_in_place(found, " ".join(options), None)
            else:
                self._sysroot.deployment_set_kargs(found, options, None)
        return self._changed(deployment)

    def pin(self, deployment: Deployment, pinned: bool = True) -> Deployment:
        """Keep a deployment through upgrades, or no longer. Raises StoreError on a staged one."""
        self._require_lock()
        if deployment.staged:
            raise StoreError("a staged deployment can't be pinned", hint="pin it after the next boot")
        with wrapped(f"can't pin {deployment.id}"):
            self._sysroot.deployment_set_pinned(self._find(deployment), pinned)
        return self._changed(deployment)

    def let_go(self, deployment: Deployment) -> None:
        """Have shutdown finish a staged deployment that was held back, by whichever command. Raises StoreError."""
        self._require_lock()
        found = self._find(deployment)
        with wrapped(f"can't let go of {deployment.id}"):
            if finalization.is_marked(found):
                self._sysroot.change_finalization(found)
        finalization.hold_back(False)
        self._changed(deployment)

    def set_order(self, indexes: Sequence[int]) -> tuple[Deployment, ...]:
        """Keep just these deployments, in this order; the first boots next. What runs can't be left out."""
        self._require_lock()
        present = self.deployments()
        if len(set(indexes)) != len(indexes) or not set(indexes) <= set(range(len(present))):
            raise StoreError(f"there are the deployments 0 to {len(present) - 1}; {list(indexes)} was asked for")
        if any(d.booted and d.index not in indexes for d in present):
            raise StoreError("the deployment that runs can't be removed")
        if list(indexes) != list(range(len(present))):
            with wrapped(f"can't write the deployments of {self.path}"):
                self._write([self._find(present[index]) for index in indexes])
            self._sync()
        return self.deployments()

    def rollback(self) -> tuple[Deployment, ...]:
        """Swap what boots next with what it replaced; twice is undone. Raises StoreError."""
        return self.set_order(rules.rollback_order(self.deployments()))

    def undeploy(self, index: int) -> tuple[Deployment, ...]:
        """Remove one deployment. Raises StoreError if it runs or there is none."""
        present = self.deployments()
        if not 0 <= index < len(present):
            raise StoreError(f"there is no deployment {index}")
        return self.set_order([d.index for d in present if d.index != index])

    def cleanup(self, osname: str, *, pending: bool = False, rollback: bool = False) -> tuple[Deployment, ...]:
        """Remove the pending and/or rollback deployments of a stateroot, then what is listed nowhere."""
        left = self.set_order(rules.kept(self.deployments(), osname, pending=pending, rollback=rollback))
        self.discard_unlisted()
        return left

    def discard_unlisted(self) -> None:
        """Delete trees, kernels and boot entries that no deployment names any more; the repository stays."""
        self._require_lock()
        with wrapped(f"can't clean up {self.path}"):
            interruptible(self._sysroot.prepare_cleanup)

    def prune(self) -> int:
        """Delete the objects that no deployment and no branch needs; gives the bytes freed."""
        self.discard_unlisted()  # it also names each deployment's commit, which would be lost otherwise
        # Not ostree_sysroot_cleanup, which prints to stdout, nor …_cleanup_prune_repo, whose options can't be set
        # from Python and which then takes every object for unreachable.
        with wrapped(f"can't prune {self.repo_path}"):
            flags = libostree().RepoPruneFlags.REFS_ONLY
            _, _, _, freed = interruptible(lambda cancellable: self._repo().prune(flags, 0, cancellable))
        return int(freed)

    def init_stateroot(self, osname: str) -> None:
        """Make a stateroot; one that is there is left as it is."""
        rules.check_name(osname, "stateroot")
        if osname not in self.stateroots():
            with wrapped(f"can't make the stateroot {osname}"):
                self._sysroot.init_osname(osname, None)
            self._sync()

    def defer_durability(self) -> None:
        """Write objects without waiting for each: for a sysroot that nobody has before all of it is durable."""
        self._repo().set_disable_fsync(True)

    # -- inside ------------------------------------------------------------------------------------------------

    def _repo(self) -> Any:
        with wrapped(f"can't open {self.repo_path}"):
            return self._sysroot.get_repo(None)[1]

    def _reload(self) -> None:
        with wrapped(f"can't read the deployments of {self.path}"):
            self._sysroot.load_if_changed(None)

    def _try_lock(self) -> bool:
        with wrapped(f"can't lock {self.path}"):
            return bool(self._sysroot.try_lock()[1])

    def _require_lock(self) -> None:
        if self._holder is None:
            raise AssertionError("the sysroot is changed without its lock")

    def _require_writable(self) -> None:
        if os.geteuid() != 0:
            raise StoreError("only root can change deployments", hint="run this with sudo")

    def _find(self, wanted: Deployment) -> Any:
        for found in self._sysroot.get_deployments():
            if (found.get_osname(), found.get_csum(), found.get_deployserial()) == (
                wanted.osname, wanted.checksum, wanted.serial,
            ):  # fmt: skip
                return found
        raise StoreError(f"the deployment {wanted.id} is not there any more")

    def _changed(self, deployment: Deployment) -> Deployment:
        self._sync()
        found = self._find(deployment)
        return self._value(found, self._sysroot.get_booted_deployment())

    def _put_in_front(self, osname: str, new: Any, merge: Any) -> None:
        """Make `new` the first; one of its stateroot is kept to roll back to, also where nothing is merged."""
        flags = libostree().SysrootSimpleWriteDeploymentFlags.NO_CLEAN
        previous = merge or self._sysroot.get_merge_deployment(osname)
        self._sysroot.simple_write_deployment(osname, new, previous, flags, None)

    def _write(self, found: list[Any]) -> None:
        options = libostree().SysrootWriteDeploymentsOpts()
        options.do_postclean = False
        self._sysroot.write_deployments_with_options(found, options, None)

    def _forget_partial(self) -> None:
        """After a failure: remove what was begun. The failure itself is what the user should hear of."""
        with suppress(StoreError), wrapped(f"can't clean up {self.path}"):
            self._sysroot.load_if_changed(None)
            self._sysroot.prepare_cleanup(None)

    def _sync(self) -> None:
        """Make what was changed durable, and seen by everyone who holds the sysroot open, us included.

        libostree reads deployments again when this time has changed, but sets it for some changes only, and
        by the kernel's clock of some milliseconds.
        """
        now = time.time_ns()
        os.utime(self.path / "ostree" / "deploy", ns=(now, now))
        self._reload()
        make_durable(self.path / "ostree", self.path / "boot")

    def _value(self, found: Any, booted: Any) -> Deployment:
        origin = found.get_origin()
        config = found.get_bootconfig()
        checksum = str(found.get_csum())
        version, timestamp = self._version(checksum)
        return Deployment(
            osname=found.get_osname(),
            checksum=checksum,
            serial=found.get_deployserial(),
            index=found.get_index(),
            booted=booted is not None and found.equal(booted),
            staged=found.is_staged(),
            held_back=found.is_staged() and (finalization.held_back() or finalization.is_marked(found)),
            pinned=found.is_pinned(),
            origin_text="" if origin is None else origin.to_data()[0],
            path=self.path / self._sysroot.get_deployment_dirpath(found),
            version=version,
            timestamp=timestamp,
            boot_options=(config.get("options") if config is not None else None) or "",
        )

    def _version(self, checksum: str) -> tuple[str | None, int]:
        try:
            commit = self.repository.commit(bytes.fromhex(checksum), without=(PKGLIST,))
        except StoreError:
            return None, 0
        version = commit.metadata.get("version")
        return (version.value if version is not None and version.signature == "s" else None), commit.timestamp


def init_fs(path: Path, *, bootloader: str = "none") -> Sysroot:
    """Make an empty sysroot at `path`, as `ostree admin init-fs` does, and open it.

    `bootloader` is ostree's repo option `sysroot.bootloader`: none, auto, grub2, syslinux, zipl …
    """
    from gi.repository import Gio

    sysroot = libostree().Sysroot.new(Gio.File.new_for_path(str(path)))
    with wrapped(f"can't make a sysroot at {path}"):
        for name, mode in _TOP.items():
            (path / name).mkdir(parents=True, exist_ok=True)
            (path / name).chmod(mode)
        sysroot.ensure_initialized(None)
        config = path / "ostree" / "repo" / "config"
        text = config.read_text()
        if "[sysroot]" not in text:
            write_atomically(config, f"{text.rstrip()}\n\n[sysroot]\nbootloader={bootloader}\n")
    make_durable(path)
    return Sysroot.open(path)


def _is_sysroot(path: Path) -> bool:
    try:
        return (path / "ostree" / "repo").is_dir()
    except PermissionError as error:
        raise StoreError(f"{error.filename}: {error.strerror}", hint="run this with sudo") from error
