"""`python -m backends`: reads the command line, opens the ports, runs one worker or several."""

import sys
from collections.abc import Sequence

from backends.control import Pipes
from backends.errors import BackendError
from backends.listening import open_listener
from backends.options import parse_options


def main(arguments: Sequence[str]) -> int:
    """Runs a backend to its end; returns the exit code."""
    try:
        options = parse_options(arguments)
        listeners = [open_listener(host, port, shared=False) for host, port in options.listen]
    except BackendError as error:
        sys.stderr.write(f"backend: {error}\n")
        return error.exit_code
    import uvloop  # noqa: PLC0415

    from backends.role import run_worker  # noqa: PLC0415

    uvloop.run(run_worker(options, listeners, Pipes(0 if options.control else None, 1)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
