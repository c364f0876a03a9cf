"""Run the proxy (`python -m proxy`): the only exit codes."""

import os
import platform
import resource
import socket
import sys
from functools import partial
from typing import Any

from proxy import __version__, flags, server, workers
from proxy.control import report, write_event
from proxy.errors import StartError
from proxy.listener import listen
from proxy.settings import Settings


def main(argv: list[str]) -> int:
    """Run the proxy until it is stopped; return the exit code."""
    try:
        settings, start = flags.read_flags(argv)
        _check_tls(settings)
        _raise_file_limit(settings.files)
        _serve(settings, start, argv)
    except StartError as error:
        report(str(error))
        return error.exit_code
    return 0


def _serve(settings: Settings, start: flags.Start, argv: list[str]) -> None:
    emit = partial(_emit, settings)
    commands = sys.stdin.fileno() if start.has_control else None
    if settings.workers > 1:
        workers.run(settings, argv, emit, commands)
    else:
        inherited = start.listener
        sock = listen(settings) if inherited is None else socket.socket(fileno=inherited)
        server.run(settings, sock, emit, commands)


def _check_tls(settings: Settings) -> None:
    """Raise SettingsError where a file of TLS does not hold what it should."""
    if settings.server_tls is None and settings.upstream_tls is None:
        return
    from proxy import tls  # noqa: PLC0415 - loads `ssl`, which no plain proxy needs

    if settings.server_tls is not None:
        tls.server_context(settings.server_tls)
    if settings.upstream_tls is not None:
        tls.client_context(settings.upstream_tls)


def _emit(settings: Settings, event: dict[str, Any]) -> None:
    if event["event"] == "ready":
        loop = server.loop_module(settings.loop)
        event |= {
            "role": "proxy",
            "pid": os.getpid(),
            "version": __version__,
            "workers": settings.workers,
            "loop": f"uvloop {loop.__version__}" if loop.__name__ == "uvloop" else "asyncio",
            "python": platform.python_version(),
        }
    write_event(sys.stdout.fileno(), event)


def _raise_file_limit(files: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        except (ValueError, OSError) as error:
            raise StartError(
                f"a worker may need {files} open files and the limit is {hard}; "
                "lower --max-clients or --pool-max, or raise the limit (ulimit -Hn)"
            ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
