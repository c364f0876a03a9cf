"""Wires between network namespaces: veth pairs, addresses and routes, over rtnetlink (pyroute2).

Importing this module takes a quarter of a second (pyroute2), so that only an opening lab imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyroute2 import IPRoute

_LOOPBACK_INDEX = 1


@dataclass(frozen=True, slots=True)
class Link:
    """One end of a wire: its interface, the addresses on it and the networks behind it."""

    interface: str
    addresses: Sequence[str]
    prefix: int
    routes: Sequence[str] = ()


def pair(near: Link, far: Link, far_namespace: int) -> None:
    """Make a veth pair from the calling thread's namespace to the one behind the descriptor."""
    with IPRoute() as route:
        peer = {"ifname": far.interface, "net_ns_fd": far_namespace}
        route.link("add", ifname=near.interface, kind="veth", peer=peer)


def set_up(links: Sequence[Link]) -> None:
    """Address the interfaces of the calling thread's namespace and bring them up, loopback included."""
    with IPRoute() as route:
        route.link("set", index=_LOOPBACK_INDEX, state="up")
        for link in links:
            index = route.link_lookup(ifname=link.interface)[0]
            for address in link.addresses:
                route.addr("add", index=index, address=address, prefixlen=link.prefix)
            route.link("set", index=index, state="up")
            for network in link.routes:
                route.route("add", dst=network, oif=index)
