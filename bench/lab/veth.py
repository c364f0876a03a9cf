"""Wires between network namespaces: veth pairs, addresses and routes, over rtnetlink (pyroute2).

Importing this module takes a quarter of a second (pyroute2), so that only an opening lab imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyroute2 import IPRoute

from bench.lab.wire import Wire

_LOOPBACK_INDEX = 1


def pair(near: Wire, far: Wire, far_namespace: int) -> None:
    """Make a veth pair from the calling thread's namespace to the one behind the descriptor."""
    with IPRoute() as route:
        peer = {"ifname": far.interface, "net_ns_fd": far_namespace}
        route.link("add", ifname=near.interface, kind="veth", peer=peer)


def set_up(wires: Sequence[Wire]) -> None:
    """Address the interfaces of the calling thread's namespace and bring them up, loopback included."""
    with IPRoute() as route:
        route.link("set", index=_LOOPBACK_INDEX, state="up")
        for wire in wires:
            index = route.link_lookup(ifname=wire.interface)[0]
            for address in wire.addresses:
                route.addr("add", index=index, address=address, prefixlen=wire.prefix)
            route.link("set", index=index, state="up")
            for network in wire.routes:
                route.route("add", dst=network, oif=index)


def bare(wire: Wire) -> None:
    """Take the addresses of a wire away in the calling thread's namespace; its routes go with them."""
    with IPRoute() as route:
        index = route.link_lookup(ifname=wire.interface)[0]
        for address in wire.addresses:
            route.addr("del", index=index, address=address, prefixlen=wire.prefix)
