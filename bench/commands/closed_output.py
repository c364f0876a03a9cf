"""What happens where the reader of a command's output goes away, as `head` does: the command ends, quietly.

click would end with 1, which stands for findings here, whatever connection it was that broke.
"""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench.errors import LabError

_STREAMS = (1, 2)
"""Standard output and error."""


class OutputClosed(Exception):
    """Nobody reads standard output or error any more."""


@contextmanager
def output_may_close() -> Iterator[None]:
    """Raise OutputClosed where the block wrote to an output that nobody reads.

    LabError where it was another pipe or connection that broke: no command leaves that to this place.
    """
    try:
        yield
    except BrokenPipeError as error:
        if any(map(_is_unread, _STREAMS)):
            raise OutputClosed from error
        raise LabError(
            "a connection or a pipe to another process broke; run it again, and report it"
        ) from error


def _is_unread(stream: int) -> bool:
    """Return whether a stream is a pipe or a socket whose other end is closed."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def discard_output() -> None:
    """Let what is still to be written to closed outputs go nowhere: Python writes it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(_is_unread, _STREAMS):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    for text in (sys.stdout, sys.stderr):
        if text is not None:
            with suppress(OSError):
                text.flush()
