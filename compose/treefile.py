# SPDX-License-Identifier: GPL-2.0-or-later
"""The treefile: what may stand in it, and what each key means.

A key is one field here, which carries its type, its default, how it merges when files include each other, and the
text of the reference page. Reading, merging, the document of `--print-only` and the JSON Schema follow from it.
Left to others: files (`compose.load`), messages with places (`compose.validate`), merging (`compose.merge`).
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from compose.texts import (
    Destination,
    File,
    Line,
    Name,
    NameOrAll,
    Packages,
    Relative,
    Releasever,
    RemoveRule,
    Suffix,
    Unit,
    VariableName,
)
from rpmtree.root.spec import BootLocation, OptUsrLocal, VarPolicy


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


def kebab(name: str) -> str:
    """A field's name as a treefile spells it."""
    return name.replace("_", "-")


class Section(BaseModel):
    """A mapping of a treefile: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab)


class RepoPackages(Section):
    """Packages that come from one repository alone."""

    repo: Name = Field(description="The repository's id.")
    packages: Packages = Field(description="Packages to take from it, as in `packages`.")


Id = Annotated[StrictInt, Field(ge=0, lt=2**32 - 1)]


class _Check(Section):
    type: Literal["none", "previous", "file", "data"] = Field(
        default="previous", description="What to compare with: nothing, the previous commit, a file, or `entries`."
    )
    filename: File | None = Field(default=None, description="The file, with `type: file`.")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        entries: object = getattr(self, "entries", None)
        for key, value, kind in (("filename", self.filename, "file"), ("entries", entries, "data")):
            if (value is not None) != (self.type == kind):
                problem = (
                    f"with 'type: {self.type}' there is no '{key}'" if value is not None else f"'{key}' is missing"
                )
                raise ValueError(problem)
        return self


def _ids(value: object) -> object:
    return (value,) if isinstance(value, int) else value


class CheckPasswd(_Check):
    """What user ids are compared with."""

    entries: dict[Name, Annotated[tuple[Id, ...], BeforeValidator(_ids), Field(min_length=1, max_length=2)]] | None = (
        Field(default=None, description="With `type: data`: for each user a uid, [uid] or [uid, gid].")
    )


class CheckGroups(_Check):
    """What group ids are compared with."""

    entries: dict[Name, Id] | None = Field(default=None, description="With `type: data`: for each group its gid.")


#: The scripts of a package that run in a compose, by RPM's names.
Phase = Literal[
    "pretrans", "pre", "post", "posttrans", "triggerprein", "triggerin", "filetriggerin", "transfiletriggerin"
]


class ScriptletException(Section):
    """How one package's scripts are treated unlike others."""

    var: VarPolicy = Field(
        default=VarPolicy.WARN,
        description="What becomes of files that they write below /var: dropped with a warning, dropped in silence, "
        "or made into tmpfiles.d lines where they are directories and links.",
    )
    skip: tuple[Phase, ...] = Field(default=(), description="Scripts that are not run.")


def _opt_usrlocal(value: object) -> object:
    return "state-overlay" if value == "stateoverlay" else value  # what rpm-ostree takes, too


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Variable = StrictBool | Annotated[StrictInt, Field(ge=0)] | StrictStr
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
        tuple[File, ...],
        BeforeValidator(_one_or_more),
        Merge.CONSUMED,
        Extra.UNPRINTED,
        Field(
            description="Treefiles that this one builds on: one, or a list. Relative to this file.",
            json_schema_extra={"type": ["array", "string"]},
        ),
    ] = ()
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
    repos: Annotated[
        tuple[Name, ...],
        Merge.LIST,
        Field(description="Ids of the repositories to use; their .repo files are beside the treefile."),
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
        tuple[RepoPackages, ...], Merge.ROUTES, Field(description="Packages that come from one repository alone.")
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
    selinux: Annotated[StrictBool, First, Field(description="Label files by the policy in the tree.")] = True
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
        BeforeValidator(_opt_usrlocal),
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
        tuple[Name, ...], Merge.LIST, Field(description="Groups that are in /etc/group, too, to add members to.")
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
        tuple[NameOrAll, ...], Merge.SET, Field(description="Users that may vanish; `*` is all.")
    ] = ()
    ignore_removed_groups: Annotated[
        tuple[NameOrAll, ...], Merge.SET, Field(description="Groups that may vanish; `*` is all.")
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
