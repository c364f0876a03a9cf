"""The roles of a trial: servers, the subject, a network between, clients; what they say and count."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.experiment.load_clients import LoadClients
from bench.experiment.trial_result import Event
from bench.lab import Host, Process, port_of
from bench.lab.role_process import COUNT_TIMEOUT_S
from bench.observe.host_observer import HostTarget
from bench.runs.record import ROLES
from bench.subjects.subject import RunningSubject, SubjectCounts

_POLL_NS = 200_000_000
"""How late an interruption may be noticed."""
_Ends = tuple[list[int], frozenset[int], frozenset[int]]
"""The process trees of a host, the ports that it listens on, and those that it connects to."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server of ours that listens."""

    process: Process
    addresses: tuple[str, ...]

    @property
    def address(self) -> str:
        """Return the first address, HOST:PORT."""
        return self.addresses[0]

    def count(self) -> Event:
        """Return what it counted so far (docs/reference/pipes.md)."""
        self.process.send({"command": "count"})
        return self.process.wait_event("count", COUNT_TIMEOUT_S)


@dataclass(slots=True)
class Roles:
    """The roles of one trial, as far as they have been started."""

    subject: RunningSubject | None = None
    """The proxy, once there is one; None where the clients talk to the servers."""
    servers: list[Server] = field(default_factory=list)
    other_processes: list[int] = field(default_factory=list)
    """Process trees that serve too, and count nothing for us."""
    network: Server | None = None
    """The network before the proxy, where there is one."""
    clients: list[Process] = field(default_factory=list)
    load: LoadClients | None = None
    """The load workers, where the clients are such."""
    ports: set[int] = field(default_factory=set)
    """Where the servers listen."""
    interruption: threading.Event = field(default_factory=threading.Event)
    """Set by whoever ends the window early, from another thread."""
    load_over: threading.Event | None = None
    """Set once the load from other machines is over; None where there is no such load."""
    target: tuple[int, ...] = ()
    """Process trees of a server that runs already, in the place of the proxy."""
    target_ports: set[int] = field(default_factory=set)
    """Where it listens, if it is watched as a proxy before the servers."""

    @property
    def version(self) -> str:
        """Return the subject's version."""
        return "-" if self.subject is None else self.subject.version

    def send(self, command: Mapping[str, Any]) -> None:
        """Give all clients a command."""
        for client in self.clients:
            client.send(command)

    def wait_until(self, moment_ns: int) -> None:
        """Wait until the moment `moment_ns` (CLOCK_MONOTONIC), while load workers report what they do.

        It ends with the load, here or on other machines. KeyboardInterrupt where `interruption` was set
        meanwhile.
        """
        while (left_ns := moment_ns - time.monotonic_ns()) > 0:
            if self.interruption.is_set():
                raise KeyboardInterrupt
            if self.load_over is not None and self.load_over.is_set():
                return
            if self.load is None:
                self.interruption.wait(min(left_ns, _POLL_NS) / 1e9)
            elif self.load.is_over:
                return
            else:
                self.load.read_until(min(moment_ns, time.monotonic_ns() + _POLL_NS))

    def done(self, timeout_s: float) -> tuple[Event, ...]:
        """Return the last event of all clients; RoleError where one ends without, or falls silent."""
        if self.load is not None:
            self.load.finish(timeout_s)
            return ()
        if self.load_over is not None:
            self.load_over.wait(timeout_s)
        deadline_s = time.monotonic() + timeout_s
        return tuple(
            client.wait_event("done", max(0.0, deadline_s - time.monotonic())) for client in self.clients
        )

    def counted(self) -> SubjectCounts:
        """Return what the subject counted so far."""
        return SubjectCounts() if self.subject is None else self.subject.count()

    def accepted(self) -> int | None:
        """Return the connections that the servers accepted; None where one of them does not count."""
        if self.other_processes or not self.servers:
            return None
        return sum(int(server.count()["accepted"]) for server in self.servers)

    def opened_by_network(self) -> int:
        """Return the connections that the proxy's host opened for the network between."""
        if self.network is None or self.subject is None:
            return 0
        return int(self.network.count()["opened"])

    def watched(self, hosts: Mapping[str, Host]) -> list[HostTarget]:
        """Return whom to watch on each host, and by which ports its connections are told apart."""
        behind, subject = frozenset(self.ports), self.subject
        front = behind if subject is None else frozenset([port_of(subject.address)])
        front = frozenset(self.target_ports) or front
        entry = front if self.network is None else frozenset(map(port_of, self.network.addresses))
        proxy = [*self.target] if subject is None or subject.pid is None else [subject.pid]
        servers = [*(server.process.pid for server in self.servers), *self.other_processes]
        ends: dict[str, _Ends] = {
            "client": ([client.pid for client in self.clients], frozenset(), entry),
            "proxy": (proxy, front if proxy else frozenset(), behind),
            "backend": (servers, behind, frozenset()),
        }
        return [HostTarget(hosts[role], *ends[role]) for role in ROLES if role in hosts]
