"""The page about the format of a result, from its JSON Schema and the types behind it."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bench.runs import schema
from docs.site import markdown
from docs.site.pages import ROOT
from docs.site.reference.fields import read_meanings

_HEAD = """\
# Format of a result

A run is a folder: `run.jsonl` has its header in the first line and a trial in each other one.
`results/README.md` says what the keys mean, and describes the other files. `results/schema.json` is the
JSON Schema of a line; the tables below are made from it. `bench schema` prints the schema of what a command
prints with `--json`.

"""
_LINES = ("RunHeader", "Trial", "ScenarioTrial", "SweepTrial", "WatchTrial")
"""The definitions whose keys stand in `results/README.md` as they are; others are keys within them."""
_MODULES = (
    "bench.runs.record",
    "bench.runs.machine_record",
    "bench.runs.target_record",
    "bench.runs.sweep_trial",
    "bench.runs.watch_trial",
)


def build() -> str:
    """Return the page."""
    whole = schema.schema()
    return _HEAD.rstrip("\n") + "\n" + "".join(_sections(whole["$defs"]))


def _sections(definitions: Mapping[str, Any]) -> Iterator[str]:
    readme = _read_readme()
    for name, definition in definitions.items():
        meanings = (readme if name in _LINES else {}) | read_meanings(_find(name))
        rows = [
            (f"`{key}`", _format_type(value), _format_default(value), meanings.get(key, ""))
            for key, value in definition.get("properties", {}).items()
        ]
        about = definition.get("description", "")
        yield f"\n## {name}\n\n{about}\n\n"
        yield markdown.format_table(("key", "type", "default", "meaning"), rows)


def _find(name: str) -> type[Any]:
    """Return the type of a definition; LookupError where its module is not in the list."""
    for module in _MODULES:
        kind = getattr(importlib.import_module(module), name, None)
        if kind is not None:
            return kind  # type: ignore[no-any-return]
    raise LookupError(name)


def _format_type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = str(value["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(map(_format_type, value["anyOf"]))
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if value.get("type") == "array":
        items = value.get("items") or {}
        return f"list of {_format_type(items)}" if items else "list"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"object of {_format_type(value['additionalProperties'])}"
    return str(value.get("type", "any"))


def _format_default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    return "" if default in (None, "", [], {}, ()) else f"`{json.dumps(default)}`"


def _read_readme() -> dict[str, str]:
    """Return what `results/README.md` says of each key that it explains once."""
    meanings: dict[str, str] = {}
    twice = set()
    for line in (ROOT / "results" / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("| `") and len(cells) > 2:
            for key in re.findall(r"`([\w.]+)`", cells[0]):
                twice |= {key} if key in meanings else set()
                meanings[key] = cells[-1]
    return {key: meaning for key, meaning in meanings.items() if key not in twice}
