"""Share what tests of repairs need: locations, the lines of a diff, and a server that records requests."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable
from pathlib import Path

from nginx.fix.repair import Repair
from tests.nginx import real

VERSION, CONNECTION = "proxy_http_version 1.1;", 'proxy_set_header Connection "";'


def at(*lines: str, around: str = "") -> str:
    """Return a server with a location of these lines."""
    inner = "".join(f"        {line}\n" for line in lines)
    return f"server {{\n    listen SOCKET;\n{around}    location /one/ {{\n{inner}    }}\n}}\n"


def added(repair: Repair) -> list[str]:
    """Return the lines that a repair adds."""
    return [line[1:].strip() for line in repair.diff().splitlines() if re.match(r"\+(?!\+\+)", line)]


def removed(repair: Repair) -> list[str]:
    """Return the lines that a repair removes."""
    return [line[1:].strip() for line in repair.diff().splitlines() if re.match(r"-(?!--)", line)]


class Recorder:
    """A server that records the requests and answers with a redirect to itself."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.address = ""

    def exchange(self, connection: socket.socket) -> bool:
        """Answer one request."""
        head = real.read_until(connection, b"\r\n\r\n").decode("latin-1")
        self.heads.append(re.sub(r"(?i)\r\nconnection:[^\r]*|(?<=HTTP/)1\.[01]", "", head))
        stays = real.stays_open(head)
        lines = ["HTTP/1.1 302 Found", f"Location: http://{self.address}/two/there", "Content-Length: 2"]
        lines += [] if stays else ["Connection: close"]
        connection.sendall("\r\n".join([*lines, "", "ok"]).encode())
        return stays


def exchanged(
    program: str,
    folder: Path,
    text: str,
    server: real.Server,
    recorder: Recorder,
    *,
    until: Callable[[Path], None] = lambda listening: None,
) -> tuple[list[str], list[str]]:
    """Return the requests that the server saw and the answers that the client got, `until` it is ready."""
    recorder.address = server.address
    with real.running(program, folder, text) as listening:
        until(listening)
        recorder.heads.clear()
        connection = http.client.HTTPConnection("test.example")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(listening))
        answers = []
        for number in range(real.REQUESTS):
            connection.request("GET", f"/one/{number}?a=b", headers={"X-Number": str(number)})
            answer = connection.getresponse()
            fields = [(name, value) for name, value in answer.getheaders() if name != "Date"]
            answers.append(f"{answer.status} {fields} {answer.read()!r}")
        connection.close()
    return list(recorder.heads), answers
