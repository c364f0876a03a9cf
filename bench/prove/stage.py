"""The stage: a lab with the backends that a configuration's locations need and an nginx that runs it.

Starts, counts, looks at sockets, stops. What to run is rewrite.py's, what it amounts to course.py's.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import trustme

from bench import lab
from bench.errors import RoleError
from bench.lab import Host, Lab, Process, confine
from bench.observe.host import Kernel
from bench.observe.sides import Ends, survey
from bench.prove.accepting import Refusal, accepted
from bench.prove.ledger import Ledger
from bench.prove.rewrite import CERTIFICATE, KEY, ROOT, Doors, Rewriting
from bench.prove.scene import Peer, Scene
from bench.subjects.launch import Launched, Recipe, launch
from bench.subjects.programs import Program
from nginx import versions
from nginx.versions import Version

_READY_TIMEOUT_S = 20.0
_COUNT_TIMEOUT_S = 10.0
_CHECK_TIMEOUT_S = 30.0
_FIRST_DOOR = 8001
_ERROR_LOG_FLAG = Version(1, 19, 5)
_NOBODY = "nobody"
_COUNTED = ("accepted", "requests", "closed_first", "open")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a backend counted on one address."""

    accepted: int = 0
    requests: int = 0
    closed_first: int = 0
    still_open: int = 0

    def __add__(self, other: Heard) -> Heard:
        return Heard(
            self.accepted + other.accepted,
            self.requests + other.requests,
            self.closed_first + other.closed_first,
            self.still_open + other.still_open,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the connections to one location's backends, by the sockets of both hosts."""

    time_wait_nginx: int
    time_wait_backend: int
    moving: int
    """Sockets that are being closed right now, on either host."""


@dataclass(slots=True)
class Backends:
    """The backend processes, one for each kind of peer, each with a port for each location."""

    addresses: dict[int, dict[Peer, str]] = field(default_factory=dict)
    processes: dict[Peer, Process] = field(default_factory=dict)

    def count(self) -> dict[str, Heard]:
        """Returns what every address counted so far."""
        for process in self.processes.values():
            process.send({"command": "count"})
        found = {}
        for process in self.processes.values():
            event = process.wait_event("count", _COUNT_TIMEOUT_S)
            for address, each in event["by_listen"].items():
                found[address] = Heard(*(each[key] for key in _COUNTED))
        return found


@dataclass(slots=True)
class Stage:
    """A configuration that runs. `confined`: the kernel holds nginx to its folder and the lab's ports."""

    place: Lab
    doors: dict[int, Doors]
    backends: Backends
    nginx: Launched
    kernels: dict[str, Kernel]
    folder: Path
    confined: bool

    def heard(self, spot_number: int, counts: Mapping[str, Heard]) -> Heard:
        """Returns what all backends of one location counted."""
        own = self.backends.addresses[spot_number].values()
        return sum((counts.get(address, Heard()) for address in own), Heard())

    def furnish(self, path: str) -> None:
        """Puts empty files where a request for `path` may look for one: at that path, or of that name.

        A name that no file can have gets none.
        """
        root = (self.folder / ROOT).resolve()
        asked = root / unquote(path.partition("?")[0]).lstrip("/")
        if root not in asked.parents or ".." in asked.parts or "\0" in str(asked):
            return
        for file in (asked, root / asked.name):
            with contextlib.suppress(OSError):  # too long, or there is a folder of that name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()

    def opened(self) -> int | None:
        """Returns the connections that nginx's host opened since nginx runs; None where no kernel says."""
        if self.place.name == "loopback":
            return None
        counters = self.kernels["proxy"].counters()
        return None if counters is None else counters.active_opens

    def ended(self, spot_number: int) -> Ended | None:
        """Returns what became of the connections to one location's backends; None where no kernel says."""
        near, far = self.kernels["proxy"].sockets(), self.kernels["backend"].sockets()
        if near is None or far is None:
            return None
        ports = frozenset(map(_port, self.backends.addresses[spot_number].values()))
        nginx, backend = survey(near, Ends(connects_to=ports)), survey(far, Ends(listens=ports))
        return Ended(nginx.time_wait, backend.time_wait, nginx.moving + backend.moving)


@contextmanager
def staged(
    scene: Scene, program: Program, lab_name: str, close: str, ledger: Ledger
) -> Iterator[Stage | Refusal]:
    """Runs a configuration under one nginx, or says what that nginx has against it.

    RoleError where a backend or nginx does not come up, LabError where the lab does not open.
    """
    with ExitStack() as stack:
        place = stack.enter_context(lab.open_lab(lab_name))
        proxy = place.hosts["proxy"]
        folder = proxy.scratch("prove")
        _furnish(folder)
        backends = _start_backends(scene, place.hosts["backend"], close, folder)
        doors = _doors(scene, proxy)
        confined = proxy.call(_confined, folder, doors, backends)
        rewriting = Rewriting(scene, backends.addresses, doors, _user(), ledger)
        nginx = _Nginx(program, proxy, folder)
        text = accepted(
            rewriting.directives(), nginx.check, scene.model.variables, ledger, version=program.version
        )
        if isinstance(text, Refusal):
            yield text
            return
        running = nginx.start(doors[min(doors)].plain)
        stack.callback(running.stop)
        kernels = {name: Kernel(place.hosts[name]) for name in ("proxy", "backend")}
        for kernel in kernels.values():
            stack.callback(kernel.close)
        yield Stage(place, doors, backends, running, kernels, folder, confined)


# The scratch folder


def _furnish(folder: Path) -> None:
    """Puts an empty root and a throw-away certificate into the folder; workers may be another user's."""
    for each in (folder, folder.parent):
        each.chmod(0o711)
    (folder / ROOT).mkdir()
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1", "bench.example")
    issued.private_key_pem.write_to_path(folder / KEY)
    (folder / CERTIFICATE).write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))


def _confined(folder: Path, doors: Mapping[int, Doors], backends: Backends) -> bool:
    """Has the kernel hold this host's programs to the folder and to the ports of the lab."""
    binds = [_port(address) for each in doors.values() for address in (each.plain, each.tls)]
    connects = [_port(address) for each in backends.addresses.values() for address in each.values()]
    return confine.confine(folder, binds, connects)


def _user() -> tuple[str, ...]:
    """Returns the user and group of the workers, where the master is root and may choose."""
    if os.geteuid() != 0:
        return ()
    try:
        entry = pwd.getpwnam(_NOBODY)
        group = grp.getgrgid(entry.pw_gid).gr_name
    except KeyError:
        return ("root",)  # a system without that user
    mapped = Path("/proc/self/uid_map")
    lines = mapped.read_text("ascii").splitlines() if mapped.exists() else ["0 0 4294967295"]
    if not any(_maps(line, entry.pw_uid) for line in lines):
        return ("root",)  # the only user of this namespace
    return (_NOBODY, group)


def _maps(line: str, uid: int) -> bool:
    first, _, count = map(int, line.split())  # user_namespaces(7)
    return first <= uid < first + count


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


# Who runs


def _start_backends(scene: Scene, host: Host, close: str, folder: Path) -> Backends:
    """Starts a process for each kind of peer; on a host of its own with ports that it chooses."""
    wanted: dict[Peer, list[int]] = {}
    for spot in scene.spots:
        backends_needed = () if spot.obstacle is not None else spot.peers
        for peer in backends_needed:
            wanted.setdefault(peer, []).append(spot.number)
    found, port = Backends({spot.number: {} for spot in scene.spots}), host.listen_port
    for peer, numbers in wanted.items():
        listen = [f"{host.front}:{port + index if port else 0}" for index in range(len(numbers))]
        port += len(numbers) if port else 0
        argv = _backend_argv(peer, listen, close, folder)
        found.processes[peer] = host.start(argv, name=f"backend ({peer.kind})")
    for peer, numbers in wanted.items():
        addresses = found.processes[peer].wait_event("ready", _READY_TIMEOUT_S)["listen"]
        for number, address in zip(numbers, addresses, strict=True):
            found.addresses[number][peer] = address
    return found


def _backend_argv(peer: Peer, listen: list[str], close: str, folder: Path) -> list[str]:
    argv = [sys.executable, "-m", "backends.peers", "--control", "--kind", peer.kind]
    argv += ["--close", close.removesuffix("ms")]
    for address in listen:
        argv += ["--listen", address]
    if peer.is_tls:
        argv += ["--tls", str(folder / CERTIFICATE), str(folder / KEY)]
    return argv


def _doors(scene: Scene, host: Host) -> dict[int, Doors]:
    count = 2 * len(scene.sites)
    ports = (
        _free_ports(host.front, count)
        if host.front.startswith("127.")
        else range(_FIRST_DOOR, _FIRST_DOOR + count)
    )
    pairs = zip(ports[::2], ports[1::2], strict=True)
    return {
        site.number: Doors(f"{host.front}:{plain}", f"{host.front}:{tls}")
        for site, (plain, tls) in zip(scene.sites, pairs, strict=True)
    }


def _free_ports(address: str, count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((address, 0))
        return [probe.getsockname()[1] for probe in probes]


@dataclass(frozen=True, slots=True)
class _Nginx:
    """One nginx program with its scratch folder."""

    program: Program
    host: Host
    folder: Path

    @property
    def _arguments(self) -> list[str]:
        arguments = ["-p", f"{self.folder}/", "-c", str(self.folder / "nginx.conf")]
        if versions.parse(self.program.version) >= _ERROR_LOG_FLAG:
            arguments += ["-e", "stderr"]  # else it opens the system's log before it reads where to write
        return arguments

    def check(self, text: str) -> str | None:
        """Returns what `nginx -t` says against a configuration, or None."""
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8", errors="surrogateescape")
        process = self.host.start(
            [self.program.path, "-t", "-q", *self._arguments], name="nginx -t", control=False
        )
        try:
            code = process.wait(_CHECK_TIMEOUT_S)
        except RoleError:
            process.kill()
            raise
        if code == 0:
            return None
        said = [line for line in process.stderr_lines if "[emerg]" in line]
        return said[0] if said else process.last_words or f"nginx -t ended with exit code {code}"

    def start(self, listen: str) -> Launched:
        """Starts it with the configuration that was checked last."""
        recipe = Recipe(self.program, listen, {}, ["-t", "-q", *self._arguments], self._arguments)
        return launch(self.host, None, recipe)
