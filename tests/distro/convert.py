# SPDX-License-Identifier: GPL-2.0-or-later
"""One Debian package becomes one RPM package: names, versions, dependencies, flags of files, recipes. Pure."""

from __future__ import annotations

import re
import stat
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from tests.distro import own
from tests.distro.deb import Deb
from tests.distro.names import VANISHED
from tests.distro.recipes import DROPPED, RECIPES, Recipe
from tests.distro.versions import Evr, Relation, clauses, evr, requirement
from tests.support.rpmvalues import (
    CONFIG,
    DOC,
    LICENSE,
    NOREPLACE,
    POST,
    PRE,
    Dependency,
    File,
    Package,
    Script,
)

_LANGUAGE = re.compile(r"/usr/share/(?:locale/([^/]+)/.|man/(?!man\d)([a-z][^/]*)/.)")
_FILESYSTEM = frozenset(own.filesystem(0).files)
_KERNEL = re.compile(r"linux-image-(\d.*)")


@dataclass(frozen=True, slots=True)
class Context:
    """What of the whole distribution one package's conversion needs."""

    #: Names that some package provides without a version: a versioned conflict with one can't be said in RPM.
    unversioned: frozenset[str]
    vendor: str


def convert(deb: Deb, context: Context) -> Package:
    """The RPM for a .deb."""
    control = deb.control
    name, version = control["Package"], evr(control["Version"])
    recipe = RECIPES.get(name, Recipe())
    kernel = _KERNEL.fullmatch(name)
    files = _kernel_files(deb.files, kernel[1]) if kernel else deb.files
    relations = _relations(control, context.unversioned)
    if kernel:
        recipe, extra = _kernel_recipe(kernel[1]), ["linux-image-cloud-amd64", f"kernel-uname-r = {kernel[1]}"]
        relations["provides"] += [Dependency.parse(text) for text in (name, *extra)]
        relations["conflicts"] = relations["recommends"] = []
    relations["requires"].append(Dependency("filesystem", "", PRE))
    relations["requires"] += [Dependency(item, "", PRE) for item in recipe.requires_pre]
    relations["requires"] += [Dependency(item, "", POST) for item in recipe.requires_post]
    for kind, texts in recipe.relations.items():
        relations[kind] += [Dependency.parse(text) for text in texts]
    summary, _, description = control.get("Description", name).partition("\n")
    source = control.get("Source", name).split()[0]
    return Package(
        name="kernel" if kernel else name,
        version=version.version, release=version.release, epoch=version.epoch,
        arch="noarch" if control["Architecture"] == "all" else "x86_64",
        summary=summary, description=re.sub(r"(?m)^\.$", "", description) or summary, url=control.get("Homepage", ""),
        vendor=context.vendor, source=f"{source}-{version.version}-{version.release}.src.rpm",
        group=control.get("Section", "misc"), build_time=deb.build_time,
        files=_files(files, deb.conffiles, recipe), relations=relations,
        scripts=recipe.scripts, triggers=recipe.triggers, level=1,
    )  # fmt: skip


def bumped(package: Package) -> Package:
    """The package as a rebuild would make it: a higher release, and one document that says so."""
    release = f"{package.release}.1"
    path = f"/usr/share/doc/{package.name}/REBUILD"
    note = File(stat.S_IFREG | 0o644, f"Rebuilt as {package.version}-{release}.\n".encode(), flags=DOC)
    own_evr = Evr(package.epoch, package.version, package.release)
    relations = {
        kind: [replace(item, evr=item.evr) for item in items if item.evr != str(own_evr) or kind != "provides"]
        for kind, items in package.relations.items()
    }
    return replace(package, release=release, files={**package.files, path: note}, relations=relations)


def _relations(control: Mapping[str, str], unversioned: Container[str]) -> defaultdict[str, list[Dependency]]:
    relations: defaultdict[str, list[Dependency]] = defaultdict(list)
    own_names = {control["Package"]} | {clause[0].name for clause in clauses(control.get("Provides", ""))}
    fields = {
        "Depends": ("requires", 0), "Pre-Depends": ("requires", PRE), "Recommends": ("recommends", 0),
        "Suggests": ("suggests", 0), "Enhances": ("enhances", 0),
    }  # fmt: skip
    for field, (kind, flags) in fields.items():
        for clause in clauses(control.get(field, "")):
            text = requirement(clause, VANISHED)
            if text and not {relation.name for relation in clause} & own_names:
                relations[kind].append(Dependency.parse(text, 0 if text.startswith("(") else flags))
    for clause in clauses(control.get("Provides", "")):
        relations["provides"].append(Dependency.parse(str(clause[0])))
    for clause in (*clauses(control.get("Conflicts", "")), *clauses(control.get("Breaks", ""))):
        if _is_sayable(clause[0], own_names, unversioned):
            relations["conflicts"].append(Dependency.parse(str(clause[0])))
    return relations


def _is_sayable(relation: Relation, own_names: Container[str], unversioned: Container[str]) -> bool:
    """Whether a conflict means the same in RPM, where an unversioned Provides satisfies every version."""
    if relation.name in own_names or relation.name in VANISHED:
        return False
    return not (relation.operator and relation.name in unversioned)


def _files(files: Mapping[str, File], conffiles: Container[str], recipe: Recipe) -> dict[str, File]:
    result = {}
    for path, item in files.items():
        if path in _FILESYSTEM or f"{path}/".startswith(DROPPED) or path in recipe.drop:
            continue
        result[path] = _tagged(path, item, path in conffiles)
    result |= recipe.files
    for path, name in recipe.links.items():
        if path not in result and f"{path.rpartition('/')[0]}/{name}" in result:
            result[path] = File(stat.S_IFLNK | 0o777, target=name)
    for path, (mode, group) in recipe.modes.items():
        if path in result:
            result[path] = replace(result[path], mode=stat.S_IFMT(result[path].mode) | mode, group=group)
    for path, caps in recipe.caps.items():
        result[path] = replace(result[path], caps=caps)
    return result


def _tagged(path: str, item: File, is_conffile: bool) -> File:
    flags = CONFIG | NOREPLACE if is_conffile else 0
    if re.match(r"/usr/share/doc/[^/]+/copyright$", path):
        flags |= LICENSE
    elif path.startswith(("/usr/share/doc/", "/usr/share/man/", "/usr/share/info/")) and not stat.S_ISDIR(item.mode):
        flags |= DOC
    language = None if stat.S_ISDIR(item.mode) else _LANGUAGE.match(path)
    return replace(item, flags=flags, lang=(language[1] or language[2]).split(".")[0] if language else "")


def _kernel_files(files: Mapping[str, File], release: str) -> dict[str, File]:
    """Everything of the kernel below /usr/lib/modules/RELEASE."""
    moved = {}
    for path, item in files.items():
        match = re.fullmatch(rf"/boot/(vmlinuz|System\.map|config)-{re.escape(release)}", path)
        if match:
            moved[f"/usr/lib/modules/{release}/{match[1]}"] = item
        elif path != "/boot":
            moved[path] = item
    return moved


def _kernel_recipe(release: str) -> Recipe:
    return Recipe(scripts={"post": Script(f"/sbin/depmod -a {release} || :\n")}, requires_post=("kmod",))
