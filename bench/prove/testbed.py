"""The testbed: a lab with the backends that a configuration's locations need, and an nginx that runs it.

It starts, counts, reads sockets and stops. rewrite.py writes what runs, runner.py draws the conclusions.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from bench import lab
from bench.errors import LabError
from bench.experiment import fd_limits
from bench.lab import Lab, port_of, sysctl
from bench.observe.host_observer import KernelView
from bench.observe.time_wait import HostPorts, count_sockets
from bench.prove.backend_kinds import BackendKind
from bench.prove.backends import BackendCounts, Backends, start_backends
from bench.prove.changes import ChangeLog, Rejection
from bench.prove.http_client import Responses, send_requests
from bench.prove.inventory import Inventory, Location
from bench.prove.nginx_process import (
    ClientProtocol,
    ScratchNginx,
    allocate_listeners,
    confine_nginx,
    create_scratch_folder,
)
from bench.prove.requests import Request
from bench.prove.rewrite import ROOT, Listeners
from bench.subjects.launch import LaunchedProxy
from bench.subjects.programs import Program
from bench.subjects.subject import SPARE_FDS

_ALL_PORTS = "1024 65535"
_FILES_PER_REQUEST = 3  # a client's connection, one upstream, and one that is being closed
_FILES_PER_LOCATION = 2  # a connection in its pool, and one that is being closed


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """How a proof is run."""

    lab: str = "auto"
    backend_close: str = "at-once"
    """When the backend closes what it was told to close: at-once, linger:MS or never."""
    client: ClientProtocol = "auto"
    requests: int = 8
    """Sent to each location once a request was found that reaches it."""
    given: Sequence[Request] = ()
    like: Mapping[str, BackendKind] = field(default_factory=dict)
    """How the servers behave, by the name of an upstream {} or by address; "" is about all others."""
    in_flight: int = 1
    """Requests that clients have in flight at once, for each worker of nginx."""
    workers: int = 1
    """Workers of nginx, each with pools of its own: as many as run where that matters."""

    @property
    def wanted_in_flight(self) -> int:
        """The same for verdicts, which are about requests one after the other unless more are wanted."""
        return self.in_flight if self.in_flight > 1 else 0


class LocationSockets(NamedTuple):
    """Sockets between nginx and the backends of one location, on both hosts."""

    time_wait_nginx: int
    time_wait_backend: int
    closing: int
    """Sockets that are being closed right now."""


@dataclass(slots=True)
class NginxTestbed:
    """A configuration that runs."""

    lab: Lab
    listeners: dict[int, Listeners]
    backends: Backends
    nginx: LaunchedProxy
    kernels: dict[str, KernelView]
    folder: Path
    is_confined: bool
    """Whether the kernel confines nginx to its folder and the ports of the lab."""
    ports: int
    """Those that nginx's host gives to connections of its own, towards each address of a backend."""

    def counts_of(self, number: int, counts: Mapping[str, BackendCounts] | None = None) -> BackendCounts:
        """Return what all backends of one location counted, by now or in these counts."""
        return _sum(self.counts_by_server(number, counts))

    def counts_by_server(
        self, number: int, counts: Mapping[str, BackendCounts] | None = None
    ) -> list[BackendCounts]:
        """Return what each server of one location counted, over all its peers."""
        known = self.backends.count() if counts is None else counts
        by_peer = self.backends.addresses[number].values()
        return [
            _sum(known[address] for address in addresses if address in known)
            for addresses in zip(*by_peer, strict=True)
        ]

    def send(self, location: Location, series: Iterable[Request]) -> Responses:
        """Send requests to the server block of a location, one after the other."""
        listed = list(series)
        self.prepare(listed[0])
        return self.lab.hosts["client"].call(send_requests, self.listeners[location.server.number], listed)

    def prepare(self, request: Request) -> None:
        """Create the file that a request needs."""
        if request.uses_added_file:
            self.create_files(request.path)

    def opened(self) -> int | None:
        """Return the connections that nginx's host opened so far; None where the kernel is shared."""
        if self.lab.name == "loopback":
            return None
        counters = self.kernels["proxy"].counters()
        return None if counters is None else counters.active_opens

    def create_files(self, path: str) -> None:
        """Create empty files where a request for `path` may find one: at that path, or of that name.

        A name that no file can have gets none.
        """
        root = (self.folder / ROOT).resolve()
        wanted = root / unquote(path.partition("?")[0]).lstrip("/")
        if root not in wanted.parents or ".." in wanted.parts or "\0" in str(wanted):
            return
        for file in (wanted, root / wanted.name):
            with contextlib.suppress(OSError):  # too long, or there is a folder of that name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()

    def sockets(self, number: int) -> LocationSockets | None:
        """Return the sockets between nginx and one location's backends; None where the kernel is shared."""
        near, far = self.kernels["proxy"].sockets(), self.kernels["backend"].sockets()
        if near is None or far is None:
            return None
        own = self.backends.addresses[number].values()
        ports = frozenset(port_of(address) for addresses in own for address in addresses)
        nginx, backend = (
            count_sockets(near, HostPorts(connects_to=ports)),
            count_sockets(far, HostPorts(listens=ports)),
        )
        moving = nginx.in_transition + backend.in_transition
        return LocationSockets(nginx.time_wait, backend.time_wait, moving)


def _sum(counts: Iterable[BackendCounts]) -> BackendCounts:
    return BackendCounts(*map(sum, zip(*counts, strict=True)))


@contextmanager
def open_testbed(
    inventory: Inventory,
    program: Program,
    settings: ProofSettings,
    log: ChangeLog,
    *,
    separate: Mapping[int, int] | None = None,
    shared: Mapping[int, int] | None = None,
    workers: int = 1,
    has_all_ports: bool = False,
) -> Iterator[NginxTestbed | Rejection]:
    """Run a configuration under one nginx, or say why that nginx rejects it.

    `separate` says how many servers of a location (by number) get a backend each; else all share one.
    `shared` says which locations (by number) have their pool and its backend together: those of one group.
    With several `workers` of nginx, the kernel spreads the clients over them. `has_all_ports` widens the port
    range of nginx's host, so that connect() does not begin to search while it is measured.
    RoleError where a backend or nginx does not start, LabError where the lab does not open.
    """
    separate = separate or {}
    _raise_fd_limit(inventory, separate, settings.in_flight)
    with ExitStack() as stack:
        opened = stack.enter_context(lab.open_lab(settings.lab))
        host = opened.hosts["proxy"]
        folder = create_scratch_folder(host)
        ports = _prepare_ports(opened, has_all_ports)
        backends = start_backends(
            inventory,
            opened.hosts["backend"],
            folder,
            close=settings.backend_close,
            like=settings.like,
            separate=separate,
            shared=shared or {},
        )
        listeners = allocate_listeners(inventory, host, settings.client)
        is_confined = host.call(confine_nginx, folder, listeners, backends.every_address)
        nginx, load = ScratchNginx(program, host, folder), settings.in_flight * workers
        rejection = nginx.load(
            inventory,
            backends.addresses,
            listeners,
            log,
            in_flight=load,
            shared=shared or {},
            workers=workers,
        )
        if rejection is not None:
            yield rejection
            return
        running = nginx.start(listeners[min(listeners)].plain)
        stack.callback(running.stop)
        kernels = {name: KernelView(opened.hosts[name]) for name in ("proxy", "backend")}
        for kernel in kernels.values():
            stack.callback(kernel.close)
        yield NginxTestbed(opened, listeners, backends, running, kernels, folder, is_confined, ports)


def _prepare_ports(place: Lab, has_all_ports: bool) -> int:
    """Return how many ports nginx's host has; give it all of them, where that changes no other host.

    On the machine's own loopback ports in TIME_WAIT are taken again anyway.
    """
    host = place.hosts["proxy"]
    if has_all_ports and place.name == "namespaces":
        host.call(sysctl.write, sysctl.PORT_RANGE, _ALL_PORTS, host.name)
    low, high = sysctl.port_range(host.call(sysctl.read, sysctl.PORT_RANGE))
    return high - low + 1


def _raise_fd_limit(inventory: Inventory, separate: Mapping[int, int], in_flight: int) -> None:
    """Raise the limit of open files, which every role inherits; LabError where it is too low."""
    locations = inventory.locations
    addresses = sum(separate.get(each.number, 1) * len(each.peers) for each in locations)
    sockets = addresses + _FILES_PER_LOCATION * len(locations) + 3 * len(inventory.servers)
    sockets += _FILES_PER_REQUEST * in_flight
    needed = sockets + SPARE_FDS
    if (allowed := fd_limits.raise_to(needed)) < needed:
        raise LabError(
            f"{len(locations):,} locations need {needed:,} open files in a role, {allowed:,} are allowed; "
            f"raise the limit (ulimit -Hn {needed}, as root) or prove a part of them"
        )
