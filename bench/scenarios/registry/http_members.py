"""Members of a registry as in Nacos 1.x: instances beat and subscribers poll by HTTP requests."""

import asyncio
import json
from urllib.parse import urlencode

from bench.scenarios.client.requests import HttpCaller, HttpResponse, RequestOptions
from bench.scenarios.registry.fleet import Fleet, InstanceName, RegistryCounts, RegistryJob, service_name

_INSTANCE = "/nacos/v1/ns/instance"
_UNKNOWN = b'"code":20404'


def request_options(job: RegistryJob, number: int) -> RequestOptions:
    """Return how a member sends its requests; the source addresses take turns."""
    source = job.sources[number % len(job.sources)] if job.sources else None
    return RequestOptions(job.address, job.variant == "http-kept", job.server_closes, source)


class HttpInstance:
    """An instance that sends requests."""

    def __init__(self, name: InstanceName, options: RequestOptions, counts: RegistryCounts) -> None:
        host, port = name.address
        fields = urlencode({"serviceName": name.service, "ip": host, "port": port, "namespaceId": "public"})
        self._register, self._beat = f"{_INSTANCE}?{fields}", f"{_INSTANCE}/beat?{fields}"
        self._caller = HttpCaller(options)
        self._counts = counts

    async def join(self) -> None:
        """Register."""
        _expect(await self._caller.request("POST", self._register, b""))

    async def beat(self) -> None:
        """Beat; as Nacos' clients do, register again where the registry does not know the instance."""
        response = _expect(await self._caller.request("PUT", self._beat, b""))
        if _UNKNOWN in response.body:
            self._counts.false_dead += 1
            await self.join()

    def die(self) -> None:
        """End abruptly."""
        self._caller.close()


async def subscribe(subscriber: int, fleet: Fleet, job: RegistryJob, counts: RegistryCounts) -> None:
    """Poll one service until cancelled."""
    service = service_name(subscriber % fleet.services)
    caller = HttpCaller(request_options(job, subscriber))
    target = f"{_INSTANCE}/list?{urlencode({'serviceName': service})}"
    # Spread evenly, as clients are that know nothing of each other.
    await asyncio.sleep(job.poll_every_s * subscriber / job.subscribers)
    while True:
        try:
            response = _expect(await caller.request("GET", target))
            counts.polls += 1
            counts.receive_list(subscriber, service, json.loads(response.body))
        except OSError as error:
            counts.count_error(error)
        await asyncio.sleep(job.poll_every_s)


def _expect(response: HttpResponse) -> HttpResponse:
    if response.status != 200:
        raise ConnectionError(f"status {response.status}")
    return response
