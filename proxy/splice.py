"""Content on its way from one socket to another within the kernel (splice(2)): counted, never seen. No HTTP.

A long body of known length needs no look at its bytes, and to copy them into this process and out again is
most of what it would cost.
"""

from __future__ import annotations

import os
from typing import Protocol

from proxy.poller import Poller
from proxy.transport import Transport

MAX_PIPES = 24
"""Each takes two of the descriptors that `Settings.files` leaves beside connections, and may hold half a
megabyte while its client reads slowly. Who finds none left copies."""
_ONCE_BYTES = 512 * 1024
"""What a pipe takes of the largest pieces that a socket holds: 16 of 32 KiB (include/net/sock.h)."""

Pipe = tuple[int, int]


class Pipes:
    """One worker's pipes: made when wanted, kept when empty."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self._spare: list[Pipe] = []
        self._taken = 0

    def take(self) -> Pipe | None:
        """Return an empty pipe; None where there are enough of them, or no descriptors are left."""
        if self._taken >= MAX_PIPES:
            return None
        try:
            pipe = self._spare.pop() if self._spare else os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        self._taken += 1
        return pipe

    def give_back(self, pipe: Pipe, *, is_empty: bool) -> None:
        """Take a pipe back; what is in it is lost."""
        self._taken -= 1
        if is_empty:
            self._spare.append(pipe)
        else:
            for end in pipe:
                os.close(end)


class Owner(Protocol):
    """For whom a conduit works."""

    def moved(self, conduit: Conduit) -> None:
        """Learn that some content has reached the sink."""

    def ended(self, left: int) -> None:
        """Learn that `left` bytes will not be moved, and that the source reads and tells what comes next."""


class Conduit:
    """Moves bytes from `source` to `sink`, and stands in for `source` at the poller meanwhile.

    When the sink takes no more, that tells its protocol to pause; `resume` goes on.
    """

    __slots__ = ("_left", "_owner", "_pipe", "_pipes", "_sink", "_source", "_within")

    def __init__(
        self, pipes: Pipes, pipe: Pipe, source: Transport, sink: Transport, *, size: int, owner: Owner
    ) -> None:
        self._pipes = pipes
        self._pipe = pipe
        self._source = source
        self._sink = sink
        self._left = size
        self._within = 0
        self._owner = owner
        source.read_little()
        pipes.poller.hand(source.descriptor, self)

    @property
    def is_done(self) -> bool:
        """Whether all bytes have reached the sink."""
        return not self._left and not self._within

    # What the poller tells.

    def read(self) -> None:
        """Move what has come in."""
        if self._within or not self._left:
            # Nothing is wanted for now; who wants more looks again.
            return
        try:
            count = os.splice(self._source.descriptor, self._pipe[1], min(self._left, _ONCE_BYTES))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._stand_aside()
            return
        self._left -= count
        self._within = count
        self.resume()

    def ready(self, events: int) -> None:
        """Move what has come in before the end."""
        self.read()

    # What its owner asks for.

    def resume(self) -> None:
        """Hand on what is on its way."""
        try:
            count = os.splice(self._pipe[0], self._sink.descriptor, self._within)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self._sink.fail(error)
            return
        self._within -= count
        if self._within:
            self._sink.block()
        elif self._left:
            self._source.look_again()
        if count:
            self._owner.moved(self)

    def end(self) -> None:
        """Give back the pipe, and its place at the poller to the source."""
        if self._source.descriptor >= 0:
            self._pipes.poller.hand(self._source.descriptor, self._source)
            self._source.look_again()
        self._pipes.give_back(self._pipe, is_empty=not self._within)
        self._left = self._within = 0

    def _stand_aside(self) -> None:
        left = self._left
        self.end()
        self._owner.ended(left)
