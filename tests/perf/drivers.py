"""Who sends the requests of a shape: wrk with a script of its own, for as long as a turn takes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import RoleError
from bench.load import tools
from tests.perf import programs
from tests.perf.loaders import on
from tests.perf.messages import Pieces
from tests.perf.shapes import Shape

_LONGEST_S = 60
_STOP_S = 20.0
_SCRIPT = """
-- wrk as the client of one shape: it sends these requests in turn, as they are.
local requests = {{
{requests}
}}
local count, last = #requests, 0
function request()
   last = last % count + 1
   return requests[last]
end
"""


@dataclass(slots=True)
class Driven:
    """What a driver says of the turn that it drove."""

    errors: int = 0


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk, which sends whole requests only, and waits for no body after a HEAD."""

    script: Path
    cores: set[int] = field(default_factory=set)

    @contextmanager
    def drive(self, address: str, connections: int) -> Iterator[Driven]:
        """Keep `connections` busy for as long as the block takes."""
        path = programs.find("wrk")
        assert path is not None
        flags = ["-t1", f"-c{connections}", f"-d{_LONGEST_S}s", "--timeout", "20s"]
        argv = [path, *flags, "-s", str(self.script), f"http://{address}/"]
        driven = Driven()
        with on(self.cores):
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with process:
            try:
                yield driven
                if process.poll() is not None:
                    raise RoleError("wrk", "ended too early", str(process.communicate()[0]).strip())
                process.send_signal(signal.SIGINT)
                said, _ = process.communicate(timeout=_STOP_S)
                driven.errors = tools.parse_report("wrk", said).errors
            finally:
                process.kill()


def write_script(shape: Shape, folder: Path) -> Path:
    """Write wrk's script for a shape, and return where."""
    path = folder / f"{shape.name}.lua"
    if not path.exists():
        text = ",\n".join(_quoted(pieces) for pieces in shape.requests())
        path.write_text(_SCRIPT.format(requests=text), encoding="ascii")
    return path


def _quoted(pieces: Pieces) -> str:
    """Return a request as Lua writes a string; whatever is not plain in decimal escapes."""
    data = b"".join(pieces)
    return '"' + "".join(chr(byte) if _is_plain(byte) else f"\\{byte:03}" for byte in data) + '"'


def _is_plain(byte: int) -> bool:
    return 32 <= byte < 127 and byte not in b'"\\'
