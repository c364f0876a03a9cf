"""The page about the plan of a run: each key, from the dataclasses and the flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from bench.plan.flags import FLAGS
from bench.plan.run_plan import Plan
from docs.site import markdown
from docs.site.reference.fields import Field, format_default, read_fields

_HEAD = """\
# The plan of a run

`bench plan` prints the plan of a run as TOML, with all defaults; `bench run plan.toml` follows it, and
flags win. Each header of a result holds it whole. A dash stands for a key that is left out.

"""
_COLUMNS = ("key", "default", "flag", "meaning")


def build() -> str:
    """Return the page."""
    fields = list(read_fields(Plan))
    top = [each for each in fields if not dataclasses.is_dataclass(each.default)]
    parts = [_HEAD, _format_table("", top)]
    for each in fields:
        if dataclasses.is_dataclass(each.default):
            kind: type[Any] = type(each.default)
            about = " ".join((kind.__doc__ or "").split())
            parts.append(f"\n## [{each.name}]\n\n{about}\n\n{_format_table(each.name, read_fields(kind))}")
    return "".join(parts)


def _format_table(section: str, fields: Any) -> str:
    return markdown.format_table(_COLUMNS, _rows(section, fields))


def _rows(section: str, fields: list[Field]) -> Iterator[tuple[str, str, str, str]]:
    flags = {flag.key: flag for flag in FLAGS}
    for each in fields:
        flag = flags.get(f"{section}.{each.name}" if section else each.name)
        meaning = each.meaning or (flag.help if flag else "")
        yield f"`{each.name}`", format_default(each.default), f"`{flag.name}`" if flag else "", meaning
