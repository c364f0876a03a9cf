"""The lab of network namespaces: three hosts with their own ports, TIME_WAIT and counters (Linux).

    client 10.87.1.1 --- 10.87.1.2 proxy 10.87.2.1.. --- 10.87.3.1.. backend
         10.87.4.1 ------------------------------------- 10.87.4.2

The lower link is the way without a proxy: over it the client reaches the same backend addresses. A client
with several addresses (10.87.1.1, 10.87.1.3 and so on) may use each of them on both of its links.
It needs no root. An ordinary user enters a user namespace first (`enter`), while the process has
one thread only; its uid stays what it was, so that programs see an ordinary user.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

from bench.errors import LabError
from bench.lab import supervisor, syscalls, sysctl, veth
from bench.lab.hosts import Host, Lab, LabRequest
from bench.lab.veth import VethEnd

_LISTEN_PORT = 1024  # the lowest that needs no rights; the widest port range begins above it
CLIENT_INTERFACES = {
    "to-proxy": VethEnd("to-proxy", ("10.87.1.1",), 24),
    "direct": VethEnd("direct", ("10.87.4.1",), 24, routes=("10.87.3.0/24",)),
}
"""The client's ends of its veth pairs, by their interfaces."""


def enter() -> None:
    """Acquire the rights to make namespaces, by a user namespace unless we have them; once per process.

    LabError where threads exist already (unshare(2): EINVAL) or the system forbids it.
    """
    if sys.platform != "linux":
        raise LabError(f"lab: namespaces exist on Linux only, not on {sys.platform}; use --lab loopback")
    if syscalls.may_make_namespaces():
        return
    if (threads := syscalls.count_threads()) > 1:
        raise LabError(
            f"lab: {threads} threads run already, and only a process of one thread can enter a user"
            " namespace; call bench.lab.enter() before numpy and the like are imported"
        )
    if (why_not := available()) is not None:
        raise LabError(f"lab: {why_not}")
    try:
        syscalls.enter_user_namespace()
    except OSError as error:
        raise LabError(f"lab: cannot enter a user namespace: {error}; use sudo or --lab loopback") from error


def available() -> str | None:
    """Return None where this lab works, else one line with the reason and the remedy."""
    if sys.platform != "linux":
        return f"namespaces exist on Linux only, not on {sys.platform}"
    return None if syscalls.may_make_namespaces() else _try_in_process()


@cache
def _try_in_process() -> str | None:
    """Return None where a process of its own can make the namespaces, else why it cannot."""
    argv = [sys.executable, "-I", "-S", syscalls.__file__]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode == 0:
        return None
    settings = {key: sysctl.read(key) for key, *_ in _SETTINGS if sysctl.path(key).exists()}
    return explain(done.stdout.strip() or f"it ended with {done.returncode}", settings)


_SETTINGS = (
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0", "AppArmor forbids it to ordinary users"),
    ("kernel.unprivileged_userns_clone", "0", "1", "this kernel forbids it to ordinary users"),
    ("user.max_user_namespaces", "0", "15000", "no user namespaces are allowed here"),
    ("user.max_net_namespaces", "0", "15000", "no network namespaces are allowed here"),
    ("user.max_pid_namespaces", "0", "15000", "no PID namespaces are allowed here"),
)


def explain(failure: str, settings: Mapping[str, str]) -> str:
    """Return why `failure` (the line of syscalls.py) happened and how to allow it, given kernel settings."""
    for key, forbidding, allowing, reason in _SETTINGS:
        if settings.get(key) == forbidding:
            return f"{reason} ({failure}); allow it with `sudo sysctl -w {key}={allowing}`, or use sudo"
    return (
        f"the system forbids it ({failure}); in a container its seccomp or security profile does"
        " (docker: --security-opt seccomp=unconfined --cap-add SYS_ADMIN); otherwise use sudo"
    )


def open_lab(request: LabRequest) -> Lab:
    """Open the lab, every host fresh; LabError names what the machine does not allow."""
    for key in request.sysctls:
        sysctl.check_key(key)
    enter()
    hosts = _hosts(request)
    with ExitStack() as undo:
        for host in hosts:
            undo.callback(host.close)
        try:
            supervised = supervisor.pid_namespace()
            undo.callback(supervised.reap)
            undo.callback(supervised.end)
            for host in hosts:
                host.call(syscalls.unshare, syscalls.CLONE_NEWNET)
            _connect(hosts)
        except OSError as error:
            raise LabError(f"lab: cannot make the namespaces: {error}; `bench doctor` says more") from error
        for host in hosts:
            for key, value in request.sysctls.items():
                host.call(sysctl.write, key, value, host.name)
            if request.ports is not None and host.name == request.narrowed:
                low, high = sysctl.narrowed(request.ports)
                host.call(sysctl.write, sysctl.PORT_RANGE, f"{low} {high}", host.name)
            host.join(supervised)
        undo.pop_all()
    return Lab("namespaces", hosts, supervised)


def _hosts(request: LabRequest) -> tuple[Host, Host, Host]:
    servers = [f"10.87.3.{number}" for number in range(1, request.backends + 1)]
    sources = [f"10.87.2.{number}" for number in range(1, request.proxy_addresses + 1)]
    clients = ["10.87.1.1", *(f"10.87.1.{number}" for number in range(3, request.client_addresses + 2))]
    return (
        Host("client", clients[:1], clients),
        Host("proxy", ["10.87.1.2"], sources, _LISTEN_PORT),
        Host("backend", servers, servers, _LISTEN_PORT),
    )


def _connect(hosts: Sequence[Host]) -> None:
    client, proxy, backend = hosts
    to_proxy = replace(CLIENT_INTERFACES["to-proxy"], addresses=client.sources)
    direct = CLIENT_INTERFACES["direct"]
    to_client = VethEnd("to-client", proxy.addresses, 24)
    # 10.87.2.0/23 holds 10.87.2.x (the proxy's sources) and 10.87.3.x (the backend).
    to_backend = VethEnd("to-backend", proxy.sources, 23)
    backend_to_proxy = VethEnd("to-proxy", backend.addresses, 23)
    backend_direct = VethEnd("direct", ["10.87.4.2"], 24, routes=["10.87.1.0/24"])
    with ExitStack() as fds:
        namespaces = {}
        for host in hosts:
            namespaces[host.name] = host.call(os.open, "/proc/thread-self/ns/net", os.O_RDONLY)
            fds.callback(os.close, namespaces[host.name])
        client.call(veth.add_pair, to_proxy, to_client, namespaces["proxy"])
        proxy.call(veth.add_pair, to_backend, backend_to_proxy, namespaces["backend"])
        client.call(veth.add_pair, direct, backend_direct, namespaces["backend"])
    client.call(veth.configure, [to_proxy, direct])
    proxy.call(veth.configure, [to_client, to_backend])
    backend.call(veth.configure, [backend_to_proxy, backend_direct])
