"""The exceptions of the proxy, and the status that each sends to the client."""


class ProxyError(Exception):
    """Ends an exchange with `status`; `reason` is one line for the client."""

    status = 500

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        if status is not None:
            self.status = status


class ClientProtocolError(ProxyError):
    """The client sent what RFC 9110 or 9112 forbids, or more than a limit allows."""

    status = 400


class ClientTimeout(ProxyError):
    """The client did not finish its request in time."""

    status = 408


class UpstreamProtocolError(ProxyError):
    """The upstream sent what RFC 9110 or 9112 forbids, or more than a limit allows."""

    status = 502


class UpstreamReset(ProxyError):
    """The upstream ended the connection before it had answered."""

    status = 502


class ConnectFailed(ProxyError):
    """No connection to the upstream; `errno` is the kernel's reason."""

    status = 502

    def __init__(self, reason: str, errno: int) -> None:
        super().__init__(reason)
        self.errno = errno


class UpstreamTimeout(ProxyError):
    """The upstream did not accept the connection, or did not answer, in time."""

    status = 504


class PoolTimeout(ProxyError):
    """No upstream connection became free in time, or too many exchanges wait for one."""

    status = 503


class SpoolFailed(ProxyError):
    """A request body that must be stored until it is complete cannot be."""

    status = 507


class StartError(Exception):
    """The proxy cannot start; the message names the thing, the value and the remedy."""

    exit_code = 3


class ListenError(StartError):
    """The proxy cannot listen on its address."""


class FileLimitError(StartError):
    """The process may not open as many files as its limits on connections need."""


class WorkerError(StartError):
    """A worker ended before it was stopped."""


class SettingsError(StartError):
    """A flag, a value or a combination of flags is invalid."""

    exit_code = 2
