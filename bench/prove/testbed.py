"""The testbed: a lab with the backends that a configuration's locations need, and an nginx that runs it.

It starts, counts, reads sockets and stops. rewrite.py writes what runs, runner.py draws the conclusions.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from bench import lab
from bench.errors import LabError
from bench.experiment import fd_limits
from bench.lab import Host, Lab, Process, port_of
from bench.lab.role_process import COUNT_TIMEOUT_S, READY_TIMEOUT_S
from bench.observe.host_observer import KernelView
from bench.observe.time_wait import HostPorts, count_sockets
from bench.prove.changes import ChangeLog, Rejection
from bench.prove.inventory import Inventory, Peer
from bench.prove.nginx_process import (
    ClientProtocol,
    ScratchNginx,
    allocate_listeners,
    confine_nginx,
    create_scratch_folder,
)
from bench.prove.requests import Request
from bench.prove.rewrite import ROOT, Listeners
from bench.subjects.certificates import CHAIN, KEY
from bench.subjects.launch import LaunchedProxy
from bench.subjects.programs import Program
from bench.subjects.subject import SPARE_FDS

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


class BackendCounts(NamedTuple):
    """What a backend counted on one address or several."""

    accepted: int = 0
    requests: int = 0
    closed_first: int = 0
    open: int = 0

    def since(self, before: "BackendCounts") -> "BackendCounts":
        """Return what was added to earlier counts."""
        return BackendCounts(*(now - then for now, then in zip(self, before, strict=True)))


class LocationSockets(NamedTuple):
    """Sockets between nginx and the backends of one location, on both hosts."""

    time_wait_nginx: int
    time_wait_backend: int
    closing: int
    """Sockets that are being closed right now."""


@dataclass(slots=True)
class Backends:
    """The backend processes, one for each kind of peer; each location has ports of its own there."""

    addresses: dict[int, dict[Peer, list[str]]] = field(default_factory=dict)
    processes: dict[Peer, Process] = field(default_factory=dict)

    def count(self) -> dict[str, BackendCounts]:
        """Return what every address counted so far."""
        for process in self.processes.values():
            process.send({"command": "count"})
        found = {}
        for process in self.processes.values():
            event = process.wait_event("count", COUNT_TIMEOUT_S)
            for address, each in event["by_listen"].items():
                found[address] = BackendCounts(*(each[key] for key in BackendCounts._fields))
        return found

    @property
    def every_address(self) -> list[str]:
        """The addresses of all locations."""
        by_peer = [addresses for each in self.addresses.values() for addresses in each.values()]
        return [address for addresses in by_peer for address in addresses]


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
) -> Iterator[NginxTestbed | Rejection]:
    """Run a configuration under one nginx, or say why that nginx rejects it.

    `separate` says how many servers of a location (by number) get a backend each; else all share one.
    RoleError where a backend or nginx does not start, LabError where the lab does not open.
    """
    separate = separate or {}
    _raise_fd_limit(inventory, separate)
    with ExitStack() as stack:
        opened = stack.enter_context(lab.open_lab(settings.lab))
        host = opened.hosts["proxy"]
        folder = create_scratch_folder(host)
        backends = _start_backends(inventory, opened.hosts["backend"], settings, folder, separate)
        listeners = allocate_listeners(inventory, host, settings.client)
        is_confined = host.call(confine_nginx, folder, listeners, backends.every_address)
        nginx = ScratchNginx(program, host, folder)
        rejection = nginx.load(inventory, backends.addresses, listeners, log)
        if rejection is not None:
            yield rejection
            return
        running = nginx.start(listeners[min(listeners)].plain)
        stack.callback(running.stop)
        kernels = {name: KernelView(opened.hosts[name]) for name in ("proxy", "backend")}
        for kernel in kernels.values():
            stack.callback(kernel.close)
        yield NginxTestbed(opened, listeners, backends, running, kernels, folder, is_confined)


def _raise_fd_limit(inventory: Inventory, separate: Mapping[int, int]) -> None:
    """Raise the limit of open files, which every role inherits; LabError where it is too low."""
    locations = inventory.locations
    addresses = sum(separate.get(each.number, 1) * len(each.peers) for each in locations)
    sockets = addresses + _FILES_PER_LOCATION * len(locations) + 3 * len(inventory.servers)
    needed = sockets + SPARE_FDS
    if (allowed := fd_limits.raise_to(needed)) < needed:
        raise LabError(
            f"{len(locations):,} locations need {needed:,} open files in a role, {allowed:,} are allowed; "
            f"raise the limit (ulimit -Hn {needed}, as root) or prove a part of them"
        )


# The backends


def _start_backends(
    inventory: Inventory, host: Host, settings: ProofSettings, folder: Path, separate: Mapping[int, int]
) -> Backends:
    """Start a process for each kind of peer; it chooses its ports unless the host is its own."""
    numbers_by_peer: dict[Peer, list[int]] = {}
    for location in inventory.locations:
        for peer in location.peers if location.obstacle is None else ():
            numbers = [location.number] * separate.get(location.number, 1)
            numbers_by_peer.setdefault(peer, []).extend(numbers)
    found, port = Backends({location.number: {} for location in inventory.locations}), host.listen_port
    for peer, numbers in numbers_by_peer.items():
        listen = [f"{host.front}:{port + index if port else 0}" for index in range(len(numbers))]
        port += len(numbers) if port else 0
        argv = _backend_argv(peer, listen, settings.backend_close, folder)
        found.processes[peer] = host.start(argv, name=f"backend ({peer.kind})")
    for peer, numbers in numbers_by_peer.items():
        addresses = found.processes[peer].wait_event("ready", READY_TIMEOUT_S)["listen"]
        for number, address in zip(numbers, addresses, strict=True):
            found.addresses[number].setdefault(peer, []).append(address)
    return found


def _backend_argv(peer: Peer, listen: list[str], close: str, folder: Path) -> list[str]:
    argv = [sys.executable, "-m", "backends.protocols.server", "--control", "--kind", peer.kind]
    argv += ["--close", close.removesuffix("ms")]
    for address in listen:
        argv += ["--listen", address]
    if peer.is_tls:
        argv += ["--tls", str(folder / CHAIN), str(folder / KEY)]
    return argv
