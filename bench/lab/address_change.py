"""A client's host that loses its address on one wire and gets another, as when Wi-Fi gives way to mobile.

In namespaces the address really vanishes. On loopback none can: there the network in between forgets it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.lab.namespaces import CLIENT_WIRES
from bench.lab.place import Host
from bench.lab.wire import Wire


@dataclass(frozen=True, slots=True)
class Roaming:
    """One change of address on a wire of the client's host."""

    host: Host
    wire: Wire
    new: str

    @classmethod
    def over(cls, host: Host, wire: str) -> Roaming:
        """Return the change for the wire called `wire`: the host's number becomes 3."""
        old = CLIENT_WIRES[wire]
        return cls(host, old, f"{old.addresses[0].rpartition('.')[0]}.3")

    def leave(self) -> None:
        """Take the old address away, and with it every route over the wire."""
        from bench.lab import links  # noqa: PLC0415 - a quarter of a second that only this needs

        self.host.call(links.bare, self.wire)

    def arrive(self) -> None:
        """Give the wire its new address, and the routes over it."""
        from bench.lab import links  # noqa: PLC0415

        self.host.call(links.set_up, [replace(self.wire, addresses=(self.new,))])
