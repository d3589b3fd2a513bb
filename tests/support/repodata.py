# SPDX-License-Identifier: GPL-2.0-or-later
"""Repository metadata for RPMs that are on disk, by createrepo_c's bindings: 1 ms a package and no process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True)
class Advisory:
    """An update notice: `kind` is security, bugfix, enhancement or newpackage; `packages` are names in the repo."""

    id: str
    packages: tuple[str, ...]
    kind: str = "security"
    severity: str = "Important"
    title: str = "An update"
    cves: tuple[str, ...] = ()
    issued: datetime = datetime(2024, 1, 1)


def write_repodata(
    where: Path,
    packages: Iterable[tuple[Path, str]],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    advisories: Sequence[Advisory] = (),
) -> None:
    """Describe `packages` (path of the RPM, its location relative to `where`) in `where`/repodata."""
    import createrepo_c as cr

    repodata = where / "repodata"
    repodata.mkdir(parents=True, exist_ok=True)
    for old in repodata.iterdir():
        old.unlink()
    listed = list(packages)
    kinds = {"primary": cr.PrimaryXmlFile, "filelists": cr.FilelistsXmlFile, "other": cr.OtherXmlFile}
    documents = {kind: make(str(repodata / f"{kind}.xml.gz")) for kind, make in kinds.items()}
    for document in documents.values():
        document.set_num_of_pkgs(len(listed))
    found = []
    for path, location in listed:
        described = cr.package_from_rpm(str(path), location_href=location, changelog_limit=2)
        described.time_file = described.time_build
        found.append(described)
        for document in documents.values():
            document.add_pkg(described)
    for document in documents.values():
        document.close()
    extra = {}
    if groups:
        extra["group"] = repodata / "comps.xml"
        extra["group"].write_text(_comps(groups))
    if advisories:
        extra["updateinfo"] = repodata / "updateinfo.xml"
        extra["updateinfo"].write_text(_update_info(advisories, {package.name: package for package in found}))
    newest = max((package.time_build for package in found), default=0)
    repomd = cr.Repomd()
    repomd.set_revision(str(newest))
    for kind, path in {**{kind: repodata / f"{kind}.xml.gz" for kind in kinds}, **extra}.items():
        record = cr.RepomdRecord(kind, str(path))
        record.fill(cr.SHA256)
        record.rename_file()
        record.timestamp = newest
        repomd.set_record(record)
    (repodata / "repomd.xml").write_text(repomd.xml_dump())


def _comps(groups: Mapping[str, Sequence[str]]) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<comps>"]
    for group, names in groups.items():
        lines += ["<group>", f"<id>{escape(group)}</id>", f"<name>{escape(group)}</name>"]
        # libcomps 0.1.21 takes none for an error.
        lines += [f"<description>What {escape(group)} is made of.</description>", "<default>true</default>"]
        lines += ["<uservisible>true</uservisible>", "<packagelist>"]
        lines += [f'<packagereq type="mandatory">{escape(name)}</packagereq>' for name in names]
        lines += ["</packagelist>", "</group>"]
    return "\n".join([*lines, "</comps>", ""])


def _update_info(advisories: Sequence[Advisory], packages: Mapping[str, Any]) -> str:
    import createrepo_c as cr

    document = cr.UpdateInfo()
    for advisory in advisories:
        record = cr.UpdateRecord()
        record.id, record.title, record.type = advisory.id, advisory.title, advisory.kind
        record.fromstr, record.status, record.version = "test@localhost", "final", "1"
        record.severity, record.description, record.summary = advisory.severity, advisory.title, advisory.title
        record.issued_date = record.updated_date = advisory.issued
        for cve in advisory.cves:
            reference = cr.UpdateReference()
            reference.id = reference.title = cve
            reference.type, reference.href = "cve", f"urn:cve:{cve}"
            record.append_reference(reference)
        collection = cr.UpdateCollection()
        collection.shortname = collection.name = "updates"
        for name in advisory.packages:
            collection.append(_listed(packages[name]))
        record.append_collection(collection)
        document.append(record)
    text: str = document.xml_dump()
    return text


def _listed(package: Any) -> Any:
    """A package as an advisory lists it."""
    import createrepo_c as cr

    listed = cr.UpdateCollectionPackage()
    listed.name, listed.epoch, listed.version = package.name, package.epoch or "0", package.version
    listed.release, listed.arch, listed.src = package.release, package.arch, package.rpm_sourcerpm
    listed.filename = PurePath(package.location_href).name
    return listed
