"""Run the proxy (`python -m proxy`): the only print and the only exit codes."""

import os
import resource
import sys
from functools import partial
from typing import Any

from proxy import __version__, flags, server, workers
from proxy.control import write_event
from proxy.errors import FileLimitError, StartError
from proxy.settings import Settings


def main(argv: list[str]) -> int:
    """Run the proxy until it is stopped; return the exit code."""
    try:
        settings, has_control = flags.read_flags(argv)
        _raise_file_limit(settings.files)
        _serve(settings, sys.stdin.fileno() if has_control else None)
    except StartError as error:
        print(f"proxy: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def _serve(settings: Settings, commands: int | None) -> None:
    emit = partial(_emit, settings)
    if settings.workers > 1:
        workers.run(settings, emit, commands)
    else:
        server.run(settings, server.listen(settings), emit, commands)


def _emit(settings: Settings, event: dict[str, Any]) -> None:
    if event["event"] == "ready":
        event = {
            "event": "ready",
            "role": "proxy",
            "pid": os.getpid(),
            "version": __version__,
            "listen": event["listen"],
            "workers": settings.workers,
        }
    write_event(sys.stdout.fileno(), event)


def _raise_file_limit(files: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        except (ValueError, OSError) as error:
            raise FileLimitError(
                f"a worker may need {files} open files and the limit is {hard}; "
                "lower --max-clients or --pool-max, or raise the limit (ulimit -Hn)"
            ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
