"""A broker that sends messages over a WebSocket, to consumers that subscribed once."""

from collections import defaultdict

from backends.protocols.websocket import WebSocketBackend, WebSocketConnection
from backends.role.counters import Counters
from backends.scenarios.broker.queues import Position, Queue, parse_position


class PushBroker(WebSocketBackend):
    """The broker for consumers that are sent to."""

    def __init__(self, counters: Counters) -> None:
        super().__init__(counters)
        self.queues = defaultdict[str, Queue](Queue)

    def connect(self, path: str, query: dict[str, str]) -> WebSocketConnection | None:
        """Return the listener of a new connection; None refuses it."""
        position = parse_position(query)
        if position is None:
            return None
        self.counters.requests += 1
        return Consumer(self, position)


class Consumer(WebSocketConnection):
    """A connection that messages of one queue are sent to, as they come."""

    def __init__(self, broker: PushBroker, position: Position) -> None:
        super().__init__(broker)
        self._queues = broker.queues
        self._queue = broker.queues[position.queue]
        self._after = position.after

    def on_open(self) -> None:
        """Send the messages that are there, and then each as it comes."""
        while self.transport is not None and (messages := self._queue.after(self._after)):
            for message in messages:
                self.send(message.line.encode())
            self._after = messages[-1].number
        self._queue.wait(self, self.on_open)

    def on_text(self, text: str) -> None:
        """Publish a message, `QUEUE TEXT`; answer with its number."""
        name, _, message = text.partition(" ")
        self.send(str(self._queues[name].publish(message).number).encode())

    def on_close(self) -> None:
        """Wait for no more."""
        self._queue.abandon(self)
