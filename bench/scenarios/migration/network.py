"""The network before the server: a delay, and an address of the client that ceases to exist."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from bench.experiment.testbed import Testbed
from bench.lab import veth
from bench.lab.namespaces import CLIENT_INTERFACES

_OLD, _NEW = "127.0.0.2", "127.0.0.3"


@dataclass(slots=True)
class ClientNetwork:
    """The network between client and front. States: as it was, without the old address, with the new one."""

    entry: str
    """HOST:PORT to which the clients connect."""
    old: str
    new: str
    binds: bool
    """Whether clients have to choose their address: on loopback all addresses are always there."""
    _vanish: Callable[[], None]
    _appear: Callable[[], None] = field(default=lambda: None)
    left_ns: int = 0
    arrived_ns: int = 0

    def leave(self) -> None:
        """Remove the old address."""
        self._vanish()
        self.left_ns = time.monotonic_ns()

    def arrive(self) -> None:
        """Add the new address."""
        self._appear()
        self.arrived_ns = time.monotonic_ns()


def build_network(testbed: Testbed, front: str, round_trip_s: float) -> ClientNetwork:
    """Return the network before `front` in the testbed's lab.

    In namespaces the address really vanishes. On loopback none can: there the network in between drops it.
    """
    delay = ("--delay-ms", str(round_trip_s * 500))
    if testbed.place.name == "loopback":
        line = testbed.start_network(front, *delay, "--vanishing", _OLD)
        return ClientNetwork(line.address, _OLD, _NEW, True, lambda: line.process.send({"command": "vanish"}))
    client = testbed.place.hosts["client"]
    interface = CLIENT_INTERFACES["direct" if testbed.roles.subject is None else "to-proxy"]
    entry = testbed.start_network(front, *delay).address if round_trip_s else front
    old = interface.addresses[0]
    new = f"{old.rpartition('.')[0]}.3"
    vanish = partial(client.call, veth.remove_addresses, interface)
    appear = partial(client.call, veth.configure, [replace(interface, addresses=(new,))])
    return ClientNetwork(entry, old, new, False, vanish, appear)
