"""A client's host that loses its address on one interface and gets another, as from Wi-Fi to mobile.

In namespaces the address really vanishes. On loopback none can: there the network in between drops it.
"""

from dataclasses import dataclass, replace

from bench.lab import veth
from bench.lab.hosts import Host
from bench.lab.namespaces import CLIENT_INTERFACES
from bench.lab.veth import VethEnd


@dataclass(frozen=True, slots=True)
class AddressChange:
    """One change of address on an interface of the client's host."""

    host: Host
    old: VethEnd
    new: str

    @classmethod
    def on_interface(cls, host: Host, name: str) -> "AddressChange":
        """Return the change for the interface called `name`: the host's number becomes 3."""
        old = CLIENT_INTERFACES[name]
        return cls(host, old, f"{old.addresses[0].rpartition('.')[0]}.3")

    def remove_old(self) -> None:
        """Remove the old address, and with it every route over the interface."""
        self.host.call(veth.remove_addresses, self.old)

    def add_new(self) -> None:
        """Give the interface its new address, and the routes over it."""
        self.host.call(veth.configure, [replace(self.old, addresses=(self.new,))])
