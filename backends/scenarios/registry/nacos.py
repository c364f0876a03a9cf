"""A registry as Nacos has it: its subscribers, and how it names instances and lists them.

Its HTTP interface is that of https://nacos.io/en/docs/open-api/ (service discovery); the messages of 2.x
have the same names, as JSON. `changedNs` is ours: when the list last changed, on the clock that all roles of
one machine share.
"""

import asyncio
import json
from collections.abc import Mapping
from time import monotonic_ns
from typing import Any, Protocol

from backends.scenarios.registry.instances import Instance, Instances, Service

GROUP = "DEFAULT_GROUP"
OK = 10200
"""Nacos' code for a beat of an instance that it knows."""
UNKNOWN = 20404
"""The one for an instance that it does not know: the client is to register it again."""
_SWEEPS_PER_EXPIRY = 3
"""As in Nacos, which sweeps every 5 s for beats that are 15 s old."""


def parse_instance(fields: Mapping[str, Any]) -> Instance | None:
    """Return the instance that a request names; None where it names none.

    Nacos' own client sends a beat's fields as JSON in the field `beat`.
    """
    if "beat" in fields and "ip" not in fields:
        try:
            fields = {**fields, **json.loads(fields["beat"])}
        except ValueError:
            return None
    service, host, port = fields.get("serviceName"), fields.get("ip"), str(fields.get("port", ""))
    if not service or not host or not port.isdecimal():
        return None
    return Instance(full_name(fields), str(host), int(port))


def full_name(fields: Mapping[str, Any]) -> str:
    """Return a service's name with its group before it, wherever it stands in the request."""
    name = str(fields.get("serviceName", ""))
    return name if "@@" in name else f"{fields.get('groupName') or GROUP}@@{name}"


def to_json(value: object) -> bytes:
    """Return a message as JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def beat_answer(is_known: bool, every_ms: int) -> dict[str, Any]:
    """Return the answer of 1.x to a beat."""
    code = OK if is_known else UNKNOWN
    return {"clientBeatInterval": every_ms, "code": code, "lightBeatEnabled": True}


def listing(name: str, service: Service) -> dict[str, Any]:
    """Return a service with its instances."""
    group, _, _ = name.partition("@@")
    return {
        "name": name,
        "groupName": group,
        "clusters": "",
        "cacheMillis": 10_000,
        "hosts": [_host(instance) for instance in service.instances],
        "lastRefTime": service.changed_ns // 1_000_000,
        "changedNs": service.changed_ns,
        "checksum": "",
        "allIPs": False,
        "reachProtectionThreshold": False,
        "valid": True,
    }


def _host(instance: Instance) -> dict[str, Any]:
    return {
        "instanceId": f"{instance.host}#{instance.port}#DEFAULT#{instance.service}",
        "ip": instance.host,
        "port": instance.port,
        "serviceName": instance.service,
        "clusterName": "DEFAULT",
        "weight": 1.0,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "metadata": {},
    }


class RegistrySubscriber(Protocol):
    """A client that is notified of changes."""

    def notify(self, listing: dict[str, Any]) -> None:
        """Send what a service is now."""


class Registry:
    """The instances on the machine's clock, and the subscribers of each service."""

    def __init__(self, expire_s: float) -> None:
        self._instances = Instances(round(expire_s * 1e9))
        self._subscribers: dict[str, dict[RegistrySubscriber, None]] = {}
        self._every_s = expire_s / _SWEEPS_PER_EXPIRY

    def sweep(self) -> None:
        """Remove the instances whose beats stay out, again and again."""
        for instance in self._instances.expire(monotonic_ns()):
            self._notify(instance.service)
        asyncio.get_running_loop().call_later(self._every_s, self.sweep)

    def beat(self, instance: Instance) -> bool:
        """Note a beat; return whether the instance is registered."""
        return self._instances.beat(instance, monotonic_ns())

    def register(self, instance: Instance) -> None:
        """Add an instance, and notify the subscribers of its service."""
        if self._instances.register(instance, monotonic_ns()):
            self._notify(instance.service)

    def leave(self, instance: Instance) -> None:
        """Remove an instance, and notify the subscribers of its service."""
        if self._instances.leave(instance, monotonic_ns()):
            self._notify(instance.service)

    def listing(self, name: str) -> dict[str, Any]:
        """Return the service called `name` with its instances."""
        return listing(name, self._instances.service(name))

    def subscribe(self, name: str, subscriber: RegistrySubscriber) -> None:
        """Have a subscriber notified of every change of a service."""
        self._subscribers.setdefault(name, {})[subscriber] = None

    def remove_client(
        self, subscriber: RegistrySubscriber, services: set[str], instances: dict[Instance, None]
    ) -> None:
        """Remove a client whose connection has ended, with its instances."""
        for name in services:
            del self._subscribers[name][subscriber]
        for instance in instances:
            self.leave(instance)

    def _notify(self, name: str) -> None:
        subscribers = self._subscribers.get(name)
        if subscribers:
            changed = self.listing(name)
            for each in subscribers:
                each.notify(changed)
