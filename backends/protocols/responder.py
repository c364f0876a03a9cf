"""What a protocol answers, as values: bytes in, answers out. No sockets, no clock.

Each protocol (plain.py, http2.py, fastcgi.py, gateways.py, memcached.py) is a Speaker; peers.py puts it on
a socket.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class DialogueError(Exception):
    """The peer sent what its protocol does not allow; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes to send, how many requests they answer, and whether the connection stays afterwards."""

    data: bytes
    requests: int = 1
    stays: bool = True


class Speaker(Protocol):
    """One connection's side of a dialogue; keeps what is not whole yet."""

    def greeting(self) -> bytes:
        """Return what is sent before anything was received."""

    def feed(self, data: bytes) -> Iterator[Answer]:
        """Yield the answers to what is whole now. Raises DialogueError."""
