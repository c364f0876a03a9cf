"""How a server's process ends: whatever stops it is one line on stderr and an exit code."""

import sys
from collections.abc import Callable

from backends.errors import BackendError


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
