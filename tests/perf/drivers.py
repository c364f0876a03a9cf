"""Who sends the requests of a shape for as long as a turn takes: wrk, or our own client where it cannot."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import RoleError
from bench.load import tools
from tests.perf import programs
from tests.perf.loaders import on
from tests.perf.messages import Pieces
from tests.perf.shapes import Shape
from tests.perf.stage import PYTHON

_LONGEST_S = 60
_STOP_S = 20.0
_AGAIN_S = 0.5
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
    """What a driver says, once it has ended, of what it drove."""

    answered: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Driver:
    """The clients of one shape, on `cores`; they keep their scripts in `folder`."""

    shape: Shape
    cores: set[int] = field(repr=False)
    folder: Path

    @property
    def is_wrk(self) -> bool:
        """Return whether wrk can do it: it sends whole requests only, and waits for a body after a HEAD."""
        return len(self.shape.request) == 1 and not self.shape.is_head

    @property
    def missing(self) -> str:
        """Return the program that it needs and that is not here, or nothing."""
        return "wrk" if self.is_wrk and programs.find("wrk") is None else ""

    @contextmanager
    def drive(self, address: str, connections: int) -> Iterator[Driven]:
        """Keep `connections` busy for as long as the block takes."""
        driven = Driven()
        with on(self.cores):
            process = subprocess.Popen(
                self._argv(address, connections),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        with process:
            try:
                yield driven
                if process.poll() is not None:
                    raise RoleError("the driver", "ended too early", process.communicate()[0].strip())
                self._note(self._end(process), driven)
            finally:
                process.kill()

    def _end(self, process: subprocess.Popen[str]) -> str:
        """Have it end, and return what it said."""
        if self.is_wrk:
            while not _catches_interrupts(process.pid):
                time.sleep(0.01)
            # It does not end by a signal that comes between the start of its thread and its sleep.
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    return process.communicate(timeout=_AGAIN_S)[0]
        return process.communicate(timeout=_STOP_S)[0]

    def _argv(self, address: str, connections: int) -> Sequence[str]:
        if not self.is_wrk:
            return [PYTHON, "-m", "tests.perf.raw_client", address, self.shape.name, str(connections)]
        flags = ["-t1", f"-c{connections}", f"-d{_LONGEST_S}s", "--timeout", "20s"]
        return [programs.find("wrk") or "wrk", *flags, "-s", str(self._script()), f"http://{address}/"]

    def _script(self) -> Path:
        path = self.folder / f"{self.shape.name}.lua"
        if not path.exists():
            text = ",\n".join(_quoted(pieces) for pieces in self.shape.requests())
            path.write_text(_SCRIPT.format(requests=text), encoding="ascii")
        return path

    def _note(self, said: str, driven: Driven) -> None:
        if self.is_wrk:
            report = tools.parse_report("wrk", said)
            driven.answered, driven.errors = report.requests, report.errors
        else:
            counts = json.loads(said)
            driven.answered, driven.errors = counts["answered"], counts["errors"]


def _catches_interrupts(pid: int) -> bool:
    """Return whether a process, or what is left of it, would not be ended by SIGINT (proc(5), SigCgt)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", text, flags=re.MULTILINE)
    ended = re.search(r"^State:\s*Z", text, flags=re.MULTILINE)
    return ended is not None or (caught is not None and int(caught[1], 16) >> (signal.SIGINT - 1) & 1 == 1)


def _quoted(pieces: Pieces) -> str:
    """Return a request as Lua writes a string; whatever is not plain in decimal escapes."""
    data = b"".join(pieces)
    return '"' + "".join(chr(byte) if _is_plain(byte) else f"\\{byte:03}" for byte in data) + '"'


def _is_plain(byte: int) -> bool:
    return 32 <= byte < 127 and byte not in b'"\\'
