"""The network interface that an address of this machine is on, and whether it carries anything."""

import fcntl
import socket
import struct
import sys

import psutil

# include/uapi/linux/sockios.h and if.h
_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_IFREQ = struct.Struct("16sH22x")


class DataInterface:
    """The interface with an address, in the network namespace of the thread that opens it.

    States: open, closed.
    """

    def __init__(self, address: str) -> None:
        self.name = next(
            (
                name
                for name, held in psutil.net_if_addrs().items()
                if address in (each.address.partition("%")[0] for each in held)
            ),
            None,
        )
        """None where no interface has the address."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def fault(self) -> str | None:
        """Return what keeps it from carrying anything; None: nothing, or this system does not tell."""
        if self.name is None or sys.platform != "linux":
            return None
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, _IFREQ.pack(self.name.encode(), 0))
        except OSError:
            return "is gone"
        _, flags = _IFREQ.unpack(answer)
        if not flags & _IFF_UP:
            return "is down"
        return None if flags & _IFF_RUNNING else "has no carrier"

    def close(self) -> None:
        """Close the socket that the kernel is asked through."""
        self._socket.close()
