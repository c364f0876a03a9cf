"""Nacos's own client of 2.x: the module `v2.nacos` of nacos-sdk-python 2.0, over gRPC."""

from pathlib import Path
from typing import Any

from v2 import nacos

from bench.scenarios.sdk.nacos import SERVICE, SeenChanges


class GrpcMember:
    """One client of 2.x, with a connection of its own."""

    def __init__(self, number: int, job: dict[str, Any]) -> None:
        self._number = number
        self._job = job
        self._service: Any = None

    async def register(self, ip: str, port: int) -> None:
        """Register an instance, which is there as long as the connection is."""
        service = await self._connected()
        await service.register_instance(nacos.RegisterInstanceParam(service_name=SERVICE, ip=ip, port=port))

    async def follow(self, seen: SeenChanges) -> None:
        """Subscribe to the service."""
        there: set[str] = set()

        async def receive(instances: Any) -> None:
            now = {instance.ip for instance in instances}
            for ip in now - there:
                seen.record(self._number, ip, came=True)
            for ip in there - now:
                seen.record(self._number, ip, came=False)
            there.clear()
            there.update(now)

        service = await self._connected()
        await service.subscribe(nacos.SubscribeServiceParam(service_name=SERVICE, subscribe_callback=receive))

    async def die(self) -> None:
        """Close the connection."""
        await (
            self._service.grpc_client_proxy.close_client()
        )  # shutdown() of 2.0.11 awaits what is no coroutine

    async def _connected(self) -> Any:
        if self._service is None:
            directory = str(Path.home() / f"client-{self._number}")
            config = (
                nacos.ClientConfigBuilder()
                .server_address(self._job["address"])
                .log_dir(directory)
                .cache_dir(directory)
                .grpc_config(nacos.GRPCConfig(port_offset=0))
                .build()
            )
            self._service = await nacos.NacosNamingService.create_naming_service(config)
        return self._service
