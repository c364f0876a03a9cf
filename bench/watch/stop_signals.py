"""Wait, and wake up where the process is told to end: SIGINT, SIGTERM and SIGHUP end a watch in order.

A terminal that goes away sends SIGHUP: without a handler the kernel would go on to trace for nobody.
"""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Whether the process was told to end. A handler writes a byte to a pipe, which ends the wait.

    A lock that the wait holds would not do: the handler runs on the same thread (signal-safety(7)).
    """

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer

    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds, or until told to end; return whether that was said."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        return bool(ready)

    def stop(self) -> None:
        """End this wait, and each one after it."""
        os.write(self._writer, b"\0")


def is_ignored(number: signal.Signals) -> bool:
    """Return whether who started this process wants it to live on, as nohup(1) does with SIGHUP."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def heed_signals() -> Iterator[StopSignals]:
    """Take the signals as the word to end while the block lasts; main thread only."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stopping = StopSignals(reader, writer)

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.stop()

    before = {number: signal.signal(number, stop) for number in _ENDING if not is_ignored(number)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
