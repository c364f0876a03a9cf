"""Nacos's own client of 1.x: the module `nacos` of nacos-sdk-python 2.0, with a thread for each beat."""

import asyncio
from time import monotonic_ns
from typing import Any

import nacos
from nacos.listener import SubscribeListener

from bench.scenarios.sdk.nacos import SERVICE, BeatTimes, SeenChanges


class _BeatingClient(nacos.NacosClient):  # type: ignore[misc, unused-ignore]
    """The client, with its beats timed."""

    beats: BeatTimes

    def send_heartbeat(self, *arguments: Any, **named: Any) -> Any:
        began_ns = monotonic_ns()
        response = super().send_heartbeat(*arguments, **named)
        self.beats.add(began_ns)
        return response


class HttpMember:
    """One client of 1.x."""

    def __init__(self, number: int, job: dict[str, Any], beats: BeatTimes) -> None:
        self._number = number
        self._job = job
        self._client = _BeatingClient(job["address"], namespace="public")
        self._client.beats = beats

    async def register(self, ip: str, port: int) -> None:
        """Register an instance, which beats from now on."""
        every_s = self._job["beat_every_s"]
        add = self._client.add_naming_instance
        await asyncio.to_thread(add, SERVICE, ip, port, heartbeat_interval=every_s)

    async def follow(self, seen: SeenChanges) -> None:
        """Have the client poll the service."""

        def receive(event: str, instance: Any) -> None:
            seen.record(self._number, instance.instance["ip"], came=event == "ADDED")

        every_s = self._job["poll_every_s"]
        listener = SubscribeListener(receive, f"subscriber {self._number}")
        await asyncio.to_thread(self._client.subscribe, listener, every_s, service_name=SERVICE)

    async def die(self) -> None:
        """Stop the beats."""
        for task in self._client.heartbeats.values():
            task.stop()
