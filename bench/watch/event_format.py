"""The format files of tracefs: where an event has which field. Offsets differ between kernels; names do not.

Source: Documentation/trace/events.rst, section 2.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_FIELD = re.compile(r"field:(?P<declared>[^;]+);\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);")
_ID = re.compile(r"^ID:\s*(\d+)", re.MULTILINE)
_NAME = re.compile(r"(\w+)\s*(?:\[[^]]*\])?$")


@dataclass(frozen=True, slots=True)
class EventField:
    """Where a field is in the data of its event, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class EventFormat:
    """One event of this kernel: its number, and its fields by name."""

    number: int
    """What `common_type` holds in each record; 0 for the header of a page."""
    fields: Mapping[str, EventField]

    @property
    def size(self) -> int:
        """Return the bytes that hold all fields."""
        return max(field.offset + field.size for field in self.fields.values())

    def dtype(self, wanted: Mapping[str, str]) -> np.dtype[np.void]:
        """Return the type of records with the fields `wanted`: name and numpy's type of each.

        KeyError names a field that this kernel does not have; ValueError one of another size.
        """
        for name, kind in wanted.items():
            if np.dtype(kind).itemsize != self.fields[name].size:
                raise ValueError(f"{name} has {self.fields[name].size} bytes")
        return np.dtype(
            {
                "names": list(wanted),
                "formats": list(wanted.values()),
                "offsets": [self.fields[name].offset for name in wanted],
                "itemsize": self.size,
            }
        )


def parse(text: str) -> EventFormat:
    """Return what a format file says, or `events/header_page`, which has no number."""
    fields = {}
    for match in _FIELD.finditer(text):
        name = _NAME.search(match["declared"].strip())
        if name is not None:
            fields[name[1]] = EventField(int(match["offset"]), int(match["size"]))
    number = _ID.search(text)
    return EventFormat(int(number[1]) if number else 0, fields)
