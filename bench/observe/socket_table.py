"""The table of TCP sockets as psutil reads it, for systems whose kernel has no sock_diag. Slow, but exact."""

import errno
import sys

import numpy as np
import psutil

from bench.observe import sock_diag
from bench.observe.sock_diag import Sockets

_STATES = {
    psutil.CONN_ESTABLISHED: sock_diag.ESTABLISHED,
    psutil.CONN_SYN_SENT: sock_diag.SYN_SENT,
    psutil.CONN_SYN_RECV: sock_diag.SYN_RECV,
    psutil.CONN_FIN_WAIT1: sock_diag.FIN_WAIT1,
    psutil.CONN_FIN_WAIT2: sock_diag.FIN_WAIT2,
    psutil.CONN_TIME_WAIT: sock_diag.TIME_WAIT,
    psutil.CONN_CLOSE_WAIT: sock_diag.CLOSE_WAIT,
    psutil.CONN_LAST_ACK: sock_diag.LAST_ACK,
    psutil.CONN_CLOSING: sock_diag.CLOSING,
}


class SocketTable:
    """This machine's TCP sockets; OSError where they cannot be listed."""

    def __init__(self) -> None:
        if sys.platform == "darwin":
            # psutil goes through the files of processes, and a socket in TIME_WAIT belongs to none.
            raise OSError(errno.EOPNOTSUPP, "macOS does not list sockets in TIME_WAIT")
        self.dump(sock_diag.CONNECTED)

    def dump(self, states: tuple[int, ...]) -> Sockets:
        """Return all sockets in one of `states`."""
        try:
            listed = psutil.net_connections("tcp")
        except psutil.Error as error:
            raise OSError(errno.EACCES, f"psutil may not list them: {error}") from error
        found = [
            (_STATES.get(each.status, 0), each.laddr.port, each.raddr.port)
            for each in listed
            if each.laddr and each.raddr
        ]
        rows = np.array([row for row in found if row[0] in states], dtype=np.uint16).reshape(-1, 3)
        return Sockets(rows[:, 0].astype(np.uint8), rows[:, 1], rows[:, 2])

    def close(self) -> None:
        """Hold nothing."""
