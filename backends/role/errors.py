"""What stops a backend: the errors, and the line on stderr and the exit code that each leads to."""

import sys
from collections.abc import Callable


class BackendError(Exception):
    """A backend cannot start; the message is one line that names the thing, the value and the remedy."""

    exit_code = 3


class MisuseError(BackendError):
    """The command line makes no sense."""

    exit_code = 2


class WorkerError(BackendError):
    """A worker process did not come up or died."""


class ListenError(BackendError):
    """The environment does not allow us to listen on the address."""


def exit_code(run: Callable[[], None]) -> int:
    """Run a server to its end; return the exit code."""
    try:
        run()
    except BackendError as error:
        sys.stderr.write(f"backend: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.write("backend: nobody reads stdout any more; keep it open until `done`\n")
        return BackendError.exit_code
    return 0
