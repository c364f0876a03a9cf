"""The servers of pass locations, and the hops that are theirs."""

from __future__ import annotations

import pytest

from bench.watch.model import OTHER_PEERS, Direction, PeerHop
from bench.watch.nginx_here import NginxHere, NginxLocation
from bench.watch.nginx_here.model import ServerAddress
from bench.watch.nginx_here.servers import is_decided_by_requests, parse_hosts, servers_of
from nginx import check
from nginx.rules import CheckSettings

HOSTS = parse_hosts("10.1.1.1 app.internal app # the app\n10.1.1.2 app\nfe80::1%eth0 odd\n# 1.1.1.1 no\n\n")


def test_hosts() -> None:
    known_names = {
        "localhost": {"127.0.0.1", "::1"},
        "app.internal": {"10.1.1.1"},
        "app": {"10.1.1.1", "10.1.1.2"},
        "odd": {"fe80::1%eth0"},
    }
    assert known_names == HOSTS


def known(name: str, port: int, *addresses: str) -> ServerAddress:
    return ServerAddress(name, port, frozenset(addresses))


UPSTREAM = (
    "upstream up { server 10.0.0.1:8080 weight=2; server 10.0.0.2; server [::ffff:10.0.0.3]:81 backup; }"
)
PASSES = {
    "proxy_pass http://up;": (
        known("10.0.0.1", 8080, "10.0.0.1"),
        known("10.0.0.2", 80, "10.0.0.2"),
        known("[::ffff:10.0.0.3]", 81, "10.0.0.3"),
    ),
    "proxy_pass https://up/path;": (
        known("10.0.0.1", 8080, "10.0.0.1"),
        known("10.0.0.2", 80, "10.0.0.2"),
        known("[::ffff:10.0.0.3]", 81, "10.0.0.3"),
    ),
    "proxy_pass http://10.0.0.9;": (known("10.0.0.9", 80, "10.0.0.9"),),
    "proxy_pass https://10.0.0.9/x;": (known("10.0.0.9", 443, "10.0.0.9"),),
    "proxy_pass http://[2001:DB8::1]:90;": (known("[2001:db8::1]", 90, "2001:db8::1"),),
    "proxy_pass http://localhost:81;": (known("localhost", 81, "127.0.0.1", "::1"),),
    "proxy_pass http://app.internal:81;": (known("app.internal", 81, "10.1.1.1"),),
    "proxy_pass http://elsewhere.example:81;": (known("elsewhere.example", 81),),
    "set $b 10.0.0.8; proxy_pass http://$b:82;": (known("10.0.0.8", 82, "10.0.0.8"),),
    "fastcgi_pass 127.0.0.1:9000;": (known("127.0.0.1", 9000, "127.0.0.1"),),
    "grpc_pass grpc://10.0.0.9:50051;": (known("10.0.0.9", 50051, "10.0.0.9"),),
    "proxy_pass http://unix:/run/app.sock;": (),
    "proxy_pass http://$host;": (),
}


@pytest.mark.parametrize(("line", "servers"), PASSES.items())
def test_servers(line: str, servers: tuple[ServerAddress, ...]) -> None:
    text = f"events {{}} http {{ {UPSTREAM} server {{ location / {{ {line} }} }} }}"
    _, model = check.check_texts({"/etc/nginx/nginx.conf": text}, {"1.22.1": ""}, CheckSettings())
    (location,) = model.passes
    assert servers_of(location, HOSTS) == servers
    assert is_decided_by_requests(location) is ("$host" in line)


def location(*servers: ServerAddress, named: tuple[str, int] | None = None) -> NginxLocation:
    own = {(address, server.port) for server in servers for address in server.addresses}
    both = frozenset(own | ({named} if named else set()))
    return NginxLocation("a", "/n.conf:1", "t", "reused", False, "r", servers=servers, named=both)


def hop(peer: str, port: int, direction: Direction = Direction.OUTGOING) -> PeerHop:
    return PeerHop(direction, peer, port)


REACHED = [
    (location(known("10.0.0.1", 80, "10.0.0.1")), hop("10.0.0.1", 80), True),
    (location(known("10.0.0.1", 80, "10.0.0.1")), hop("10.0.0.1", 81), False),
    (location(known("10.0.0.1", 80, "10.0.0.1")), hop("10.0.0.2", 80), False),
    (location(known("10.0.0.1", 80, "10.0.0.1")), hop("10.0.0.1", 80, Direction.INCOMING), False),
    (location(known("localhost", 80, "127.0.0.1", "::1")), hop("::1", 80), True),
    # A name that only DNS knows: whoever is on its port, and named by nobody else.
    (location(known("app.example", 80)), hop("10.0.0.7", 80), True),
    (location(known("app.example", 80)), hop("10.0.0.7", 81), False),
    (location(known("app.example", 80), named=("10.0.0.7", 80)), hop("10.0.0.7", 80), False),
    (location(known("10.0.0.1", 80, "10.0.0.1")), hop(OTHER_PEERS, 80), False),
    (location(), hop("10.0.0.1", 80), False),
]


@pytest.mark.parametrize(("place", "peer_hop", "is_reached"), REACHED)
def test_hops_of_a_location(place: NginxLocation, peer_hop: PeerHop, is_reached: bool) -> None:
    assert place.reaches(peer_hop) is is_reached
    assert NginxHere(1, locations=(place,)).locations_of(peer_hop) == ((place,) if is_reached else ())
