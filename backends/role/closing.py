"""How a backend closes a connection: after its last answer by the flag `--close`, or by a reset."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import Enum

from backends.role.errors import MisuseError

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class CloseKind(Enum):
    """What the backend does once a connection shall carry no further request."""

    AT_ONCE = "at-once"
    LINGER = "linger"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Close:
    """When the backend closes: at once, after `linger_s`, or never of its own accord."""

    kind: CloseKind
    linger_s: float = 0.0


def parse_close(text: str) -> Close:
    """Read `at-once`, `linger:MS` or `never`."""
    kind, colon, number = text.partition(":")
    if kind == "linger" and number.isdecimal():
        return Close(CloseKind.LINGER, int(number) / 1000)
    if not colon and kind in ("at-once", "never"):
        return Close(CloseKind(kind))
    raise MisuseError(f"close {text!r} is not understood; write at-once, linger:MS or never")


def reset(transport: asyncio.Transport) -> None:
    """Close a connection by a reset instead of a FIN."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
