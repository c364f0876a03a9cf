"""Sends that wait for the end of a turn of the event loop.

A request must not be sent on an idle connection whose end has arrived already. So requests wait until all
input that the loop has reported in this turn is read.
"""

import asyncio
import select
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.transport import Transport

SLICE = 64
"""Sends that are carried out together. A loop may report a thousand descriptors a turn; sent all together,
at 2,000 clients, the processor's caches would have lost the state of each connection.
"""


class SendQueue:
    """The sends of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: list[Transport] = []
        self._careful: list[Transport] = []

    def add(self, sender: "Transport") -> None:
        """Flush `sender` at the end of this turn, or earlier if many wait."""
        waiting = self._waiting
        waiting.append(sender)
        if len(waiting) == 1:
            self.loop.call_soon(self._flush)
        elif len(waiting) == SLICE:
            # The loop has not reported all yet.
            self._careful = waiting
            self._flush()

    def add_careful(self, sender: "Transport") -> None:
        """As `add`, but look immediately before whether input has arrived."""
        self._careful.append(sender)
        self.add(sender)

    def _flush(self) -> None:
        # What is read may make others careful.
        while self._careful:
            self._read_arrived()
        waiting, self._waiting = self._waiting, []
        for sender in waiting:
            try:
                sender.flush()
            except Exception as error:  # noqa: BLE001 - one connection's bug must not end the others
                report(sender, error)

    def _read_arrived(self) -> None:
        """Read what has arrived for those that are careful."""
        careful, self._careful = self._careful, []
        senders = {sender.descriptor: sender for sender in careful if sender.descriptor >= 0}
        poll = select.poll()
        for descriptor in senders:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(0):
            try:
                senders[descriptor].read_ready()
            except Exception as error:  # noqa: BLE001 - as in `_flush`
                report(senders[descriptor], error)


def report(sender: "Transport", error: Exception) -> None:
    """Abort the connection that hit a bug of the proxy, and say what it was; the others go on."""
    traceback.print_exception(error)
    sender.abort()
