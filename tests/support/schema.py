# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a document is as docs/status.schema.json says.

The schema's own language, as far as the file uses it; a word that is not known is a fault of the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "status.schema.json").read_text())
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
WORDS = frozenset({
    "$schema", "$defs", "$ref", "title", "description", "type", "required", "additionalProperties", "properties",
    "items", "prefixItems", "minItems", "maxItems", "pattern", "enum",
})  # fmt: skip


def faults(value: Any, schema: dict[str, Any], where: str = "$") -> Iterator[str]:
    """Where `value` breaks the schema: a line each."""
    assert set(schema) <= WORDS, schema
    if "$ref" in schema:
        yield from faults(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
    types = [schema.get("type", [])] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if types and not any(type(value) in TYPES[name] for name in types):
        yield f"{where}: {type(value).__name__} is not {types}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is not in {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} is not {schema['pattern']}"
    if isinstance(value, dict):
        yield from object_faults(value, schema, where)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{where}: {len(value)} items"
        kinds = schema.get("prefixItems", [schema.get("items", {})] * len(value))
        for index, (item, kind) in enumerate(zip(value, kinds, strict=False)):
            yield from faults(item, kind, f"{where}[{index}]")


def object_faults(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    yield from (f"{where}: no {key}" for key in schema.get("required", []) if key not in value)
    properties, other = schema.get("properties", {}), schema.get("additionalProperties", {})
    for key, item in value.items():
        if key in properties:
            yield from faults(item, properties[key], f"{where}.{key}")
        elif other is False:
            yield f"{where}: {key} is not known"
        else:
            yield from faults(item, other, f"{where}.{key}")
