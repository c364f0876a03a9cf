"""The bytes that went over a host's wires, from /proc/net/dev (net/core/net-procfs.c).

The file is opened once, in the host's namespace, and read again by pread. A packet that the kernel hands over
whole (segmentation offload) counts with one header, so that large transfers look a few per cent smaller than
on a real wire.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")
_READ_BYTES = 1 << 14
_SENT = 8
"""Where the bytes sent stand among the numbers of an interface; those received stand first."""


class Place(Protocol):
    """A host of the lab, as far as its wires go."""

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the host's network namespace."""


class Bytes(NamedTuple):
    """What an interface, or several, sent and received so far."""

    sent: int
    received: int

    def since(self, earlier: Bytes) -> Bytes:
        """Return what came after `earlier`."""
        return Bytes(self.sent - earlier.sent, self.received - earlier.received)


class Wires:
    """The interfaces of one host but its loopback. States: open, closed."""

    def __init__(self, place: Place) -> None:
        self._fd = place.call(_open)

    def read(self) -> dict[str, Bytes]:
        """Return what each interface carried so far, by its name."""
        return parse(os.pread(self._fd, _READ_BYTES, 0).decode("ascii"))

    def close(self) -> None:
        """Close the file, which holds the namespace."""
        os.close(self._fd)


def parse(text: str) -> dict[str, Bytes]:
    """Return what /proc/net/dev says, but for the loopback interface."""
    rows = (line.partition(":") for line in text.splitlines()[2:])
    numbers = {name.strip(): list(map(int, rest.split())) for name, _, rest in rows}
    return {name: Bytes(row[_SENT], row[0]) for name, row in numbers.items() if name != "lo"}


def _open() -> int:
    return os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)
