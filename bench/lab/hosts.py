"""A lab and its hosts: where roles are started, whichever kind of lab it is.

How hosts are made and connected: namespaces.py and loopback.py.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from bench.errors import PlanError, RoleError
from bench.lab import sysctl
from bench.lab.role_process import OnEvent, Process, ProcessSpec, spawn
from bench.lab.supervisor import Supervisor

P = ParamSpec("P")
R = TypeVar("R")

_MOST_ADDRESSES = 200
_DYNAMIC_PORTS = (49152, 65535)
"""RFC 6335, section 6: what systems without /proc give out."""


class Host:
    """One machine of the lab, as far as a thread can be one.

    A thread lives in the host's namespaces; what it starts runs there, and a socket or a /proc file
    that it opens belongs there, whichever thread uses it later.
    """

    def __init__(
        self, name: str, addresses: Sequence[str], sources: Sequence[str], listen_port: int = 0
    ) -> None:
        self.name = name
        self.listen_port = listen_port
        """Where its role is to listen; 0: wherever the system finds a free port.

        A host of its own names one below the port range: a listener in the range would take a port away.
        """
        self.addresses = list(addresses)
        """Where it listens for the role before it."""
        self.sources = list(sources)
        """Where its connections to the next role come from."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"host {name}")
        self._supervisor: Supervisor | None = None
        self._processes: list[Process] = []

    @property
    def front(self) -> str:
        """Return the first address where it listens for the role before it."""
        return self.addresses[0]

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` in the host's network namespace and return its result. It may start no thread."""
        return self._thread.submit(function, *args, **kwargs).result()

    def port_range(self) -> tuple[int, int]:
        """Return the lowest and the highest port that the host gives to its connections."""
        if not sysctl.path(sysctl.PORT_RANGE).exists():
            return _DYNAMIC_PORTS
        return sysctl.port_range(self.call(sysctl.read, sysctl.PORT_RANGE))

    def reuses_ports(self) -> bool:
        """Return whether connections of the host may take a port in TIME_WAIT again after a second."""
        if not sysctl.path(sysctl.TIME_WAIT_REUSE).exists():
            return False
        sources = self.sources or self.addresses
        are_loopback = all(ipaddress.ip_address(each).is_loopback for each in sources)
        return sysctl.reuses_ports(self.call(sysctl.read, sysctl.TIME_WAIT_REUSE), are_loopback)

    def join(self, supervisor: Supervisor) -> None:
        """Put all that is started here under `supervisor`."""
        self.call(supervisor.join)
        self._supervisor = supervisor

    def scratch(self, name: str) -> Path:
        """Return a new, empty folder for the files of a role called `name`; it is removed with the lab."""
        assert self._supervisor is not None, "a host has no files before its lab is open"
        return self._supervisor.scratch(name)

    def start(
        self,
        argv: Sequence[str],
        *,
        name: str,
        cpus: set[int] | None = None,
        env: Mapping[str, str] | None = None,
        stderr_path: Path | None = None,
        control: bool = True,
        on_event: OnEvent | None = None,
    ) -> Process:
        """Start a process on this host, on the cores `cpus`; RoleError where it cannot start.

        Without `control` the process gets no stdin, and its stdout is kept as text.
        """
        assert self._supervisor is not None, "a host starts nothing before its lab is open"
        with ExitStack() as undo:
            copy = None if stderr_path is None else undo.enter_context(_copy(stderr_path, name))
            start = ProcessSpec(name, argv, env, copy, control, on_event)
            popen = self.call(_pinned, cpus, spawn, start, self._supervisor.popen_arguments())
            undo.pop_all()
        process = Process(start, popen, leads_group=self._supervisor.is_namespace)
        self._processes.append(process)
        return process

    def kill(self) -> None:
        """Kill whatever was started here."""
        for process in self._processes:
            process.kill()
        self._processes.clear()

    def close(self) -> None:
        """End the thread, and with it the host's namespaces once nothing else holds them."""
        self._thread.shutdown()


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def port_of(address: str) -> int:
    """Return the port of HOST:PORT."""
    return split_address(address)[1]


def _copy(path: Path, name: str) -> IO[bytes]:
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise RoleError(name, f"cannot keep its stderr in {path}: {error.strerror}") from error


def _pinned(cpus: set[int] | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `function` with the calling thread on the cores `cpus`: a child inherits them."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        return function(*args, **kwargs)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        return function(*args, **kwargs)
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class LabRequest:
    """What a trial needs of its lab."""

    client_addresses: int = 1
    proxy_addresses: int = 1
    """Addresses that connections come from; each has its own range of ports."""
    backends: int = 1
    ports: int | None = None
    """How many ports the host called `narrowed` has; None: as many as the system gives."""
    narrowed: str = "proxy"
    sysctls: Mapping[str, str] = field(default_factory=dict)

    def check(self, key: str) -> None:
        """Raise PlanError where no lab has that many; `key` is the setting that asked for them."""
        if max(self.client_addresses, self.proxy_addresses) > _MOST_ADDRESSES:
            raise PlanError(f"plan: settings.{key} goes up to {_MOST_ADDRESSES}")


class Lab:
    """The hosts of a trial and the supervisor of what runs on them. States: open, closed."""

    def __init__(
        self,
        name: str,
        hosts: Sequence[Host],
        supervisor: Supervisor,
        notes: Sequence[str] = (),
        *,
        is_shared: bool = False,
    ) -> None:
        self.name = name
        self.is_shared = is_shared
        """Whether the kernel's counters are of other roles too, on loopback for instance."""
        self.hosts = {host.name: host for host in hosts}
        self.notes = list(notes)
        self._supervisor = supervisor

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End every role and the hosts; when it returns no process of the lab is left."""
        self._supervisor.end()
        for host in self.hosts.values():
            host.kill()
        self._supervisor.reap()
        for host in self.hosts.values():
            host.close()
