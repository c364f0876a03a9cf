"""veth pairs between network namespaces, with their addresses, routes and bridges, over rtnetlink.

pyroute2 takes a quarter of a second to import, so that only an opening lab imports it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroute2 import IPRoute

_LOOPBACK_INDEX = 1


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a veth pair: its interface, the addresses on it and the networks behind it."""

    interface: str
    addresses: Sequence[str]
    prefix: int
    routes: Sequence[str] = ()


def add_pair(near: VethEnd, far: VethEnd, far_namespace: int) -> None:
    """Add a veth pair from the calling thread's namespace to the one behind the descriptor."""
    with _rtnetlink() as route:
        peer = {"ifname": far.interface, "net_ns_fd": far_namespace}
        route.link("add", ifname=near.interface, kind="veth", peer=peer)


def add_bridge(name: str, members: Sequence[str]) -> None:
    """Add a bridge to the calling thread's namespace, and connect its interfaces `members` by it."""
    with _rtnetlink() as route:
        route.link("add", ifname=name, kind="bridge")
        bridge = route.link_lookup(ifname=name)[0]
        for member in members:
            route.link("set", index=route.link_lookup(ifname=member)[0], master=bridge, state="up")
        route.link("set", index=bridge, state="up")


def configure(ends: Sequence[VethEnd]) -> None:
    """Address the interfaces of the calling thread's namespace and bring them up, loopback included."""
    with _rtnetlink() as route:
        route.link("set", index=_LOOPBACK_INDEX, state="up")
        for end in ends:
            index = route.link_lookup(ifname=end.interface)[0]
            for address in end.addresses:
                route.addr("add", index=index, address=address, prefixlen=end.prefix)
            route.link("set", index=index, state="up")
            for network in end.routes:
                route.route("add", dst=network, oif=index)


def remove_addresses(end: VethEnd) -> None:
    """Remove the addresses of an interface of the calling thread's namespace; its routes go with them."""
    with _rtnetlink() as route:
        index = route.link_lookup(ifname=end.interface)[0]
        for address in end.addresses:
            route.addr("del", index=index, address=address, prefixlen=end.prefix)


def _rtnetlink() -> "IPRoute":
    from pyroute2 import IPRoute  # noqa: PLC0415 - a quarter of a second that only an opening lab needs

    return IPRoute()
