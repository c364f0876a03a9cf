"""`python -m backends`: reads the command line, opens the ports, runs one worker or several."""

import sys
from collections.abc import Sequence

from backends.ending import exit_code
from backends.listening import address, allow_connections, open_listeners
from backends.options import Options, parse_options


def main(arguments: Sequence[str]) -> int:
    """Run a backend to its end; return the exit code."""
    return exit_code(lambda: _run(parse_options(arguments)))


def _run(options: Options) -> None:
    listeners = open_listeners(options.listen, options.workers)
    addresses = [address(listener) for listener in listeners[0]]
    # Only now: wrong flags and taken ports are told before anything heavy is imported.
    from backends.start import run_alone, run_several  # noqa: PLC0415

    allow_connections()
    if options.workers == 1:
        run_alone(options, listeners[0], addresses)
    else:
        run_several(options, listeners, addresses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
