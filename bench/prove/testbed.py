"""The stage: a lab with the backends that a configuration's locations need and an nginx that runs it.

Starts, counts, looks at sockets, stops. What to run is rewrite.py's, what it amounts to course.py's.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from bench import lab
from bench.errors import LabError
from bench.experiment import fd_limits
from bench.lab import Host, Lab, Process, confine
from bench.observe.host import Kernel
from bench.observe.sides import Ends, survey
from bench.prove.accepting import Refusal, accepted
from bench.prove.changes import Ledger
from bench.prove.inventory import MOST_SITES, Peer, Scene
from bench.prove.nginx_process import Nginx, furnish, user
from bench.prove.rewrite import CERTIFICATE, KEY, ROOT, Doors, Rewriting
from bench.subjects.launch import Launched
from bench.subjects.programs import Program
from nginx import versions

_READY_TIMEOUT_S = 30.0
_COUNT_TIMEOUT_S = 10.0
_FIRST_DOOR = 8001
_FILES_PER_SPOT = 2  # one that its pool holds, and one that is being closed
_COUNTED = ("accepted", "requests", "closed_first", "open")


Client = Literal["auto", "1.1", "2"]
"""The version of HTTP that clients speak; auto: 2 where a listener says so, else 1.1."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a stage stands and who acts on it.

    Attributes:
        close: when backends close what they are told to close: at-once, linger:MS or never.
    """

    lab: str = "auto"
    close: str = "at-once"
    client: Client = "auto"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a backend counted on one address."""

    accepted: int = 0
    requests: int = 0
    closed_first: int = 0
    still_open: int = 0

    def __add__(self, other: Heard) -> Heard:
        return Heard(
            self.accepted + other.accepted,
            self.requests + other.requests,
            self.closed_first + other.closed_first,
            self.still_open + other.still_open,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the connections to one location's backends, by the sockets of both hosts."""

    time_wait_nginx: int
    time_wait_backend: int
    moving: int
    """Sockets that are being closed right now, on either host."""


@dataclass(slots=True)
class Backends:
    """The backend processes, one for each kind of peer; each location has ports of its own there."""

    addresses: dict[int, dict[Peer, list[str]]] = field(default_factory=dict)
    processes: dict[Peer, Process] = field(default_factory=dict)

    def count(self) -> dict[str, Heard]:
        """Returns what every address counted so far."""
        for process in self.processes.values():
            process.send({"command": "count"})
        found = {}
        for process in self.processes.values():
            event = process.wait_event("count", _COUNT_TIMEOUT_S)
            for address, each in event["by_listen"].items():
                found[address] = Heard(*(each[key] for key in _COUNTED))
        return found


@dataclass(slots=True)
class Stage:
    """A configuration that runs. `confined`: the kernel holds nginx to its folder and the lab's ports."""

    place: Lab
    doors: dict[int, Doors]
    backends: Backends
    nginx: Launched
    kernels: dict[str, Kernel]
    folder: Path
    confined: bool

    def heard(self, spot_number: int, counts: Mapping[str, Heard]) -> Heard:
        """Returns what all backends of one location counted."""
        return sum(self.heard_apart(spot_number, counts), Heard())

    def heard_apart(self, spot_number: int, counts: Mapping[str, Heard]) -> list[Heard]:
        """Returns what each server of one location counted, whichever of its peers was asked."""
        own = self.backends.addresses[spot_number].values()
        return [
            sum((counts.get(address, Heard()) for address in server), Heard())
            for server in zip(*own, strict=True)
        ]

    def furnish(self, path: str) -> None:
        """Puts empty files where a request for `path` may look for one: at that path, or of that name.

        A name that no file can have gets none.
        """
        root = (self.folder / ROOT).resolve()
        asked = root / unquote(path.partition("?")[0]).lstrip("/")
        if root not in asked.parents or ".." in asked.parts or "\0" in str(asked):
            return
        for file in (asked, root / asked.name):
            with contextlib.suppress(OSError):  # too long, or there is a folder of that name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()

    def opened(self) -> int | None:
        """Returns the connections that nginx's host opened since nginx runs; None where no kernel says."""
        if self.place.name == "loopback":
            return None
        counters = self.kernels["proxy"].counters()
        return None if counters is None else counters.active_opens

    def ended(self, spot_number: int) -> Ended | None:
        """Returns what became of the connections to one location's backends; None where no kernel says."""
        near, far = self.kernels["proxy"].sockets(), self.kernels["backend"].sockets()
        if near is None or far is None:
            return None
        own = self.backends.addresses[spot_number].values()
        ports = frozenset(port_of(address) for addresses in own for address in addresses)
        nginx, backend = survey(near, Ends(connects_to=ports)), survey(far, Ends(listens=ports))
        return Ended(nginx.time_wait, backend.time_wait, nginx.moving + backend.moving)


@contextmanager
def staged(
    scene: Scene,
    program: Program,
    setting: Setting,
    ledger: Ledger,
    *,
    apart: Mapping[int, int] | None = None,
) -> Iterator[Stage | Refusal]:
    """Runs a configuration under one nginx, or says what that nginx has against it.

    `apart` says of which locations (by number) so many servers are told apart; of others all are one.
    RoleError where a backend or nginx does not come up, LabError where the lab does not open.
    """
    _allow_files(scene, apart or {})
    with ExitStack() as stack:
        place = stack.enter_context(lab.open_lab(setting.lab))
        proxy = place.hosts["proxy"]
        folder = proxy.scratch("prove")
        furnish(folder)
        backends = _start_backends(scene, place.hosts["backend"], setting.close, folder, apart or {})
        doors = doors_of(scene, proxy, setting.client)
        confined = proxy.call(_confined, folder, doors, backends)
        version = versions.parse(program.version)
        rewriting = Rewriting(scene, backends.addresses, doors, user(), version, ledger)
        nginx = Nginx(program, proxy, folder)
        text = accepted(
            rewriting.directives(), nginx.check, scene.model.variables, ledger, version=program.version
        )
        if isinstance(text, Refusal):
            yield text
            return
        running = nginx.start(doors[min(doors)].plain)
        stack.callback(running.stop)
        kernels = {name: Kernel(place.hosts[name]) for name in ("proxy", "backend")}
        for kernel in kernels.values():
            stack.callback(kernel.close)
        yield Stage(place, doors, backends, running, kernels, folder, confined)


def _confined(folder: Path, doors: Mapping[int, Doors], backends: Backends) -> bool:
    """Has the kernel hold this host's programs to the folder and to the ports of the lab."""
    binds = [port_of(address) for each in doors.values() for address in each.addresses]
    needed = [addresses for each in backends.addresses.values() for addresses in each.values()]
    connects = [port_of(address) for addresses in needed for address in addresses]
    return confine.confine(folder, binds, connects)


def _allow_files(scene: Scene, apart: Mapping[int, int]) -> None:
    """Raises the limit of open files, which every role inherits; LabError where it is too low."""
    addresses = sum(apart.get(spot.number, 1) * len(spot.peers) for spot in scene.spots)
    most = addresses + _FILES_PER_SPOT * len(scene.spots) + 3 * len(scene.sites) + fd_limits.BESIDE
    if (allowed := fd_limits.raise_to(most)) < most:
        raise LabError(
            f"{len(scene.spots):,} locations need {most:,} open files in a role, {allowed:,} are allowed; "
            f"raise the limit (ulimit -Hn {most}, as root) or prove a part of them"
        )


def port_of(address: str) -> int:
    """Returns the port of HOST:PORT."""
    return int(address.rpartition(":")[2])


# Who runs


def _start_backends(scene: Scene, host: Host, close: str, folder: Path, apart: Mapping[int, int]) -> Backends:
    """Starts a process for each kind of peer; on a host of its own with ports that it chooses."""
    wanted: dict[Peer, list[int]] = {}
    for spot in scene.spots:
        backends_needed = () if spot.obstacle is not None else spot.peers
        for peer in backends_needed:
            wanted.setdefault(peer, []).extend([spot.number] * apart.get(spot.number, 1))
    found, port = Backends({spot.number: {} for spot in scene.spots}), host.listen_port
    for peer, numbers in wanted.items():
        listen = [f"{host.front}:{port + index if port else 0}" for index in range(len(numbers))]
        port += len(numbers) if port else 0
        argv = _backend_argv(peer, listen, close, folder)
        found.processes[peer] = host.start(argv, name=f"backend ({peer.kind})")
    for peer, numbers in wanted.items():
        addresses = found.processes[peer].wait_event("ready", _READY_TIMEOUT_S)["listen"]
        for number, address in zip(numbers, addresses, strict=True):
            found.addresses[number].setdefault(peer, []).append(address)
    return found


def _backend_argv(peer: Peer, listen: list[str], close: str, folder: Path) -> list[str]:
    argv = [sys.executable, "-m", "backends.protocols.server", "--control", "--kind", peer.kind]
    argv += ["--close", close.removesuffix("ms")]
    for address in listen:
        argv += ["--listen", address]
    if peer.is_tls:
        argv += ["--tls", str(folder / CERTIFICATE), str(folder / KEY)]
    return argv


def doors_of(scene: Scene, host: Host, client: Client) -> dict[int, Doors]:
    """Returns where each site listens on a host, ports that are free there."""
    sites = scene.sites[:MOST_SITES]
    speaking = [client == "2" or (client == "auto" and site.says_http2) for site in sites]
    count = 2 * len(speaking) + sum(speaking)
    ports = iter(
        _free_ports(host.front, count)
        if host.front.startswith("127.")
        else range(_FIRST_DOOR, _FIRST_DOOR + count)
    )

    def door() -> str:
        return f"{host.front}:{next(ports)}"

    return {
        site.number: Doors(door(), door(), door() if speaks else None)
        for site, speaks in zip(sites, speaking, strict=True)
    }


def _free_ports(address: str, count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((address, 0))
        return [probe.getsockname()[1] for probe in probes]
