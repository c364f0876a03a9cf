"""Why a machine of `--ssh` cannot be used, in one sentence with its remedy."""

import logging
import socket
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import asyncssh

from bench.cluster.hosts_file import SshHost
from bench.errors import LabError

Lines = deque[str]
_lines: ContextVar[Lines] = ContextVar("lines")


class StartLines(logging.Handler):
    """Keeps what a worker prints while Dask starts it, which goes to a logger and nowhere else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for the task that starts this worker."""
        if (line := record.getMessage().strip()) and (lines := _lines.get(None)) is not None:
            lines.append(line)


def keep_lines(lines: Lines) -> None:
    """Keep in `lines` what the worker prints that the current task starts."""
    logger = logging.getLogger("distributed.deploy.ssh")
    if not any(isinstance(each, StartLines) for each in logger.handlers):
        logger.addHandler(StartLines())
        logger.setLevel(logging.INFO)
        logger.propagate = False
    _lines.set(lines)


class UnusableFile(Exception):
    """A file of ssh here, of this user's settings, keys or known hosts, makes no sense."""


_REASONS: tuple[tuple[type[BaseException], Callable[[Any, str], str]], ...] = (
    (LabError, lambda error, ssh: str(error)),
    (asyncssh.PermissionDenied, lambda error, ssh: f"{error.reason}; `{ssh}` must work without a password"),
    (
        asyncssh.HostKeyNotVerifiable,
        lambda error, ssh: f"{error.reason}; log in by `{ssh}` once, so that it is among the known hosts",
    ),
    (asyncssh.Error, lambda error, ssh: f"{error.reason.rstrip('.')}; `{ssh}` must work"),
    (
        TimeoutError,
        lambda error, ssh: f"no worker in time; `{ssh}` must work, and the machine must reach the scheduler",
    ),
    (
        socket.gaierror,
        lambda error, ssh: "no address is known for that name; write one that is, or an address",
    ),
    (
        UnusableFile,
        lambda error, ssh: f"a file of ssh here cannot be used ({error}); mend it, so that `{ssh}` works",
    ),
    (ConnectionRefusedError, lambda error, ssh: f"no ssh server listens there; `{ssh}` must work"),
    (
        OSError,
        lambda error, ssh: (
            f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}; `{ssh}` must work"
        ),
    ),
)
"""What can be wrong with a machine, the most particular first."""


def explain(error: BaseException, place: SshHost, lines: Lines) -> str | None:
    """Return why `place` cannot be used, whose worker said `lines`; None for what is a fault of ours."""
    user = "" if place.user is None else f"{place.user}@"
    port = "" if place.port is None else f" -p {place.port}"
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason(error, f"ssh{port} {user}{place.host}")
    if type(error) is Exception:  # so Dask says that a worker did not start
        return f"its worker ended: {lines[-1] if lines else 'it said nothing'}"
    return None
