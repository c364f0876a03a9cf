"""Where a scheduler listens: the address of a network interface that the user names."""

import ipaddress
import socket
from collections.abc import Mapping, Sequence

from bench.errors import PlanError

LOOPBACK = "127.0.0.1"


def addresses() -> dict[str, list[str]]:
    """Return this machine's IPv4 and global IPv6 addresses by interface."""
    import psutil  # noqa: PLC0415 - only a cluster over ssh asks

    families = (socket.AF_INET, socket.AF_INET6)
    found = {
        name: [each.address for each in listed if each.family in families and "%" not in each.address]
        for name, listed in psutil.net_if_addrs().items()
    }
    return {name: listed for name, listed in found.items() if listed}


def is_loopback(address: str) -> bool:
    """Return whether `address` is one of this machine alone."""
    return ipaddress.ip_address(address).is_loopback


def address_of(name: str, known: Mapping[str, Sequence[str]]) -> str:
    """Return the address of the interface `name`, which may be an address too; IPv4 where there are both.

    PlanError where this machine has none, and where all addresses are meant: a scheduler executes code.
    """
    if listed := known.get(name):
        return min(listed, key=lambda each: ":" in each)
    try:
        wanted = ipaddress.ip_address(name)
    except ValueError:
        wanted = None
    for each in (address for listed in known.values() for address in listed):
        if wanted is not None and ipaddress.ip_address(each) == wanted:
            return each
    if wanted is not None and wanted.is_loopback:
        return name
    choice = ", ".join(f"{each} ({listed[0]})" for each, listed in known.items())
    if wanted is not None and wanted.is_unspecified:
        raise PlanError(
            f"--interface {name}: the scheduler executes code, and is not to be reached over every interface;"
            f" name one: {choice}"
        )
    raise PlanError(
        f"--interface {name}: this machine has no such interface or address; name one of {choice}"
    )
