"""The servers that a pass location leads to: address and port, as far as the text has them."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping

from bench.watch.nginx_here.model import ServerAddress
from nginx.model import PassLocation
from nginx.resolving import endpoint
from nginx.targets import Target
from nginx.upstreams import Upstream

_SERVER = re.compile(r"(\[[^\]]*\]|[^:]+)(?::(\d{1,5}))?")
_DEFAULT_PORT = 80
"""Of a `server` line, for https too (ngx_http_upstream_server())."""
_LOCAL = frozenset({"127.0.0.1", "::1"})
Hosts = Mapping[str, frozenset[str]]


def parse_hosts(text: str) -> dict[str, frozenset[str]]:
    """Return the addresses of each name in an /etc/hosts (hosts(5)); localhost is always known."""
    found: dict[str, frozenset[str]] = {"localhost": _LOCAL}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        plain = plain_address(address)
        for name in names if plain else ():
            found[name.lower()] = found.get(name.lower(), frozenset()) | {plain}
    return found


def plain_address(text: str) -> str:
    """Return an address as hops have it: mapped IPv4 plain, IPv6 in its short form; "" where it is none."""
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def servers_of(location: PassLocation, hosts: Hosts) -> tuple[ServerAddress, ...]:
    """Return the servers over TCP that a location may pass to, each once; not those a request decides."""
    found = (server for target in location.targets for server in _of_target(target, hosts))
    return tuple(dict.fromkeys(found))


def is_decided_by_requests(location: PassLocation) -> bool:
    """Return whether requests decide about the address or the port, at least of some."""
    return any(not (target.upstream or target.is_unix or target.is_known) for target in location.targets)


def _of_target(target: Target, hosts: Hosts) -> Iterator[ServerAddress]:
    upstreams: Iterable[Upstream] = target.candidates if target.upstream is None else (target.upstream,)
    for upstream in upstreams:
        for line in upstream.servers:
            match = _SERVER.fullmatch(line.args[0]) if line.args else None
            if match is not None:  # a Unix socket has no port
                yield _server(match[1], int(match[2] or _DEFAULT_PORT), hosts)
    if target.upstream is None and target.is_known and not target.is_unix:
        host, port = endpoint(target)
        if port.isdigit():
            yield _server(host, int(port), hosts)


def _server(name: str, port: int, hosts: Hosts) -> ServerAddress:
    plain = plain_address(name)
    return ServerAddress(name, port, frozenset({plain}) if plain else hosts.get(name.lower(), frozenset()))
