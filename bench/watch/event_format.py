"""The format files of tracefs: where an event has which field. Offsets differ between kernels; names do not.

Source: Documentation/trace/events.rst, section 2.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_FIELD = re.compile(r"field:(?P<declared>[^;]+);\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);")
_ID = re.compile(r"^ID:\s*(\d+)", re.MULTILINE)
_NUMBER_BYTES = (1, 2, 4, 8)
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
        """Return the type of records with the fields `wanted`, each "u", "i" or "words" by its name.

        A number has as many bytes as this kernel gives it; words have 32 bits. KeyError names a field that
        this kernel does not have, ValueError one whose size makes no sense.
        """
        return np.dtype(
            {
                "names": list(wanted),
                "formats": [_format(name, self.fields[name].size, kind) for name, kind in wanted.items()],
                "offsets": [self.fields[name].offset for name in wanted],
                "itemsize": self.size,
            }
        )


def _format(name: str, size: int, kind: str) -> str:
    if kind == "words" and size % 4 == 0:
        return f"({size // 4},)u4"
    if kind != "words" and size in _NUMBER_BYTES:
        return f"{kind}{size}"
    raise ValueError(f"{name} has {size} bytes")


def parse(text: str) -> EventFormat:
    """Return what a format file says, or `events/header_page`, which has no number."""
    fields = {}
    for match in _FIELD.finditer(text):
        name = _NAME.search(match["declared"].strip())
        if name is not None:
            fields[name[1]] = EventField(int(match["offset"]), int(match["size"]))
    number = _ID.search(text)
    return EventFormat(int(number[1]) if number else 0, fields)
