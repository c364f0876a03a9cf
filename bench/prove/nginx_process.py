"""One nginx on a host of the lab: its scratch folder, its listeners, its config test (`nginx -t`), its start.

Directives that this nginx does not know are left out where that cannot change reuse.
"""

import grp
import os
import pwd
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from bench import lab
from bench.lab import Host, landlock, port_of
from bench.prove import allowlist
from bench.prove.changes import ChangeLog, Rejection
from bench.prove.inventory import MAX_SERVER_BLOCKS, Inventory, build_inventory
from bench.prove.rewrite import ROOT, Listeners, Rewriter
from bench.prove.targets import NOWHERE, Addresses
from bench.subjects import certificates
from bench.subjects.launch import LaunchedProxy, LaunchSpec, launch
from bench.subjects.nginx import arguments
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model
from nginx.serializer import SerializedConfig, serialize
from nginx.tree import Directive
from nginx.variables import Definitions
from nginx.versions import Version

_CONFIG_TEST_TIMEOUT_S = 30.0
_UNPRIVILEGED_USER = "nobody"
_FIRST_PORT = 8001
_MAX_ATTEMPTS = 200
_UNKNOWN_DIRECTIVE = re.compile(r'unknown directive "(.+?)" in ')
_UNKNOWN_VARIABLE = re.compile(r'unknown "(\w+)" variable')
_LOG_PREFIX = re.compile(r"^(?:nginx: |[\d/]+ [\d:]+ )\[\w+\] (?:\d+#\d+: )?")
_LINE_NUMBER = re.compile(r" in \S+:(\d+)$")

ConfigTest = Callable[[str], str | None]
"""Accepts the text of a configuration, returns the error that nginx reports, or None."""
ClientProtocol = Literal["auto", "1.1", "2"]
"""The version of HTTP that clients speak; auto: 2 where a listener accepts it, else 1.1."""


@dataclass(frozen=True, slots=True)
class ScratchNginx:
    """One nginx program that writes into a scratch folder only."""

    program: Program
    host: Host
    folder: Path

    @property
    def _arguments(self) -> list[str]:
        known = arguments(versions.parse(self.program.version))
        return [argument.replace("{folder}", str(self.folder)) for argument in known]

    def config_test(self, text: str) -> str | None:
        """Return the error that `nginx -t` reports about a configuration, or None."""
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8", errors="surrogateescape")
        process = self.host.start(
            [self.program.path, "-t", "-q", *self._arguments], name="nginx -t", control=False
        )
        code = process.wait(_CONFIG_TEST_TIMEOUT_S)
        if code == 0:
            return None
        errors = [line for line in process.stderr_lines if "[emerg]" in line]
        return errors[0] if errors else process.exit_message or f"nginx -t ended with exit code {code}"

    def load(
        self,
        inventory: Inventory,
        backends: Mapping[int, Addresses],
        listeners: Mapping[int, Listeners],
        log: ChangeLog,
        *,
        in_flight: int = 1,
        shared: Mapping[int, int] = MappingProxyType({}),
        workers: int = 1,
    ) -> Rejection | None:
        """Write the rewritten configuration into the folder; return why nginx rejects it, or None."""
        version = versions.parse(self.program.version)
        rewriter = Rewriter(
            inventory, backends, listeners, _worker_user(), version, in_flight, log, shared, workers
        )
        variables = inventory.model.variables
        adapted = adapt_config(rewriter.directives(), self.config_test, variables, log, version=version)
        return adapted if isinstance(adapted, Rejection) else None

    def start(self, listen: str) -> LaunchedProxy:
        """Start it with the configuration that was tested last."""
        recipe = LaunchSpec(self.program, listen, {}, ["-t", "-q", *self._arguments], self._arguments)
        return launch(self.host, None, recipe)


def run_config_test(model: Model, program: Program) -> Rejection | None:
    """Return why one nginx rejects a harmless copy of a configuration; None if it accepts it.

    What is left out of the copy is not tested: servers that pass nothing on, limits, caches, logs, code,
    modules that this nginx does not have. LabError where no folder can be made, RoleError where nginx hangs.
    """
    inventory = build_inventory(model)
    with lab.open_lab("loopback") as opened:
        host = opened.hosts["proxy"]
        folder = create_scratch_folder(host)
        listeners = allocate_listeners(inventory, host, "auto")
        host.call(confine_nginx, folder, listeners, [])
        backends = {each.number: {peer: [NOWHERE] for peer in each.peers} for each in inventory.locations}
        return ScratchNginx(program, host, folder).load(inventory, backends, listeners, ChangeLog())


# The folder, the ports and the user


def create_scratch_folder(host: Host) -> Path:
    """Return a folder with an empty root and a throw-away certificate; workers may be another user's."""
    folder = host.scratch("prove")
    for each in (folder, folder.parent):
        each.chmod(0o711)
    (folder / ROOT).mkdir()
    for name, text in certificates.issue(["localhost", "127.0.0.1", "bench.example"]).files.items():
        (folder / name).write_text(text, encoding="ascii")
    return folder


def confine_nginx(folder: Path, listeners: Mapping[int, Listeners], backends: Iterable[str]) -> bool:
    """Confine this host's programs to folder, listeners and backends; return whether the kernel does."""
    binds = [port_of(address) for each in listeners.values() for address in each.addresses]
    return landlock.restrict(folder, binds, map(port_of, backends))


def allocate_listeners(inventory: Inventory, host: Host, client: ClientProtocol) -> dict[int, Listeners]:
    """Return where each server block listens on a host, by its number."""
    speaks_http2 = {
        server.number: client == "2" or (client == "auto" and server.accepts_http2)
        for server in inventory.servers[:MAX_SERVER_BLOCKS]
    }
    count = 2 * len(speaks_http2) + sum(speaks_http2.values())
    is_shared = host.front.startswith("127.")
    ports = iter(_free_ports(host.front, count) if is_shared else range(_FIRST_PORT, _FIRST_PORT + count))
    addresses = (f"{host.front}:{port}" for port in ports)
    return {
        number: Listeners(next(addresses), next(addresses), next(addresses) if is_http2 else None)
        for number, is_http2 in speaks_http2.items()
    }


def _free_ports(address: str, count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((address, 0))
        return [probe.getsockname()[1] for probe in probes]


def _worker_user() -> tuple[str, ...]:
    """Return the user and group of the workers, where the master is root and may choose."""
    if os.geteuid() != 0:
        return ()
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
        group = grp.getgrgid(entry.pw_gid).gr_name
    except KeyError:
        return ("root",)  # a system without that user
    mapped = Path("/proc/self/uid_map")
    lines = mapped.read_text("ascii").splitlines() if mapped.exists() else ["0 0 4294967295"]
    if not any(_is_mapped(line, entry.pw_uid) for line in lines):
        return ("root",)  # the only user of this namespace
    return (_UNPRIVILEGED_USER, group)


def _is_mapped(line: str, uid: int) -> bool:
    first, _, count = map(int, line.split())  # user_namespaces(7)
    return first <= uid < first + count


# What this nginx does not know


def adapt_config(
    directives: Iterable[Directive],
    config_test: ConfigTest,
    variables: Definitions,
    log: ChangeLog,
    *,
    version: Version,
) -> SerializedConfig | Rejection:
    """Return the configuration without what this nginx does not know, or why nginx rejects it."""
    lines = list(directives)
    for _ in range(_MAX_ATTEMPTS):
        text = serialize(lines)
        error = config_test(text.text)
        if error is None:
            return text
        unknown = _UNKNOWN_DIRECTIVE.search(error)
        variable = _UNKNOWN_VARIABLE.search(error)
        if unknown is not None and not _stays(unknown[1]):
            lines = list(_without(lines, unknown[1], f"nginx {version} does not know it", log))
        elif variable is not None and (variables.is_defined(variable[1]) or not variables.is_whole):
            log.record("added", f"${variable[1]}", "empty, because its definition is not here")
            lines = list(_with_variable(lines, variable[1]))
        else:
            return _rejection(error, text)
    return Rejection(f"it does not know more than {_MAX_ATTEMPTS} directives and variables of it")


def _stays(name: str) -> bool:
    return name in allowlist.AFFECTS_REUSE or allowlist.is_odd(name)


def _rejection(error: str, text: SerializedConfig) -> Rejection:
    message = _LOG_PREFIX.sub("", error.strip())
    line = _LINE_NUMBER.search(message)
    if line is None:
        return Rejection(message)
    place = text.place(int(line[1]))
    return Rejection(message[: line.start()], place if place is not None and place.line else None)


def _without(lines: Iterable[Directive], name: str, why: str, log: ChangeLog) -> Iterator[Directive]:
    for line in lines:
        if line.name == name:
            log.record("left out", name, why, line.place)
        elif line.block is not None and line.name not in allowlist.DATA:
            yield replace(line, block=tuple(_without(line.block, name, why, log)))
        else:
            yield line


def _with_variable(lines: Iterable[Directive], name: str) -> Iterator[Directive]:
    for line in lines:
        if line.name == "http" and line.block is not None:
            empty = Directive("default", ("",), line.place)
            added = Directive("map", ("", f"${name}"), line.place, block=(empty,))
            yield replace(line, block=(added, *line.block))
        else:
            yield line
