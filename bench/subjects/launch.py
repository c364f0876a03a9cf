"""Launch a proxy that has a configuration file: write the files, check them, start, wait, count, stop.

What to write and to start is each adapter's part (a LaunchSpec); here are the files, the processes and the
waiting. The scratch folder goes with the lab. Nothing here opens a TCP connection: that would show in the
counts of the lab.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import RoleError
from bench.lab import Host, Process, split_address, supervisor
from bench.lab.role_process import READY_TIMEOUT_S
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectCounts

PORT = 8080
_CHECK_TIMEOUT_S = 30.0
_POLL_S = 0.01
_LISTEN = {"tcp": "0A", "udp": "07"}
"""TCP_LISTEN and TCP_CLOSE (include/net/tcp_states.h): what is bound and not connected, in each table."""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """How one proxy is run; `{folder}` stands for its scratch folder, in arguments, values and files."""

    program: Program
    listen: str
    files: Mapping[str, str]
    """What the scratch folder holds: file name -> text."""
    check: Sequence[str]
    """Arguments with which the program checks its configuration and ends; none: it has no such check."""
    run: Sequence[str]
    """Arguments with which it runs, in the foreground."""
    env: Mapping[str, str] | None = None
    table: str = "tcp"
    """The table of its host in which its listening socket shows: tcp or udp."""
    reload: signal.Signals | None = None
    """What makes it read its configuration anew; None: no signal does."""
    count: Callable[[Path], SubjectCounts] = field(default=lambda _folder: SubjectCounts())
    """Reads the counts of the running program; receives the scratch folder."""


class LaunchedProxy:
    """A proxy that accepts requests. States: running, stopped."""

    def __init__(
        self, host: Host, cpus: set[int] | None, spec: LaunchSpec, folder: Path, process: Process
    ) -> None:
        self.address = spec.listen
        self.version = spec.program.version
        self.pid: int | None = process.pid
        self._host, self._cpus = host, cpus
        self._spec = spec
        self._folder = folder
        self._process = process
        self._has_forgotten = False

    @property
    def exit_message(self) -> str:
        """Return the last line that it wrote to stderr, or nothing."""
        return self._process.exit_message

    def count(self) -> SubjectCounts:
        """Return what it has counted so far; RoleError where it does not answer."""
        return SubjectCounts() if self._has_forgotten else self._spec.count(self._folder)

    def stop(self) -> None:
        """End it and its whole process tree."""
        self._process.stop()

    def restart(self) -> None:
        """End it at once and start it anew at the same address; from then on it counts nothing."""
        self._process.kill()
        self._process = _start(self._host, self._cpus, self._spec, self._folder, self._spec.run)
        self.pid, self._has_forgotten = self._process.pid, True
        await_listening(self._host, self._process, self._spec.listen)

    def reload(self) -> None:
        """Have it read its configuration anew; RoleError where no signal makes it."""
        name, reload_signal = self._spec.program.name, self._spec.reload
        if reload_signal is None:
            raise RoleError(name, "no signal makes it read its configuration anew; restart it")
        assert self.pid is not None, "a program has a process"
        os.kill(self.pid, reload_signal)
        self._has_forgotten = True


def launch(host: Host, cpus: set[int] | None, spec: LaunchSpec) -> LaunchedProxy:
    """Start the proxy of `spec` on `host` and wait until it listens; RoleError with its message."""
    folder = host.scratch(spec.program.name)
    process: Process | None = None
    try:
        with supervisor.writing(folder):
            for name, text in spec.files.items():
                (folder / name).write_text(text.replace("{folder}", str(folder)), encoding="utf-8")
        if spec.check:
            _check(host, spec, folder)
        process = _start(host, cpus, spec, folder, spec.run)
        await_listening(host, process, spec.listen, spec.table)
    except BaseException:
        if process is not None:
            process.stop()
        raise
    return LaunchedProxy(host, cpus, spec, folder, process)


def listen_address(host: Host) -> str:
    """Return where a proxy listens on `host`: at PORT in a namespace, at a free port on this machine."""
    if not host.front.startswith("127."):
        return f"{host.front}:{PORT}"
    with socket.socket() as probe:
        probe.bind((host.front, 0))
        return f"{host.front}:{probe.getsockname()[1]}"


def _start(
    host: Host, cpus: set[int] | None, spec: LaunchSpec, folder: Path, arguments: Sequence[str]
) -> Process:
    argv = [spec.program.path, *(argument.replace("{folder}", str(folder)) for argument in arguments)]
    env = None
    if spec.env is not None:
        env = {name: value.replace("{folder}", str(folder)) for name, value in spec.env.items()}
    return host.start(argv, name=spec.program.name, cpus=cpus, env=env, control=False)


def _check(host: Host, spec: LaunchSpec, folder: Path) -> None:
    process = _start(host, None, spec, folder, spec.check)
    code = process.wait(_CHECK_TIMEOUT_S)
    if code != 0:
        lines = [line for line in [*process.stdout_lines, *process.stderr_lines] if line.strip()]
        message = next((line for line in lines if "emerg" in line or "rror" in line or "ALERT" in line), None)
        reason = f"its own check refuses its configuration (exit code {code})"
        raise RoleError(spec.program.name, reason, message or process.exit_message)


def await_listening(host: Host, process: Process, address: str, table: str = "tcp") -> None:
    """Wait until the listening socket shows in the tables of its host."""
    wanted = _table_entry(address)
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while wanted not in host.call(_listening, table):
        if process.returncode is not None:
            process.wait(READY_TIMEOUT_S)
            reason = f"ended before it listened on {address} (exit code {process.returncode})"
            raise RoleError(process.name, reason, process.exit_message)
        if time.monotonic() > deadline_s:
            reason = f"does not listen on {address} after {READY_TIMEOUT_S:g} s"
            raise RoleError(process.name, reason, process.exit_message)
        time.sleep(_POLL_S)


def _listening(table: str) -> set[str]:
    """Return the listening IPv4 sockets of the calling thread's network namespace, as the table has them."""
    rows = Path("/proc/thread-self/net", table).read_text(encoding="ascii").splitlines()[1:]
    return {fields[1] for fields in map(str.split, rows) if fields[3] == _LISTEN[table]}


def _table_entry(address: str) -> str:
    """Return HOST:PORT as /proc/net/tcp writes it: the address in the order of this machine's bytes."""
    host, port = split_address(address)
    packed = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    return f"{packed:08X}:{port:04X}"
