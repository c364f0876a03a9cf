"""A service registry over one WebSocket for each client, as Nacos 2.x."""

import json
from typing import Any

from backends.protocols.websocket import WebSocketBackend, WebSocketConnection
from backends.role.counters import Counters
from backends.scenarios.registry import nacos
from backends.scenarios.registry.instances import Instance
from backends.scenarios.registry.nacos import Registry


class StreamRegistry(WebSocketBackend):
    """The registry as 2.x serves it."""

    def __init__(self, registry: Registry, counters: Counters) -> None:
        super().__init__(counters)
        self.registry = registry

    def connect(self, path: str, query: dict[str, str]) -> WebSocketConnection:
        """Return the listener of a new connection."""
        return RegistryClient(self)


class RegistryClient(WebSocketConnection):
    """One client of 2.x on its connection, with the instances that it registered and its subscriptions."""

    def __init__(self, server: StreamRegistry) -> None:
        super().__init__(server)
        self._counters, self._registry = server.counters, server.registry
        self._instances: dict[Instance, None] = {}
        self._subscriptions: set[str] = set()

    def notify(self, listing: dict[str, Any]) -> None:
        """Send what a service is now."""
        self.send(_message("NotifySubscriberRequest", serviceInfo=listing))

    def on_text(self, text: str) -> None:
        """Answer a request."""
        self._counters.requests += 1
        self.send(self._answer(json.loads(text)))

    def on_close(self) -> None:
        """Remove the client's instances."""
        self._registry.remove_client(self, self._subscriptions, self._instances)

    def _answer(self, request: dict[str, Any]) -> bytes:
        match request.get("type"):
            case "HealthCheckRequest":
                for instance in self._instances:
                    self._registry.beat(instance)
                return _ALIVE
            case "InstanceRequest":
                return self._register(request)
            case "SubscribeServiceRequest":
                name = nacos.full_name(request)
                self._subscriptions.add(name)
                self._registry.subscribe(name, self)
                return _message("SubscribeServiceResponse", serviceInfo=self._registry.listing(name))
            case "NotifySubscriberResponse":
                return _ALIVE
        return self._refuse()

    def _register(self, request: dict[str, Any]) -> bytes:
        instance = nacos.parse_instance(request)
        if instance is None:
            return self._refuse()
        self._instances[instance] = None
        self._registry.register(instance)
        return _message("InstanceResponse")

    def _refuse(self) -> bytes:
        self._counters.errors.protocol += 1
        return _message("ErrorResponse", code=400)


def _message(kind: str, *, code: int = 200, **more: object) -> bytes:
    return nacos.to_json({"type": kind, "resultCode": code, **more})


_ALIVE = _message("HealthCheckResponse")
