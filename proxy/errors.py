"""The exceptions of the proxy, and the status that each sends to the client."""

import errno
import os


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


class UpstreamProtocolError(ProxyError):
    """The upstream sent what RFC 9110 or 9112 forbids, or more than a limit allows."""

    status = 502


class UpstreamReset(ProxyError):
    """The upstream ended the connection before it had answered."""

    status = 502


class ConnectFailed(ProxyError):
    """No connection to the upstream; `code` is the kernel's reason, or ETIMEDOUT as the proxy's own."""

    def __init__(self, code: int, reason: str | None = None) -> None:
        reason = reason or f"cannot connect to the upstream: {os.strerror(code).lower()}"
        super().__init__(reason, 504 if code == errno.ETIMEDOUT else 502)
        self.code = code


class SpoolFailed(ProxyError):
    """A request body that must be stored until it is complete cannot be."""

    status = 507


class StartError(Exception):
    """The proxy cannot start, or not go on; the message names the thing, the value and the remedy."""

    exit_code = 3


class SettingsError(StartError):
    """A flag, a value or a combination of flags is invalid."""

    exit_code = 2
