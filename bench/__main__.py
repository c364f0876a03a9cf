"""`python -m bench`, and the `bench` command: the command line, which Ctrl-C ends quietly from the start."""

import sys

from bench.commands import interruption


def main() -> None:
    """Import the command line and run it."""
    sys.unraisablehook = interruption.deliver_again
    with interruption.ended_at_once():
        from bench import cli  # noqa: PLC0415 - from here on Ctrl-C is ours

    cli.main()


if __name__ == "__main__":
    main()
