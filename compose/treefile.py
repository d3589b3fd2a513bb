# SPDX-License-Identifier: GPL-2.0-or-later
"""The treefile: what may stand in it, and what each key means.

A key is one field here, which carries its type, its default, how it merges when files include each other, and the
text of the reference page. Reading, merging, the document of `--print-only` and the JSON Schema follow from it.
Left to others: files (`compose.load`), messages with places (`compose.validate`), merging (`compose.merge`).
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, StrictBool, StrictStr

from compose.parts import (
    DATABASE_FORMATS,
    CheckGroups,
    CheckPasswd,
    ConditionalInclude,
    Files,
    Modules,
    Placement,
    RepoPackages,
    Rojig,
    ScriptletException,
    Section,
    Variable,
    database_owner,
    label_version,
    overlay_spelling,
    routes,
    year,
)
from compose.texts import (
    Account,
    AccountOrAll,
    Destination,
    File,
    Line,
    Name,
    Packages,
    Relative,
    Releasever,
    RemoveRule,
    RepoVariable,
    Suffix,
    Unit,
    VariableName,
)
from rpmtree.root.spec import BootLocation, OptUsrLocal


class Merge(Enum):
    """What becomes of a key that stands in several files which include each other."""

    FIRST = "the including file's value; of two includes, the earlier one's"
    SET = "all entries, sorted"
    LIST = "the entries of an included file, then those of the file that includes it"
    MAP = "all entries; for a name in both, the including file's"
    ROUTES = "as a list, and a package goes to the repository that the outermost file names for it"
    CONSUMED = "nothing: only the file itself reads it"


class Extra(Enum):
    """What else is special about a key."""

    SUBSTITUTED = "${name} stands for a variable: in the text, or in the texts directly below"
    UNPRINTED = "not part of the flattened document"


First = Merge.FIRST


class Treefile(Section):
    """A treefile, or what several of them are together. `model_fields_set` says which keys were given."""

    model_config = ConfigDict(
        title="Treefile",
        json_schema_extra={
            "patternProperties": {
                "^packages-[a-z0-9_]+$": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "More `packages`, for one architecture.",
                }
            }
        },
    )

    include: Annotated[
        Files,
        Merge.CONSUMED,
        Extra.UNPRINTED,
        Field(description="Treefiles that this one builds on: one, or a list. Relative to this file."),
    ] = ()
    arch_include: Annotated[
        dict[Name, Files],
        Merge.CONSUMED,
        Extra.UNPRINTED,
        Field(
            description="For an architecture, treefiles that are included there; they come after those of `include`."
        ),
    ] = Field(default_factory=dict)
    conditional_include: Annotated[
        tuple[ConditionalInclude, ...],
        Merge.CONSUMED,
        Extra.UNPRINTED,
        Field(
            description="Treefiles, or keys of one, that are included where conditions hold: `VAR == VALUE`, also with "
            "!= < <= > >=, where VAR is a variable and VALUE is true, false, digits or a text in double quotes."
        ),
    ] = ()
    edition: Annotated[
        Literal["2014", "2024"],
        BeforeValidator(year),
        First,
        Field(description="Which defaults hold. 2024: `boot-location: modules` and `tmp-is-dir: true`."),
    ] = "2014"
    ref: Annotated[
        Line | None, First, Extra.SUBSTITUTED, Field(description="Branch to write. Without it there is only a commit.")
    ] = None
    osname: Annotated[
        Name | None, First, Field(description="Name of the OS, as directories on a machine carry it.")
    ] = None
    releasever: Annotated[
        Releasever | None,
        First,
        Field(description="Fills $releasever in repo files, and is a variable."),
    ] = None
    basearch: Annotated[
        Name | None, First, Field(description="A guard: composing on another architecture is an error.")
    ] = None
    gpg_key: Annotated[
        Line | None, First, Field(description="Id of the secret key of gpg's that signs the commit.")
    ] = None
    variables: Annotated[
        dict[VariableName, Variable],
        Merge.MAP,
        Extra.UNPRINTED,
        Field(description="Variables for `${name}`: booleans, unsigned numbers or texts."),
    ] = Field(default_factory=dict)
    repovars: Annotated[
        dict[RepoVariable, StrictStr],
        Merge.MAP,
        Extra.UNPRINTED,
        Field(description="More variables for `.repo` files."),
    ] = Field(default_factory=dict)
    repos: Annotated[
        tuple[Name, ...],
        Merge.LIST,
        Field(description="Ids of the repositories to use; their .repo files are beside the treefile."),
    ] = ()
    lockfile_repos: Annotated[
        tuple[Name, ...],
        Merge.LIST,
        Field(description="Repositories that are used for what a lockfile names, and for nothing else."),
    ] = ()
    packages: Annotated[
        Packages,
        Merge.SET,
        Field(
            description="Packages: names, parts of a NEVRA, provides, file paths, globs. A text may hold several, "
            "separated by white space but for what stands in single quotes: 'podman >= 4.1'."
        ),
    ] = ()
    repo_packages: Annotated[
        tuple[RepoPackages, ...],
        BeforeValidator(routes),
        Merge.ROUTES,
        Field(description="Packages that come from one repository alone."),
    ] = ()
    exclude_packages: Annotated[
        Packages, Merge.LIST, Field(description="Packages that are never taken, not even as a dependency.")
    ] = ()
    container: Annotated[
        StrictBool,
        First,
        Field(
            description="A tree that does not boot: no kernel, no links into /var; forces boot-location: modules, "
            "selinux: false, tmp-is-dir: true, preserve-passwd: false, and no checks of ids."
        ),
    ] = False
    recommends: Annotated[StrictBool, First, Field(description="Take weak dependencies, too.")] = True
    documentation: Annotated[
        StrictBool, First, Field(description="Keep files that packages mark as documentation.")
    ] = True
    install_langs: Annotated[
        tuple[Name, ...] | None, Merge.LIST, Field(description="Languages to keep files of; all without it.")
    ] = None
    ostree_layers: Annotated[
        tuple[Line, ...],
        Merge.LIST,
        Field(description="Branches whose trees are put on the packages before scripts run; no file may differ."),
    ] = ()
    ostree_override_layers: Annotated[
        tuple[Line, ...], Merge.LIST, Field(description="Branches whose trees go on top of that, and win.")
    ] = ()
    platform_module: Annotated[
        Line | None,
        First,
        Extra.SUBSTITUTED,
        Field(description="The platform that modules are for. Without effect, as `modules` is."),
    ] = None
    modules: Annotated[
        Modules | None, First, Field(description="Module streams. Without effect: modularity is gone.")
    ] = None
    rojig: Annotated[
        Rojig | None,
        First,
        Extra.SUBSTITUTED,
        Field(description="For other tools: name and description of what is composed."),
    ] = None
    selinux: Annotated[StrictBool, First, Field(description="Label files by the policy in the tree.")] = True
    selinux_label_version: Annotated[
        Literal[0, 1],
        BeforeValidator(label_version),
        First,
        Field(description="1: files in /usr/etc are labelled as if they were in /etc."),
    ] = 0
    ignore_devices: Annotated[
        StrictBool,
        First,
        Field(description="Leave devices, pipes and sockets out, with a warning; with `false` they are an error."),
    ] = True
    sysusers: Annotated[
        Literal["compose-auto", "compose-forced"],
        First,
        Field(
            description="Have systemd-sysusers make users during the compose: `compose-auto` where the image's rpm "
            "expects that, `compose-forced` always."
        ),
    ] = "compose-auto"
    ima: Annotated[
        StrictBool, First, Field(description="Keep the IMA signatures of packages' files as extended attributes.")
    ] = False
    readonly_executables: Annotated[
        StrictBool, First, Field(description="Take the owner's right to write from executable files.")
    ] = False
    boot_location: Annotated[
        BootLocation,
        First,
        Field(
            description="Where the kernel goes: `new`: /usr/lib/modules and /usr/lib/ostree-boot; `modules`: the first "
            "alone; `kernel-install`: its package's scripts place it."
        ),
    ] = BootLocation.NEW
    tmp_is_dir: Annotated[
        StrictBool, First, Field(description="/tmp is a directory and not a link to sysroot/tmp.")
    ] = False
    opt_usrlocal: Annotated[
        OptUsrLocal,
        BeforeValidator(overlay_spelling),
        First,
        Field(
            description="/opt and /usr/local: `var`: links into /var; `root`: directories of the image; "
            "`state-overlay`: those under a writable overlay."
        ),
    ] = OptUsrLocal.VAR
    no_initramfs: Annotated[StrictBool, First, Field(description="Make no initramfs.")] = False
    initramfs_args: Annotated[
        tuple[Line, ...],
        Merge.LIST,
        Field(description="More arguments for dracut. Deprecated: put a file into dracut.conf.d."),
    ] = ()
    units: Annotated[tuple[Unit, ...], Merge.LIST, Field(description="systemd units to enable.")] = ()
    default_target: Annotated[Unit | None, First, Field(description="systemd's default target.")] = None
    machineid_compat: Annotated[
        StrictBool, First, Field(description="Keep an empty /etc/machine-id; without it a machine's first boot is one.")
    ] = True
    mutate_os_release: Annotated[
        Line | None,
        First,
        Extra.SUBSTITUTED,
        Field(description="In os-release, replace this text by the commit's version."),
    ] = None
    automatic_version_prefix: Annotated[
        Line | None,
        First,
        Extra.SUBSTITUTED,
        Field(description="Versions count up from this: X, X.1, X.2; `<date:%Y%m%d>` stands for the day."),
    ] = None
    automatic_version_suffix: Annotated[Suffix, First, Field(description="The character between prefix and count.")] = (
        "."
    )
    etc_group_members: Annotated[
        tuple[Account, ...], Merge.LIST, Field(description="Groups that are in /etc/group, too, to add members to.")
    ] = ()
    preserve_passwd: Annotated[
        StrictBool, First, Field(description="Start from the previous commit's ids, so that they stay.")
    ] = True
    check_passwd: Annotated[CheckPasswd, First, Field(description="Fail when a user's id changed or vanished.")] = (
        CheckPasswd()
    )
    check_groups: Annotated[CheckGroups, First, Field(description="Fail when a group's id changed or vanished.")] = (
        CheckGroups()
    )
    ignore_removed_users: Annotated[
        tuple[AccountOrAll, ...], Merge.SET, Field(description="Users that may vanish; `*` is all.")
    ] = ()
    ignore_removed_groups: Annotated[
        tuple[AccountOrAll, ...], Merge.SET, Field(description="Groups that may vanish; `*` is all.")
    ] = ()
    postprocess: Annotated[
        tuple[StrictStr, ...],
        Merge.LIST,
        Field(description="Scripts that change the tree; each starts with its #! line."),
    ] = ()
    postprocess_script: Annotated[
        File | None, First, Field(description="An executable file that changes the tree after `postprocess`.")
    ] = None
    add_files: Annotated[
        tuple[tuple[File, Destination], ...],
        Merge.LIST,
        Field(description="Files beside the treefile, each with its path in the tree: [source, destination]."),
    ] = ()
    remove_files: Annotated[tuple[Relative, ...], Merge.LIST, Field(description="Paths to remove from the tree.")] = ()
    remove_from_packages: Annotated[
        tuple[RemoveRule, ...],
        Merge.LIST,
        Field(description="Files to drop: [package, regular expression…]; one that another package owns too stays."),
    ] = ()
    scriptlets: Annotated[
        dict[Name, ScriptletException], Merge.MAP, Field(description="For packages whose scripts need an exception.")
    ] = Field(default_factory=dict)
    repo_metadata: Annotated[
        Placement, First, Field(description="Where it is recorded which repositories were used, and their state.")
    ] = "inline"
    advisories_metadata: Annotated[
        Placement, First, Field(description="Where the advisories of the packages are recorded.")
    ] = "inline"
    rpmdb: Annotated[
        Literal["target", "host"],
        BeforeValidator(database_owner),
        First,
        Field(
            description="Whose format the rpm database has. Without effect: it is sqlite, which both can read.",
            json_schema_extra={"enum": ["target", "host", *DATABASE_FORMATS]},
        ),
    ] = "target"
    rpmdb_normalize: Annotated[
        StrictBool,
        First,
        Field(description="Make the rpm database the same each time. Without effect: it always is."),
    ] = False
    container_cmd: Annotated[
        tuple[StrictStr, ...] | None, First, Field(description="The command of a container that is made of the commit.")
    ] = None
    cliwrap: Annotated[
        StrictBool, First, Field(description="Wrap rpm and its like on machines. Without effect: nothing is wrapped.")
    ] = False
    cliwrap_binaries: Annotated[
        tuple[Literal["kernel-install"], ...],
        Merge.LIST,
        Field(description="Wrap only these. Without effect, as `cliwrap` is."),
    ] = ()
    add_commit_metadata: Annotated[
        dict[Line, JsonValue], Merge.MAP, Extra.SUBSTITUTED, Field(description="Data stored in the commit.")
    ] = Field(default_factory=dict)
    metadata: Annotated[
        dict[Line, JsonValue],
        Merge.MAP,
        Extra.SUBSTITUTED,
        Field(description="Data for other tools; a change of it alone is not a reason to compose."),
    ] = Field(default_factory=dict)

    def to_json(self) -> dict[str, JsonValue]:
        """The document of `--print-only`: the keys that were given, in the order of this class.

        It reads back as the same treefile, so packages with white space in them are in quotes again.
        """
        unprinted = {name for name, field in type(self).model_fields.items() if Extra.UNPRINTED in field.metadata}
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=unprinted)

    def to_text(self) -> str:
        """`to_json` as it is printed, and stored in the image."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
