"""Moves content from one socket to another within the kernel (splice(2)).

A long body of known length need not be read by the proxy: copying it into this process and out again is
most of its cost.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.transport import Transport

if TYPE_CHECKING:
    from proxy.upstream import UpstreamConnection

MAX_PIPES = 24
"""Each pipe takes two of the descriptors that `Settings.files` leaves beside connections, and may hold
half a megabyte while its client reads slowly. Without a free pipe, content is copied.
"""
_SPLICE_BYTES = 512 * 1024
"""What a pipe holds of the largest pieces in a socket: 16 of 32 KiB (include/net/sock.h)."""

Pipe = tuple[int, int]


class PipePool:
    """The pipes of one worker: created on demand, kept when empty."""

    def __init__(self) -> None:
        self._spare: list[Pipe] = []
        self._in_use = 0

    def splice(
        self, source: Transport, sink: Transport | None, size: int, owner: "UpstreamConnection"
    ) -> "Splice | None":
        """Begin to move `size` bytes to the sink; None without a sink or a pipe: they must be copied."""
        may_splice = sink is not None and sink.can_splice and source.can_splice
        pipe = self.acquire() if may_splice else None
        return (
            Splice(self, pipe, source, sink, size, owner) if sink is not None and pipe is not None else None
        )

    def acquire(self) -> Pipe | None:
        """Return an empty pipe; None at the maximum, or if no descriptors are left."""
        if self._in_use >= MAX_PIPES:
            return None
        try:
            pipe = self._spare.pop() if self._spare else os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        self._in_use += 1
        return pipe

    def release(self, pipe: Pipe, *, is_empty: bool) -> None:
        """Return a pipe to the pool; one with content is closed."""
        self._in_use -= 1
        if is_empty:
            self._spare.append(pipe)
        else:
            for end in pipe:
                os.close(end)


@dataclass(slots=True, eq=False)
class Splice:
    """Moves bytes from `source` to `sink`, and handles the events of `source` meanwhile.

    When the sink is full, its transport pauses its protocol; `resume` continues.
    """

    _pipes: PipePool
    _pipe: Pipe
    _source: Transport
    _sink: Transport
    _remaining: int
    _owner: "UpstreamConnection"
    _in_pipe: int = 0

    def __post_init__(self) -> None:
        self._source.read_with(self.read)

    @property
    def is_done(self) -> bool:
        """Return whether all bytes have reached the sink."""
        return not self._remaining and not self._in_pipe

    # Calls of the loop.

    def read(self) -> None:
        """Move what has arrived into the pipe, then on to the sink."""
        if self._in_pipe or not self._remaining:
            return
        try:
            count = os.splice(self._source.descriptor, self._pipe[1], min(self._remaining, _SPLICE_BYTES))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            remaining = self._remaining
            self.end()
            self._owner.splice_ended(remaining)
            return
        self._remaining -= count
        self._in_pipe = count
        self.resume()

    # Calls of the owner.

    def resume(self) -> None:
        """Move the content of the pipe to the sink."""
        try:
            count = os.splice(self._pipe[0], self._sink.descriptor, self._in_pipe)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self._sink.fail(error)
            return
        self._in_pipe -= count
        if self._in_pipe:
            self._sink.mark_blocked()
        if count:
            self._owner.spliced(self)

    def end(self) -> None:
        """Release the pipe, and make the source handle its own events again."""
        self._source.read_with(None)
        self._pipes.release(self._pipe, is_empty=not self._in_pipe)
        self._remaining = self._in_pipe = 0
