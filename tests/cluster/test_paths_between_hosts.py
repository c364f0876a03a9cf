"""What a host finds on the way to another where links are narrow, routes drop packets, or answers are lost.

The client goes to the backend through the proxy, which forwards packets as a router does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

Drive = Callable[..., Any]

HOSTS = """
import asyncio, dataclasses, json, os, queue, sys, threading
from pathlib import Path
from bench import lab
lab.enter()
from bench.cluster import paths
from bench.lab import syscalls, sysctl
from pyroute2 import IPRoute

TOKEN = b"t" * paths.TOKEN_BYTES

def within(host, function, *arguments):
    # That of the host itself starts none: what it starts is in another PID namespace.
    namespace = host.call(os.open, "/proc/thread-self/ns/net", os.O_RDONLY)
    answer = queue.SimpleQueue()

    def run():
        syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        function(*arguments, answer.put)

    threading.Thread(target=run, daemon=True).start()
    return answer.get(timeout=60)

def answer(address, ready):
    loop = asyncio.new_event_loop()
    loop.call_soon(ready, loop.run_until_complete(paths.open_port(address, TOKEN)))
    loop.run_forever()

def probe(address, peer, ready):
    ready(paths.probe(address, [peer])[0])

def route(host, command, interface=None, **options):
    def change():
        with IPRoute() as ip:
            oif = {} if interface is None else {"oif": ip.link_lookup(ifname=interface)[0]}
            ip.route(command, **oif, **options)
    host.call(change)

def resize(host, interface, mtu):
    def change():
        with IPRoute() as ip:
            ip.link("set", index=ip.link_lookup(ifname=interface)[0], mtu=mtu)
    host.call(change)

def time_wait():
    return int(Path("/proc/thread-self/net/sockstat").read_text().split(" tw ")[1].split()[0])

with lab.open_lab("namespaces", lab.LabRequest()) as place:
    client, proxy, backend = place.hosts.values()
    proxy.call(sysctl.write, "net.ipv4.ip_forward", "1", "proxy")
    for host, there, interface, router in (
        (client, "10.87.3.0/24", "direct", "10.87.1.2"),
        (backend, "10.87.1.0/24", "direct", "10.87.2.1"),
    ):
        route(host, "del", interface=interface, dst=there)
        route(host, "add", dst=there, gateway=router)
    peer = paths.PathTarget("backend", backend.front, within(backend, answer, backend.front), TOKEN)
    exec(sys.argv[1])
    path = within(client, probe, client.front, peer)
    left = [client.call(time_wait), backend.call(time_wait)]
    print(json.dumps([{**dataclasses.asdict(path), "has_round_trip": path.round_trip_ms is not None}, left]))
    sys.stdout.flush()
os._exit(0)
"""
SILENT_ROUTER = """
resize(proxy, "to-backend", 1300)
client.call(sysctl.write, "net.ipv4.conf.all.rp_filter", "1", "client")
client.call(sysctl.write, "net.ipv4.conf.to-proxy.rp_filter", "1", "client")
route(client, "add", dst="10.87.1.2/32", type="blackhole")
"""


@pytest.mark.parametrize(
    ("change", "mtu", "segment"),
    [
        pytest.param("", 1500, 1448, id="links-of-ethernet"),
        pytest.param('resize(proxy, "to-backend", 1300)', 1300, 1248, id="a-tunnel-between"),
        pytest.param('resize(client, "to-proxy", 1400)', 1400, 1348, id="own-interface"),
        pytest.param('resize(backend, "to-proxy", 1400)', 1500, 1348, id="interface-of-the-peer"),
    ],
)
def test_the_path_mtu_is_that_of_the_narrowest_link(
    drive: Drive, change: str, mtu: int, segment: int
) -> None:
    path, time_wait = drive(HOSTS, change)
    assert (path["fault"], path["mtu"], path["segment"]) == (None, mtu, segment), path["reason"]
    assert path["has_round_trip"]
    assert time_wait == [0, 0]


@pytest.mark.parametrize(
    ("change", "fault", "reason"),
    [
        pytest.param(
            'route(proxy, "add", dst="10.87.3.1/32", type="blackhole")',
            "silent", "10.87.3.1 port", id="a-firewall-that-drops",
        ),
        pytest.param(
            'route(backend, "add", dst="10.87.1.1/32", type="blackhole")',
            "silent", "does not answer within 2 s", id="no-way-back",
        ),
        pytest.param(
            'route(client, "add", dst="10.87.3.1/32", type="blackhole")',
            "no-route", "a route or a rule of the sender drops", id="own-blackhole",
        ),
        pytest.param(
            'route(client, "add", dst="10.87.3.1/32", type="prohibit")',
            "no-route", os.strerror(errno.EACCES), id="own-prohibition",
        ),
        pytest.param(
            'route(client, "del", dst="10.87.3.0/24", gateway="10.87.1.2")',
            "no-route", os.strerror(errno.ENETUNREACH), id="no-route",
        ),
        pytest.param(
            'route(proxy, "add", dst="10.87.3.1/32", type="unreachable")',
            "no-route", os.strerror(errno.EHOSTUNREACH), id="a-router-that-refuses",
        ),
        pytest.param(SILENT_ROUTER, "large-lost", "small packets to 10.87.3.1 pass", id="mtu-black-hole"),
    ],
)  # fmt: skip
def test_what_stands_between_is_named(drive: Drive, change: str, fault: str, reason: str) -> None:
    path, _ = drive(HOSTS, change)
    assert path["fault"] == fault, path["reason"]
    assert reason in path["reason"]
    assert not path["has_round_trip"]
