# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of a treefile for editors, as JSON Schema, and for readers, as a page. Both are made of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compose.keys import LEGACY, WITHOUT_EFFECT
from compose.merge import RULES
from compose.parts import kebab
from compose.treefile import Extra, Merge, Treefile

_INTRODUCTION = """\
# The treefile

A treefile says what an image is made of. A file whose name ends in `.yaml` or `.yml` is YAML, and a key that is not
below is an error; `.ks` is the package list of a kickstart file; all else is JSON, where an unknown key is a remark
that is warned of. `compose tree --print-only FILE` prints what a treefile and all that it includes are together,
`compose schema` a JSON Schema of it for editors.

Paths are relative to the file that they stand in, and may lead to anything in the same git checkout (where there is
none, in the same directory); `--allow-outside DIR` allows more. All errors of a file are said at once, each with its
line and column.

**Includes.** Of the files that one names, those of `include` come first, then those that `arch-include` has for the
architecture, then those of `conditional-include` whose conditions hold; keys that stand in a condition itself go
before all of them. The including file wins over what it includes, an earlier include over a later one; lists are put
together in the opposite order, what is included before what includes it. A file that is included twice counts once.

**Variables.** `${name}` stands for a variable where the table says so: `basearch`, `releasever`, and those of
`variables`. In a condition, a variable is compared by `==` or `!=` with `true`, `false`, digits or a text in double
quotes, and numbers by `<`, `<=`, `>`, `>=`, too; a list of conditions holds if all do. The variables of a file, of
those that include it, and of those that were read before it are known.

**Packages.** An entry may hold several, separated by white space but for what stands in single quotes: a name, a part
of a NEVRA, something that packages provide, with a version (`'podman >= 4.1'`), a path, a pattern, or `@group`.
`packages-ARCH` adds to `packages` on one architecture.

**finalize.d.** The executable files of a directory of that name beside a treefile are run when the tree is finished,
in the order of their names: on the host, as root, in the tree's top directory, with `RPMOSTREE_WORKDIR` a directory for
their own use. Of two of one name the including file's is run.
"""
_MERGES = {
    Merge.FIRST: "first",
    Merge.SET: "set",
    Merge.LIST: "list",
    Merge.MAP: "map",
    Merge.ROUTES: "routes",
    Merge.CONSUMED: "–",
}


def schema() -> dict[str, Any]:
    """The JSON Schema of a treefile (draft 2020-12)."""
    found = Treefile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def page() -> str:
    """The reference page, in Markdown."""
    return "\n".join(_lines(schema()))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Keys\n"
    yield "| Key | Type | Default | Merge | Meaning |"
    yield "|---|---|---|---|---|"
    for name, field in Treefile.model_fields.items():
        entry = found["properties"][kebab(name)]
        marks = ["`${…}`."] if Extra.SUBSTITUTED in field.metadata else []
        text = " ".join([entry["description"], *marks])
        merge = _MERGES[RULES[name]]
        yield f"| `{kebab(name)}` | {_type(entry, found)} | {_default(entry)} | {merge} | {_cell(text)} |"
    yield "\nHow a key merges where several files have it:\n"
    yield from (f"* **{short}**: {rule.value}" for rule, short in _MERGES.items())
    for title, names in sorted(_sections(found).items()):
        yield f"\n### {title}\n"
        yield f"{found['$defs'][title]['description']}\n"
        yield "| Key | Type | Default | Meaning |"
        yield "|---|---|---|---|"
        for name, entry in names.items():
            yield f"| `{name}` | {_type(entry, found)} | {_default(entry)} | {_cell(entry['description'])} |"
    yield "\n## Old spellings\n"
    yield from (f"* `{old}` is `{new}`" for old, new in LEGACY.items())
    yield "* `bootstrap-packages` adds to `packages`"
    yield "\n## Accepted, without effect\n"
    yield from (f"* `{key}`: {why}" for key, why in WITHOUT_EFFECT.items())
    yield ""


def _sections(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {title: entry["properties"] for title, entry in found["$defs"].items() if "properties" in entry}


def _type(entry: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """A JSON Schema as words."""
    if "$ref" in entry:
        title = entry["$ref"].rpartition("/")[2]
        definition = found["$defs"][title]
        return f"[{title}](#{title.lower()})" if "properties" in definition else _type(definition, found)
    if "anyOf" in entry:
        kinds = [_type(one, found) for one in entry["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in entry or "const" in entry:
        return ", ".join(_value(value) for value in entry.get("enum", [entry.get("const")]))
    match entry.get("type"):
        case "array" if "prefixItems" in entry:
            return f"[{', '.join(_type(one, found) for one in entry['prefixItems'])}]"
        case "array":
            return f"list of {_type(entry['items'], found)}"
        case ["array", "string"]:
            return "text or list of text"
        case "object":
            below = entry.get("additionalProperties")
            return f"mapping to {_type(below, found)}" if isinstance(below, Mapping) and below else "mapping"
        case "boolean":
            return "true, false"
        case "integer":
            return "number"
        case "string":
            return "text"
        case _:
            return "anything"


def _default(entry: Mapping[str, Any]) -> str:
    default = entry.get("default")
    return "" if default in (None, [], {}) or isinstance(default, dict) else _value(default)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "none" if value == () else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
