"""Nacos's own client of 1.x: the module `nacos` of nacos-sdk-python 2.0, with a thread for each beat."""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Any

import nacos
from nacos.listener import SubscribeListener

from bench.scenarios.sdk.seen import SERVICE, Beats, Seen


class _Counted(nacos.NacosClient):  # type: ignore[misc, unused-ignore]
    """The client, with its beats timed."""

    beats: Beats

    def send_heartbeat(self, *arguments: Any, **named: Any) -> Any:
        began_ns = monotonic_ns()
        answer = super().send_heartbeat(*arguments, **named)
        self.beats.add(began_ns)
        return answer


class Http:
    """One client of 1.x."""

    def __init__(self, who: int, job: dict[str, Any], beats: Beats) -> None:
        self._who = who
        self._job = job
        self._client = _Counted(job["address"], namespace="public")
        self._client.beats = beats

    async def register(self, ip: str, port: int) -> None:
        """Register an instance, which beats from now on."""
        every_s = self._job["beat_every_s"]
        add = self._client.add_naming_instance
        await asyncio.to_thread(add, SERVICE, ip, port, heartbeat_interval=every_s)

    async def follow(self, seen: Seen) -> None:
        """Have the client poll the service."""

        def told(event: str, instance: Any) -> None:
            seen.take(self._who, instance.instance["ip"], came=event == "ADDED")

        every_s = self._job["poll_every_s"]
        listener = SubscribeListener(told, f"subscriber {self._who}")
        await asyncio.to_thread(self._client.subscribe, listener, every_s, service_name=SERVICE)

    async def die(self) -> None:
        """Beat no more."""
        for task in self._client.heartbeats.values():
            task.stop()
