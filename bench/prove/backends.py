"""The backends of a testbed: a process for each kind of peer, and what each of its addresses counted."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.lab import Host, Process
from bench.lab.role_process import COUNT_TIMEOUT_S, READY_TIMEOUT_S
from bench.prove.backend_kinds import BackendKind, kind_of
from bench.prove.inventory import Inventory, Location, Peer
from bench.subjects.certificates import CHAIN, KEY


class BackendCounts(NamedTuple):
    """What a backend counted on one address or several."""

    accepted: int = 0
    requests: int = 0
    closed_first: int = 0
    open: int = 0
    held: int = 0
    """Responses that are kept back."""

    def since(self, before: "BackendCounts") -> "BackendCounts":
        """Return what was added to earlier counts."""
        return BackendCounts(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(slots=True)
class Backends:
    """The backend processes, one for each kind of peer; each location has ports of its own there."""

    addresses: dict[int, dict[Peer, list[str]]] = field(default_factory=dict)
    """Of each location, by its number: for each peer one address, or one for each server."""
    kinds: dict[int, BackendKind] = field(default_factory=dict)
    """How the servers of a location behave, by its number, where that is not as usual."""
    processes: list[Process] = field(default_factory=list)
    owners: dict[str, Process] = field(default_factory=dict)
    """The process that listens on an address."""

    def count(self) -> dict[str, BackendCounts]:
        """Return what every address counted so far."""
        for process in self.processes:
            process.send({"command": "count"})
        found = {}
        for process in self.processes:
            event = process.wait_event("count", COUNT_TIMEOUT_S)
            for address, each in event["by_listen"].items():
                found[address] = BackendCounts(*(each[key] for key in BackendCounts._fields))
        return found

    def command(self, number: int, command: str, **values: Any) -> None:
        """Send a command about the addresses of one location; return once it is obeyed."""
        for addresses in self.addresses[number].values():
            process = self.owners[addresses[0]]
            process.send({"command": command, "listen": addresses, **values})
        self.count()  # what was sent before is obeyed before it is answered

    @property
    def every_address(self) -> list[str]:
        """The addresses of all locations."""
        by_peer = [addresses for each in self.addresses.values() for addresses in each.values()]
        return [address for addresses in by_peer for address in addresses]


def start_backends(
    inventory: Inventory,
    host: Host,
    folder: Path,
    *,
    close: str,
    like: Mapping[str, BackendKind],
    separate: Mapping[int, int],
    shared: Mapping[int, int],
) -> Backends:
    """Start a process for each kind of peer; it chooses its ports unless the host is its own.

    `close` says how a backend closes, `like` how servers behave (ProofSettings), `separate` how many servers
    of a location (by number) get an address each, `shared` which locations (by number) have one together.
    """
    found, port = Backends({location.number: {} for location in inventory.locations}), host.listen_port
    waiting = []
    for (peer, kind), numbers in _numbers(inventory.locations, like, separate).items():
        listen = [f"{host.front}:{port + index if port else 0}" for index in range(len(numbers))]
        port += len(numbers) if port else 0
        argv = _argv(peer, kind, listen, close, folder)
        process = host.start(argv, name=f"backend ({peer.kind if kind is None else kind.name})")
        found.processes.append(process)
        found.kinds |= {} if kind is None else dict.fromkeys(numbers, kind)
        waiting.append((peer, numbers, process))
    for peer, numbers, process in waiting:
        addresses = process.wait_event("ready", READY_TIMEOUT_S)["listen"]
        found.owners |= dict.fromkeys(addresses, process)
        for number, address in zip(numbers, addresses, strict=True):
            found.addresses[number].setdefault(peer, []).append(address)
    _share(found, shared, host, port, close)
    return found


def _share(found: Backends, shared: Mapping[int, int], host: Host, port: int, close: str) -> None:
    """Give each group of locations one address instead, of a server that speaks HTTP/1.1 and HTTP/2."""
    groups = sorted(set(shared.values()))
    if not groups:
        return
    listen = [f"{host.front}:{port + index if port else 0}" for index in range(len(groups))]
    process = host.start(_argv(Peer("either", False), None, listen, close, Path()), name="backend (shared)")
    found.processes.append(process)
    addresses = process.wait_event("ready", READY_TIMEOUT_S)["listen"]
    found.owners |= dict.fromkeys(addresses, process)
    for number, group in shared.items():
        address = addresses[groups.index(group)]
        found.addresses[number] = {peer: [address] for peer in found.addresses[number]}


def _numbers(
    locations: Iterable[Location], like: Mapping[str, BackendKind], separate: Mapping[int, int]
) -> dict[tuple[Peer, BackendKind | None], list[int]]:
    """Return the numbers of the locations that need a kind of backend, each as often as it has servers."""
    found: dict[tuple[Peer, BackendKind | None], list[int]] = {}
    for location in locations:
        for peer in location.peers if location.obstacle is None else ():
            numbers = [location.number] * separate.get(location.number, 1)
            found.setdefault((peer, kind_of(location, peer, like)), []).extend(numbers)
    return found


def _argv(peer: Peer, kind: BackendKind | None, listen: Sequence[str], close: str, folder: Path) -> list[str]:
    argv = [sys.executable, "-m", "backends.protocols.server", "--control", "--kind", peer.kind]
    argv += ["--close", close.removesuffix("ms"), *(kind.flags() if kind is not None else ())]
    for address in listen:
        argv += ["--listen", address]
    if peer.is_tls:
        argv += ["--tls", str(folder / CHAIN), str(folder / KEY)]
    return argv
