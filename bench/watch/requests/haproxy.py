"""Count requests by HAProxy's stats socket, server by server; health checks are not among them.

Source: HAProxy's management guide, sections 9.1 (the fields of `show stat`) and 9.3 (the commands). `connect`
counts attempts to connect; those that failed are in `wretr` (tried again) and `econ` (given up).
"""

import csv
import io
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from bench.watch.model import Direction
from bench.watch.requests.counting import CountedHop, CounterReading, Counts, server_hop
from bench.watch.requests.http_get import Deadline, connect
from bench.watch.requests.source import SourceError, reason_of

_TCP = re.compile(r"(\[[^\]]+\]|[^/:]+):(\d{1,5})")
_PROMPT = b"\n> "
"""With which each answer ends once `prompt` has been sent, and the connection stays."""
_LARGEST_BYTES = 32 << 20
_SHOW_STAT = "show stat -1 5 -1"
"""Of all proxies the frontends (1) and the servers (4), not the sums over backends and the listeners."""
_PROCESS = ("Uptime_sec", "Pid")
_ALL_SERVERS, _CLIENTS = CountedHop(Direction.OUTGOING), CountedHop(Direction.INCOMING)


class HAProxyReader:
    """Asks one HAProxy over its stats socket.

    A TCP connection is kept. That to a file is made anew each time, since after a reload the process behind
    an old one would be that which ends.
    """

    def __init__(self, where: str) -> None:
        """Take a path or HOST:PORT; SourceError where it is neither."""
        tcp = _TCP.fullmatch(where)
        if tcp is None and not where.startswith("/"):
            raise SourceError("is no socket", "write haproxy:/PATH or haproxy:HOST:PORT")
        self._address = (tcp[1].strip("[]"), int(tcp[2])) if tcp else Path(where)
        self._sock: socket.socket | None = None

    def read(self) -> CounterReading:
        """Return the counters of all servers and frontends."""
        deadline = Deadline()
        try:
            info, stat = self._show(deadline)
        except OSError as error:
            self.close()
            may_not = isinstance(error, PermissionError)
            remedy = "run as root or in its group" if may_not else "name the address of its `stats socket`"
            raise SourceError(reason_of(error), remedy) from error
        except SourceError:
            self.close()
            raise
        if isinstance(self._address, Path):
            self.close()
        counts, notes = parse_stat(stat)
        uptime_s, pid = (int(info[name]) if info.get(name, "").isdigit() else None for name in _PROCESS)
        return CounterReading(counts, uptime_s=uptime_s, pid=pid, notes=notes)

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _show(self, deadline: Deadline) -> tuple[dict[str, str], str]:
        """Return `show info` and `show stat`, over a new connection where the kept one leads nowhere."""
        if self._sock is not None:
            try:
                info = parse_info(self._command(self._sock, "show info", deadline))
                if info.get("Stopping", "0") == "0":
                    return info, self._command(self._sock, _SHOW_STAT, deadline)
            except ConnectionError:
                pass  # it ended; after a reload or a restart another process listens
            self.close()
        self._sock = connect(self._address, deadline)
        try:
            self._command(self._sock, "prompt", deadline)
            info = parse_info(self._command(self._sock, "show info", deadline))
            return info, self._command(self._sock, _SHOW_STAT, deadline)
        except ConnectionError as error:
            raise SourceError(
                "ends the connection without an answer", "name the address of its `stats socket`"
            ) from error

    def _command(self, sock: socket.socket, command: str, deadline: Deadline) -> str:
        """Return the answer to a command; ConnectionError where the connection ends."""
        deadline.bound(sock)
        sock.sendall(f"{command}\n".encode())
        answer = bytearray()
        while not answer.endswith(_PROMPT):
            deadline.bound(sock)
            more = sock.recv(1 << 16)
            if not more:
                raise ConnectionResetError
            answer += more
            if len(answer) > _LARGEST_BYTES:
                limit = f"answers with more than {_LARGEST_BYTES >> 20} MiB"
                raise SourceError(limit, "name the socket of a smaller HAProxy")
        return answer.removesuffix(_PROMPT).decode("utf-8", "replace")


def parse_info(answer: str) -> dict[str, str]:
    """Return the values of `show info` by name."""
    lines = (line.partition(": ") for line in answer.splitlines())
    return {name: value for name, _, value in lines}


def parse_stat(answer: str) -> tuple[dict[CountedHop, Counts], tuple[str, ...]]:
    """Return the counters in `show stat`, and what they do not say.

    Raises:
        SourceError: the answer holds no such table.
    """
    if not answer.lstrip().startswith("# pxname,"):
        remedy = "name a `stats socket` of level operator or higher"
        raise SourceError(f"answers {answer.strip()[:60]!r} to `show stat`", remedy)
    counts: dict[CountedHop, Counts] = {}
    uncounted = 0
    for row in csv.DictReader(io.StringIO(answer.lstrip().removeprefix("# "))):
        hop = _hop(row)
        if hop is None:
            continue
        if row.get("mode") == "tcp":
            uncounted += hop.direction is Direction.OUTGOING
            continue
        own = _counts(row, hop.direction)
        counts[hop] = counts[hop] + own if hop in counts else own
    servers = "1 server" if uncounted == 1 else f"{uncounted} servers"
    notes = (f"HAProxy passes TCP on to {servers}, and counts no requests there",) if uncounted else ()
    return counts, notes


def _hop(row: Mapping[str, str]) -> CountedHop | None:
    """Return the hop of a row; None where it is none over TCP."""
    if row["svname"] in {"FRONTEND", "BACKEND"}:
        return _CLIENTS if row["svname"] == "FRONTEND" else None
    address = row.get("addr", "")
    if address.startswith(("unix", "/", "abns@")):
        return None
    # Empty where the socket's level is below operator: then all servers are one.
    return server_hop(address) or _ALL_SERVERS


def _counts(row: Mapping[str, str], direction: Direction) -> Counts:
    def number(name: str) -> int:
        text = row.get(name) or ""
        return int(text) if text.isdigit() else 0

    if direction is Direction.INCOMING:
        return Counts(number("req_tot"), number("conn_tot"))
    # HAProxy 2.6 counts no req_tot for servers: there each request is a session of its own.
    requests = number("req_tot") if row.get("req_tot") else number("stot")
    opened = number("connect") - number("wretr") - number("econ")
    return Counts(requests, opened, number("econ") + number("eresp"))
