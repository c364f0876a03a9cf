"""The namespaces lab: three hosts with addresses, ports and counters of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from bench.errors import PlanError
from bench.lab import namespaces, syscalls, sysctl
from tests import needs

Drive = Callable[..., Any]

OPEN = '''
import json, os, socket, sys
from pathlib import Path
from bench import lab
from bench.errors import BenchError
lab.enter()

def say(value):
    print(json.dumps(value))

ROLE = """
import json, os, sys
print(json.dumps({"event": "ready", "uid": os.getuid()}), flush=True)
sys.stdin.read()
"""

def namespace():
    return os.readlink("/proc/thread-self/ns/net")

def listen(address):
    return socket.create_server((address, 0))

def peer_of(source, listener):
    with socket.create_connection(listener.getsockname()) as connection:
        accepted, peer = listener.accept()
        accepted.close()
    return peer[0]
'''


def test_hosts_are_apart_from_each_other_and_from_the_machine(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
with lab.open_lab("namespaces") as place:
    say([namespace(), *(host.call(namespace) for host in place.hosts.values())])
"""
    )
    assert len(set(found)) == 4


def test_each_address_of_the_client_reaches_proxy_and_backend(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
def accepted(listener):
    with listener.accept()[0] as connection:
        return connection.getpeername()[0]

def connect(source, listener):
    return socket.create_connection(listener.getsockname(), source_address=(source, 0))

with lab.open_lab("namespaces", lab.LabRequest(client_addresses=3)) as place:
    client, proxy, backend = place.hosts.values()
    seen = []
    for far in (proxy, backend):
        with far.call(listen, far.front) as listener:
            for source in client.sources:
                with client.call(connect, source, listener):
                    seen.append(far.call(accepted, listener))
    say(seen)
"""
    )
    assert found == ["10.87.1.1", "10.87.1.3", "10.87.1.4"] * 2


def test_each_hop_has_its_own_addresses(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
with lab.open_lab("namespaces", lab.LabRequest(proxy_addresses=3, backends=2)) as place:
    client, proxy, backend = place.hosts.values()
    seen = {}
    for near, far in ((client, proxy), (proxy, backend), (client, backend)):
        for address in far.addresses:
            with far.call(listen, address) as listener:
                seen[f"{near.name} to {address}"] = near.call(peer_of, near, listener)
    say({"seen": seen, "sources": proxy.sources, "front": backend.front})
"""
    )
    assert found == {
        "seen": {
            "client to 10.87.1.2": "10.87.1.1",
            "proxy to 10.87.3.1": "10.87.2.1",
            "proxy to 10.87.3.2": "10.87.2.1",
            "client to 10.87.3.1": "10.87.4.1",
            "client to 10.87.3.2": "10.87.4.1",
        },
        "sources": ["10.87.2.1", "10.87.2.2", "10.87.2.3"],
        "front": "10.87.3.1",
    }


def test_ports_are_narrowed_on_one_host_and_run_out_there(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
def exhaust(address):
    kept = []
    try:
        while True:
            kept.append(socket.create_connection(address))
    except OSError as error:
        return [len(kept), error.strerror, len({c.getsockname()[1] for c in kept})]
    finally:
        for connection in kept:
            connection.close()

with lab.open_lab("namespaces", lab.LabRequest(ports=16)) as place:
    client, proxy, backend = place.hosts.values()
    with backend.call(listen, backend.front) as listener:
        ran_out = proxy.call(exhaust, listener.getsockname())
    say({"ran out": ran_out, "proxy": proxy.port_range(), "client": client.port_range()})
"""
    )
    assert found["ran out"] == [16, "Cannot assign requested address", 16]
    assert found["proxy"] == [32768, 32783]
    assert found["client"] != found["proxy"]


def test_a_lab_leaves_the_settings_of_the_machine_alone(drive: Drive) -> None:
    before = [sysctl.read(key) for key in ("net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse")]
    found = drive(
        OPEN
        + """
from bench.lab import sysctl
with lab.open_lab("namespaces", lab.LabRequest(ports=100, sysctls={"net.ipv4.tcp_tw_reuse": "1"})) as place:
    say({name: host.call(sysctl.read, "net.ipv4.tcp_tw_reuse") for name, host in place.hosts.items()})
"""
    )
    assert found == {"client": "1", "proxy": "1", "backend": "1"}
    assert [sysctl.read(key) for key in ("net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse")] == before


def test_every_lab_starts_from_zero(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
from bench.observe.tcp_counters import CounterFiles
opens = []
for _ in range(2):
    with lab.open_lab("namespaces") as place:
        proxy, backend = place.hosts["proxy"], place.hosts["backend"]
        files = proxy.call(CounterFiles)
        opens.append(files.read().active_opens)
        with backend.call(listen, backend.front) as listener:
            proxy.call(peer_of, proxy, listener)
        opens.append(files.read().active_opens)
        files.close()
say(opens)
"""
    )
    assert found == [0, 1, 0, 1]


def test_a_setting_that_cannot_be_is_named(drive: Drive) -> None:
    table = [
        ("net.ipv4.no_such_key", "1", "LabError", ["net.ipv4.no_such_key=1", "no such setting", "sysctl -w"]),
        ("net.ipv4.tcp_tw_reuse", "many", "LabError", ["net.ipv4.tcp_tw_reuse=many", "refuses"]),
        ("kernel.hostname", "x", "PlanError", ["kernel.hostname", "whole machine"]),
        ("net.../etc/passwd", "x", "PlanError", ["net.../etc/passwd"]),
    ]
    found = drive(
        OPEN
        + """
import threading
answers = []
for key, value in json.loads(sys.argv[1]):
    try:
        with lab.open_lab("namespaces", lab.LabRequest(sysctls={key: value})):
            answers.append(None)
    except BenchError as error:
        answers.append([type(error).__name__, str(error), threading.active_count()])
say(answers)
""",
        json.dumps([[key, value] for key, value, _, _ in table]),
    )
    for (_, _, kind, words), (raised, message, threads) in zip(table, found, strict=True):
        assert raised == kind
        assert [word for word in words if word not in message] == []
        assert "\n" not in message
        assert threads == 1, "threads of a lab that did not open are left"


def test_roles_show_under_their_pid_and_see_an_ordinary_user(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
import psutil
with lab.open_lab("namespaces") as place:
    role = place.hosts["proxy"].start([sys.executable, "-c", ROLE], name="proxy")
    ready = role.wait_event("ready", 60)
    shown = psutil.Process(role.pid)
    say([ready["uid"] == os.getuid(), shown.ppid() == os.getpid(), role.stop()])
"""
    )
    assert found == [True, True, -15]


def test_closing_ends_what_a_role_started_and_let_go(drive: Drive) -> None:
    found = drive(
        OPEN
        + """
import psutil
daemon = '''
import os, sys
if os.fork():
    sys.exit(os.wait() and 0)
os.setsid()
if os.fork():
    os._exit(0)
sys.stdin.read()
import signal
print("{\\\\"event\\\\": \\\\"ready\\\\"}", flush=True)
signal.pause()
'''
with lab.open_lab("namespaces") as place:
    role = place.hosts["proxy"].start([sys.executable, "-c", daemon], name="proxy")
    role._popen.stdin.close()
    role.wait_event("ready", 60)
    ended = role.wait(60)
    def others():
        return [p.pid for p in psutil.process_iter(["cmdline"]) if daemon in (p.info["cmdline"] or [])]
    during = len(others())
say([ended, during, len(others())])
"""
    )
    assert found == [0, 1, 0]


def test_threads_make_entering_impossible_and_the_message_says_so(drive: Drive) -> None:
    found = drive(
        """
import json, threading
from bench import lab
from bench.errors import LabError
from bench.lab import syscalls
over = threading.Event()
thread = threading.Thread(target=over.wait)
thread.start()
try:
    lab.enter()
    message = None
except LabError as error:
    message = str(error)
over.set()
thread.join()
print(json.dumps([syscalls.may_make_namespaces(), message]))
"""
    )
    is_root, message = found
    assert message is None if is_root else "2 threads" in message and "bench.lab.enter()" in message


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        (
            {"kernel.apparmor_restrict_unprivileged_userns": "1"},
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"kernel.unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        ({"user.max_user_namespaces": "0"}, "user.max_user_namespaces=15000"),
        ({"user.max_net_namespaces": "0", "user.max_user_namespaces": "9"}, "user.max_net_namespaces=15000"),
        ({"user.max_user_namespaces": "9"}, "container"),
        ({}, "container"),
    ],
)
def test_a_refusal_is_explained_with_its_remedy(facts: dict[str, str], remedy: str) -> None:
    message = namespaces.explain("network namespace: Operation not permitted", facts)
    assert remedy in message
    assert "Operation not permitted" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("ports", "low", "high"),
    [(16, 32768, 32783), (28232, 32768, 60999), (28233, 37303, 65535), (64511, 1025, 65535)],
)
def test_a_narrowed_range_has_the_ports_asked_for(ports: int, low: int, high: int) -> None:
    assert sysctl.narrowed(ports) == (low, high)
    assert high - low + 1 == ports


def test_only_settings_of_a_network_namespace_are_taken() -> None:
    sysctl.check_key("net.ipv4.tcp_tw_reuse")
    for key in ("vm.swappiness", "net", "net.", "net..x", "net/ipv4/x", "net.ipv4.x y"):
        with pytest.raises(PlanError, match="not a setting of a host"):
            sysctl.check_key(key)


@needs.on_linux
def test_threads_are_counted() -> None:
    assert syscalls.count_threads() == len(os.listdir("/proc/self/task"))


def test_a_system_that_forbids_namespaces_is_reported_with_the_remedy(drive: Drive) -> None:
    found = drive(
        """
import json, os, subprocess, sys
from pathlib import Path
from bench.lab import syscalls
uid, gid = os.getuid(), os.getgid()
syscalls.unshare(syscalls.CLONE_NEWUSER)
for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
    Path("/proc/self", name).write_text(text)
Path("/proc/sys/user/max_user_namespaces").write_text("0")
code = '''
import json
from bench import lab
from bench.errors import LabError
from bench.lab import syscalls
try:
    lab.enter()
    message = None
except LabError as error:
    message = str(error)
with lab.open_lab("auto") as place:
    print(json.dumps([syscalls.may_make_namespaces(), message, place.name, place.notes[:1]]))
'''
print(subprocess.check_output([sys.executable, "-c", code], text=True), end="")
"""
    )
    may, message, name, notes = found
    if may:
        assert (message, name) == (None, "namespaces")
    else:
        assert message.startswith("lab: no user namespaces are allowed here (user namespace: ")
        assert "sudo sysctl -w user.max_user_namespaces=15000" in message
        assert name == "loopback"
        assert notes[0].startswith("loopback instead of namespaces: no user namespaces are allowed here")
