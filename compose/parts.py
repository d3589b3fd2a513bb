# SPDX-License-Identifier: GPL-2.0-or-later
"""What treefile keys hold that is more than a text: mappings with keys of their own, and values of few spellings."""

from __future__ import annotations

from collections.abc import Mapping
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

from compose.texts import Account, File, Line, Name, Packages
from rpmtree.root.spec import VarPolicy


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

    @property
    def seeds(self) -> bool:
        """Whether what is compared with is also what a tree starts from."""
        return self.type in ("file", "data")

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

    entries: (
        dict[Account, Annotated[tuple[Id, ...], BeforeValidator(_ids), Field(min_length=1, max_length=2)]] | None
    ) = Field(default=None, description="With `type: data`: for each user a uid, [uid] or [uid, gid].")


class CheckGroups(_Check):
    """What group ids are compared with."""

    entries: dict[Account, Id] | None = Field(default=None, description="With `type: data`: for each group its gid.")


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


def overlay_spelling(value: object) -> object:
    """Also the spelling that rpm-ostree takes without documenting it."""
    return "state-overlay" if value == "stateoverlay" else value


def one_or_more(value: object) -> object:
    """A text alone as a list of one."""
    return (value,) if isinstance(value, str) else value


Variable = StrictBool | Annotated[StrictInt, Field(ge=0)] | StrictStr


def routes(value: object) -> object:
    """`repo-packages` as a list, also where it is one entry, or a mapping from repositories to packages."""
    if not isinstance(value, Mapping):
        return value
    if "repo" in value:
        return [value]
    return [{"repo": repo, "packages": packages} for repo, packages in value.items()]


#: Files that are included: one, or a list of them.
Files = Annotated[
    tuple[File, ...], BeforeValidator(one_or_more), Field(json_schema_extra={"type": ["array", "string"]})
]


class ConditionalInclude(Section):
    """Treefiles to include where conditions hold; or what such a treefile would hold."""

    condition: Annotated[tuple[StrictStr, ...], BeforeValidator(one_or_more)] = Field(
        alias="if",
        description="A condition on a variable, `NAME OPERATOR VALUE`, or a list of which all must hold.",
        json_schema_extra={"type": ["array", "string"]},
    )
    include: Files | dict[str, JsonValue] = Field(
        description="A file, a list of files, or keys as in a treefile, relative to this file."
    )


class Rojig(Section):
    """What was put into an RPM that named a commit. Nothing makes such RPMs any more; other tools read this."""

    name: Line | None = Field(default=None, description="Name of the package.")
    summary: Line | None = Field(default=None, description="Its summary.")
    license: Line | None = Field(default=None, description="Its licence.")
    description: StrictStr | None = Field(default=None, description="Its description.")


class Modules(Section):
    """Modules of Fedora's and RHEL's modularity, of which no package manager is left that knows them."""

    enable: tuple[Line, ...] = Field(default=(), description="Module streams to enable.")
    install: tuple[Line, ...] = Field(default=(), description="Module profiles to install.")
    disable: tuple[Line, ...] = Field(default=(), description="Modules to disable.")


#: How rpm-ostree tells of data that a commit carries: in it, beside it so that checksums stay, or nowhere.
Placement = Literal["inline", "detached", "disabled"]


def year(value: object) -> object:
    """A year is a text, with quotes or without."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: Names of formats stood where `target` stands now.
DATABASE_FORMATS = ("bdb", "b-d-b", "sqlite", "ndb")


def database_owner(value: object) -> object:
    """`target` for what stood there once."""
    return "target" if value in DATABASE_FORMATS else value


def label_version(value: object) -> object:
    """0 or 1. Raises ValueError for another number; true is none, though it equals 1."""
    if isinstance(value, bool | float) or (isinstance(value, int) and value not in (0, 1)):
        raise ValueError(f"Invalid selinux-label-version: {str(value).lower()}")
    return value
