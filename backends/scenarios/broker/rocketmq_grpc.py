"""`python -m backends.scenarios.broker.rocketmq_grpc`: a broker that speaks RocketMQ 5's protocol.

It speaks over gRPC. It is there for RocketMQ's real client, in whose environment it runs: messages and
service are those of the package rocketmq-python-client. A topic has one queue; what a group has received
counts as consumed.
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from rocketmq.grpc_protocol import definition_pb2 as definition
from rocketmq.grpc_protocol import service_pb2 as service
from rocketmq.grpc_protocol import service_pb2_grpc as services

from backends.protocols.grpc_server import GrpcServer
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.broker.queues import Queue

_OK = definition.Status(code=definition.Code.OK, message="OK")
_NONE = definition.Status(code=definition.Code.MESSAGE_NOT_FOUND, message="no new message")


class RocketBroker(services.MessagingServiceServicer):  # type: ignore[misc, unused-ignore]
    """RocketMQ's service, as far as producers and simple consumers use it. Its methods are named by it."""

    def __init__(self, counters: Counters, host: str, port: int) -> None:
        self._counters = counters
        self._endpoints = definition.Endpoints(
            scheme=definition.AddressScheme.IPv4, addresses=[definition.Address(host=host, port=port)]
        )
        self._queues = defaultdict[str, Queue](Queue)
        self._received: dict[tuple[str, str], int] = {}
        self._peers: set[str] = set()

    async def QueryRoute(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return that this broker has every topic, with one queue."""
        self._count(context)
        queue = definition.MessageQueue(
            topic=request.topic,
            id=0,
            permission=definition.Permission.READ_WRITE,
            broker=definition.Broker(name="broker", id=0, endpoints=self._endpoints),
            accept_message_types=[definition.MessageType.NORMAL],
        )
        return service.QueryRouteResponse(status=_OK, message_queues=[queue])

    async def Telemetry(self, commands: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Agree to a client's settings."""
        self._count(context)
        async for command in commands:
            if command.HasField("settings"):
                yield service.TelemetryCommand(status=_OK, settings=command.settings)

    async def Heartbeat(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer a heartbeat."""
        self._count(context)
        return service.HeartbeatResponse(status=_OK)

    async def NotifyClientTermination(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer a client that ends."""
        return service.NotifyClientTerminationResponse(status=_OK)

    async def SendMessage(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Add messages to their topics."""
        self._count(context)
        entries = []
        for message in request.messages:
            text = message.SerializeToString().decode("latin-1")
            number = self._queues[message.topic.name].publish(text).number
            message_id = message.system_properties.message_id
            entries.append(service.SendResultEntry(status=_OK, message_id=message_id, offset=number))
        return service.SendMessageResponse(status=_OK, entries=entries)

    async def ReceiveMessage(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Send what a group has not received as soon as there is something, or nothing after a time."""
        self._count(context)
        queue, key = (
            self._queues[request.message_queue.topic.name],
            (request.group.name, request.message_queue.topic.name),
        )
        if not queue.after(self._received.get(key, 0)):
            await _next(queue, request.long_polling_timeout.seconds)
        found = queue.after(self._received.get(key, 0))[: request.batch_size]
        yield service.ReceiveMessageResponse(status=_OK if found else _NONE)
        for message in found:
            self._received[key] = message.number
            sent = definition.Message.FromString(message.text.encode("latin-1"))
            sent.system_properties.queue_offset = message.number
            sent.system_properties.receipt_handle = str(message.number)
            sent.system_properties.delivery_attempt = 1
            yield service.ReceiveMessageResponse(message=sent)

    async def AckMessage(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Acknowledge consumed messages."""
        self._count(context)
        entries = [
            service.AckMessageResultEntry(
                message_id=each.message_id, receipt_handle=each.receipt_handle, status=_OK
            )
            for each in request.entries
        ]
        return service.AckMessageResponse(status=_OK, entries=entries)

    def _count(self, context: Any) -> None:
        """Count a request, and the connection that it is the first one of."""
        self._counters.requests += 1
        if context.peer() not in self._peers:
            self._peers.add(context.peer())
            self._counters.accepted += 1


async def _next(queue: Queue, timeout_s: float) -> None:
    """Wait for the next message of a queue, or until the timeout."""
    came = asyncio.Event()
    queue.wait(came, came.set)
    try:
        await asyncio.wait_for(came.wait(), timeout_s)
    except TimeoutError:
        queue.abandon(came)


async def _make(given: argparse.Namespace) -> Backend:
    counters = Counters()
    host, _, port = given.listen[0].rpartition(":")
    broker = RocketBroker(counters, host, int(port))
    return GrpcServer(
        lambda server: services.add_MessagingServiceServicer_to_server(broker, server), counters
    )


if __name__ == "__main__":
    run_server(server_parser("backends.scenarios.broker.rocketmq_grpc", "A broker, as RocketMQ 5."), _make)
