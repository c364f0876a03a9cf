"""What stops a backend from starting; each carries the exit code that it leads to."""


class BackendError(Exception):
    """A backend cannot start; the message is one line that names the thing, the value and the remedy."""

    exit_code = 3


class MisuseError(BackendError):
    """What was asked for makes no sense."""

    exit_code = 2


class WorkerError(BackendError):
    """A worker process did not come up or died."""


class ListenError(BackendError):
    """The environment does not let us listen on the address."""
