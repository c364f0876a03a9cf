"""How Nacos writes what a registry says: keys, lists and answers, as its clients read them. Pure.

Its HTTP interface is that of https://nacos.io/en/docs/open-api/ (service discovery); what 2.x says over its
long connection has the same names, as JSON. `changedNs` is ours: when the list last changed, on the clock
that all roles of one machine share.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from backends.roster import Key, Service

GROUP: Final = "DEFAULT_GROUP"
OK: Final = 10200
"""Nacos' code for a beat of an instance that it knows."""
UNKNOWN: Final = 20404
"""The one for an instance that it does not know: the client is to register it again."""


def key(fields: Mapping[str, Any]) -> Key | None:
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
    return Key(full_name(fields), str(host), int(port))


def full_name(fields: Mapping[str, Any]) -> str:
    """Return a service's name with its group before it, whoever put it there."""
    name = str(fields.get("serviceName", ""))
    return name if "@@" in name else f"{fields.get('groupName') or GROUP}@@{name}"


def beat_answer(is_known: bool, every_ms: int) -> dict[str, Any]:
    """Return what 1.x answers to a beat."""
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


def _host(instance: Key) -> dict[str, Any]:
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
