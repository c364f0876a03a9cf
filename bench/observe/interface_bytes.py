"""Byte counters of a host's interfaces, from /proc/net/dev (net/core/net-procfs.c).

The file is opened once, in the host's namespace, and read again by pread. A packet that the kernel passes on
whole (segmentation offload) counts with one header, so that large transfers look a few per cent smaller than
on a real wire.
"""

import os
from typing import NamedTuple

_READ_BYTES = 1 << 14
_SENT = 8
"""Where the bytes sent stand among the numbers of an interface; those received stand first."""


class InterfaceBytes(NamedTuple):
    """Bytes that one interface, or several, sent and received so far."""

    sent: int
    received: int

    def since(self, earlier: "InterfaceBytes") -> "InterfaceBytes":
        """Return what came after `earlier`."""
        return InterfaceBytes(self.sent - earlier.sent, self.received - earlier.received)


class InterfaceCounters:
    """The interfaces, but for the loopback, of the network namespace in which this is made.

    States: open, closed.
    """

    def __init__(self) -> None:
        self._fd = os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> dict[str, InterfaceBytes]:
        """Return the bytes of each interface so far, by its name."""
        return parse(os.pread(self._fd, _READ_BYTES, 0).decode("ascii"))

    def close(self) -> None:
        """Close the file, which holds the namespace."""
        os.close(self._fd)


def parse(text: str) -> dict[str, InterfaceBytes]:
    """Return the bytes of each interface in /proc/net/dev but the loopback."""
    rows = (line.partition(":") for line in text.splitlines()[2:])
    numbers = {name.strip(): list(map(int, rest.split())) for name, _, rest in rows}
    return {name: InterfaceBytes(row[_SENT], row[0]) for name, row in numbers.items() if name != "lo"}
