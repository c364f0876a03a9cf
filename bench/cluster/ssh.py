"""A cluster over ssh: Dask's scheduler in this process, and Dask's own SSH worker on each machine.

Dask connects, starts and ends the workers. Ours is the folder on each machine (remote_folder.py), which takes
the certificate by SFTP.
"""

import asyncio
import json
import shlex
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import dask

from bench.cluster import dask_config
from bench.cluster.certificates import CertificateFiles, files_in
from bench.cluster.hosts_file import SshHost
from bench.cluster.ssh_errors import UnusableFile, explain, keep_lines
from bench.errors import LabError

# What goes wrong comes as an exception; the rest would be mixed with what we say.
# The scheduler's own folder may be gone before Dask removes it: it goes with ours.
with dask.config.set({"logging": {"distributed": "error", "distributed.diskutils": "critical"}}):
    import distributed
    from distributed.deploy import spec
    from distributed.deploy.ssh import Worker

    from bench.cluster.scheduler import Scheduler

_dask: Any = distributed
_spec: Any = spec

_CONNECT_TIMEOUT_S = 15.0
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 10.0
_REST_S = 2.0
"""How long what is no Python of ours may take to say so."""
_ALIVE_S = 5
"""How often ssh asks whether the other side is there; three times without an answer end a connection."""
_TAIL_LINES = 20
_INFORMATION = " - INFO - "
"""In a line of Dask's log of things that are as they should be."""


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What holds for all machines."""

    listen: str
    """Address of this machine on which the scheduler listens."""
    port: int
    threads: int | None
    """Threads of a worker; None: as many as it offers parts."""
    certificates: CertificateFiles | None
    warn: Callable[[str], None]
    """Called with a line about a machine that was not left as it was found."""


class RemoteFolder:
    """A folder on the machine of a connection, for as long as that stands."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[str], path: str
    ) -> None:
        self.path = path
        self._connection = connection
        self._process = process

    async def send(self, files: CertificateFiles) -> CertificateFiles:
        """Send the files by SFTP, readable by that user alone, and return where they are."""
        there = files_in(Path(self.path))
        only_mine = asyncssh.SFTPAttrs(permissions=0o600)
        async with self._connection.start_sftp_client() as sftp:
            for near, far in zip(files.paths, there.paths, strict=True):
                async with sftp.open(str(far), "wb", attrs=only_mine) as file:
                    await file.write(near.read_bytes())
        return there

    async def close(self) -> None:
        """End the worker that is left there, and remove the folder."""
        self._process.stdin.write_eof()
        await self._process.wait(check=False, timeout=_END_TIMEOUT_S)


async def make_folder(connection: asyncssh.SSHClientConnection, python: str) -> RemoteFolder:
    """Make a folder on the machine of `connection`; LabError says what its `python` lacks."""
    process = await connection.create_process(f"{python} -m bench.cluster.remote_folder")
    line = await process.stdout.readline()
    if (path := _folder_of(line)) is not None:
        return RemoteFolder(connection, process, path)
    last = (await _rest(process)).strip().rpartition("\n")[2]
    raise LabError(
        f"its {python} cannot run bench ({last or line.strip() or 'it says nothing'}); install"
        " this version of bench there, with its extra `cluster`, or name another Python with python=/path"
    )


def _folder_of(line: str) -> str | None:
    """Return the folder that a keeper's event names; None where the line is no such event."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    path = event.get("folder") if isinstance(event, dict) else None
    return path if isinstance(path, str) and path.startswith("/") else None


async def _rest(process: asyncssh.SSHClientProcess[str]) -> str:
    """Return what is left of the stderr of a process, which may go on for ever, and leave it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_REST_S):
            return await process.stderr.read()
    process.close()
    return ""


class SshWorker(Worker):
    """Dask's worker over ssh, in a folder of ours. Its states are those of Dask."""

    def __init__(self, scheduler: str, *, place: SshHost, options: SshOptions, name: str) -> None:
        super().__init__(
            scheduler,
            place.host,
            _connect_options(place),
            {},
            worker_class="distributed.Worker",
            remote_python=shlex.quote(place.python or sys.executable),
            name=name,
        )
        self._place, self._options = place, options
        self._folder_connection: asyncssh.SSHClientConnection | None = None
        self._folder: RemoteFolder | None = None
        self._stderr: deque[str] = deque(maxlen=_TAIL_LINES)
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the folder, send the certificate, start the worker; LabError names the machine."""
        keep_lines(self._stderr)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._start()
        except BaseException as error:
            await self.close()
            reason = explain(error, self._place, self._stderr)
            if reason is None:
                raise
            raise LabError(f"cluster: {self.name} ({self.address}): {reason}") from error

    async def _start(self) -> None:
        try:
            connection = await asyncssh.connect(self.address, **self.connect_options)
        except ValueError as error:  # what it reads of this user: settings, keys, known hosts
            raise UnusableFile(str(error)) from error
        self._folder_connection = connection
        self._folder = await make_folder(connection, self.remote_python)
        self.kwargs = self._arguments(connection.get_extra_info("peername")[0])
        if self._options.certificates is not None:
            there = await self._folder.send(self._options.certificates)
            self.kwargs["security"] = there.security()
        await super().start()  # type: ignore[no-untyped-call]
        self._reading = asyncio.create_task(self._read_stderr())

    def _arguments(self, address: str) -> dict[str, Any]:
        """Return the arguments of Dask's Worker, which is at `address` unless an interface is named."""
        assert self._folder is not None
        offers = self._place.offers
        where = (
            {"host": bracketed(address)}
            if self._place.interface is None
            else {"interface": self._place.interface}
        )
        return {
            **dask_config.OPTIONS["Worker"],
            **where,
            "name": self.name,
            "nthreads": self._options.threads or sum(offers.values()),
            "resources": dict(offers),
            "local_directory": self._folder.path,
            "preload": ["bench.cluster.remote_folder"],
        }

    async def _read_stderr(self) -> None:
        """Keep the worker's last lines: what nobody reads fills the channel, and then the worker waits."""
        stderr: Any = self.proc.stderr  # type: ignore[union-attr]
        while line := await stderr.readline():
            self._stderr.append(line.strip())

    @property
    def ending(self) -> str | None:
        """Return how the worker ended by itself; None while it runs."""
        if self._reading is None or not self._reading.done():
            return None
        said = next((line for line in reversed(self._stderr) if _INFORMATION not in line), "")
        return f"{self.name} ({self.address}): ended{'; stderr: ' if said else ''}{said}"

    async def close(self) -> None:
        """End the worker and the connections to its machine; it warns where that cannot be reached."""
        await super().close()  # type: ignore[no-untyped-call]
        if self._reading is not None:
            self._reading.cancel()
        folder, self._folder = self._folder, None
        if folder is not None:
            try:
                await folder.close()
            except (OSError, asyncssh.Error) as error:
                self._options.warn(
                    f"{self.name} ({self.address}): {error}; its worker and {folder.path} end with ssh"
                )
        if self._folder_connection is not None:
            self._folder_connection.close()


def _connect_options(place: SshHost) -> dict[str, Any]:
    """Return the arguments of asyncssh.connect(); the rest is that of ~/.ssh/config."""
    named = {"username": place.user, "port": place.port}
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "login_timeout": _CONNECT_TIMEOUT_S,
        "keepalive_interval": _ALIVE_S,
        **{key: value for key, value in named.items() if value is not None},
    }


def bracketed(address: str) -> str:
    """Return an address as Dask takes it: an IPv6 address in brackets."""
    return f"[{address}]" if ":" in address else address


@asynccontextmanager
async def cluster(hosts: Sequence[SshHost], options: SshOptions, folder: str) -> AsyncIterator[Any]:
    """Run Dask's SpecCluster until the end of the block: a scheduler here, and a worker on each machine.

    `folder` takes the scheduler's files. LabError names the machine that cannot be used, or the port in use.
    """
    tls = None if options.certificates is None else _dask.Security(**options.certificates.security())
    listen = {"host": bracketed(options.listen), "port": options.port, "security": tls}
    with dask.config.set({**dask_config.SETTINGS, "temporary-directory": folder}):
        made = _spec.SpecCluster(
            {each.name: {"cls": SshWorker, "options": {"place": each, "options": options}} for each in hosts},
            {"cls": Scheduler, "options": {**dask_config.OPTIONS["Scheduler"], **listen}},
            security=tls,
            asynchronous=True,
            shutdown_on_close=False,
        )
        try:
            await made
            yield made
        except asyncio.CancelledError:
            # Dask cannot close what has not started; each worker ends by itself (SshWorker.start).
            raise
        except BaseException:
            await made.close()
            raise
        await made.close()
