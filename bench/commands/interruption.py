"""Ctrl-C while a command is still being imported, which is most of its start: it ends at once, and quietly.

Nothing has been started then that would have to be ended. An exception would not do: an import runs code in
which Python cannot raise one, and prints it instead, or makes another one of it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_AGAIN_S = 0.01
"""A destructor is over by then, or it is the next one to be interrupted."""


@contextmanager
def ended_at_once() -> Iterator[None]:
    """End this process with 130 where Ctrl-C comes within the block, unless that is ignored or handled."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: object) -> NoReturn:
    os._exit(128 + number)


def deliver_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Deliver Ctrl-C a moment later where Python could not raise it (`sys.unraisablehook`): in a destructor.

    It would be printed there, and be lost.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    else:
        sys.__unraisablehook__(unraisable)
