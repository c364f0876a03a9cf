"""Members of a registry as in Nacos 1.x: instances beat and subscribers poll, by HTTP requests."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

from bench.scenarios.client.requests import Caller, Manner, Response
from bench.scenarios.registry.fleet import Fleet, Job, Named, Tally, service_name

_INSTANCE = "/nacos/v1/ns/instance"
_UNKNOWN = b'"code":20404'


def manner(job: Job, number: int) -> Manner:
    """Return how a member asks: its source address is one of those there are, in turn."""
    host, _, port = job.address.rpartition(":")
    source = job.sources[number % len(job.sources)] if job.sources else None
    return Manner(host, int(port), job.variant == "http-kept", job.server_closes, source)


class Instance:
    """An instance that asks."""

    def __init__(self, named: Named, how: Manner, tally: Tally) -> None:
        host, port = named.address
        fields = urlencode({"serviceName": named.service, "ip": host, "port": port, "namespaceId": "public"})
        self._register, self._beat = f"{_INSTANCE}?{fields}", f"{_INSTANCE}/beat?{fields}"
        self._caller = Caller(how)
        self._tally = tally

    async def join(self) -> None:
        """Register."""
        _expect(await self._caller.ask("POST", self._register, b""))

    async def beat(self) -> None:
        """Beat; as Nacos' clients do, register again where the registry does not know the instance."""
        answer = _expect(await self._caller.ask("PUT", self._beat, b""))
        if _UNKNOWN in answer.body:
            self._tally.mistaken += 1
            await self.join()

    def die(self) -> None:
        """End without a word."""
        self._caller.close()


async def follow(who: int, fleet: Fleet, job: Job, tally: Tally) -> None:
    """Poll one service for good."""
    service = service_name(who % fleet.services)
    caller = Caller(manner(job, who))
    target = f"{_INSTANCE}/list?{urlencode({'serviceName': service})}"
    # Spread evenly, as clients are that know nothing of each other.
    await asyncio.sleep(job.poll_every_s * who / job.subscribers)
    while True:
        try:
            answer = _expect(await caller.ask("GET", target))
            tally.polls += 1
            tally.listed(who, service, json.loads(answer.body))
        except OSError as error:
            tally.failed(error)
        await asyncio.sleep(job.poll_every_s)


def _expect(answer: Response) -> Response:
    if answer.status != 200:
        raise ConnectionError(f"status {answer.status}")
    return answer
