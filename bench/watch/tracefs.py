"""An own instance of the kernel's tracing: its events go to its own buffers, and it leaves nothing behind.

Where tracefs is not mounted, a detached mount is used, which nobody else sees. The name of an instance has
the pid and the start time of its process. It goes when it is closed, or when the interpreter ends. What a
killed process leaves has stopped recording and has no buffers any more (`free_buffer`), and the next start
removes it. Sources: Documentation/trace/ftrace.rst; kernel/trace/trace.c.
"""

import atexit
import errno
import itertools
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.watch import detached_mount, event_format
from bench.watch.event_format import EventFormat
from bench.watch.ring_buffer import PageFormat

_PREFIX = "bench-watch-"
_NAME = re.compile(rf"{_PREFIX}(\d+)-(\d+)-\d+")
_serial = itertools.count()
_BUFFERS_KIB = 32 << 10
"""For the buffers of all CPUs: they count against the memory of the watch."""
_LEAST_KIB, _MOST_KIB = 256, 4 << 10
"""For one CPU: at the most, over a second of 40,000 events/s which all come to it."""
_PAGES_AT_ONCE = 512
"""What one read takes: enough that the steps of the decoder pay, and 2 MiB."""


class TracingError(Exception):
    """This kernel does not let this process trace; `str()` says why, and what would change it."""


class Tracefs:
    """The file system that the kernel's tracing is driven by."""

    def __init__(self, mounts: Path = Path("/proc/self/mounts")) -> None:
        """Find it among `mounts`, or mount it detached; TracingError where neither goes."""
        self._descriptor: int | None = None
        found = next(filter(_is_usable, _mounted(mounts)), None)
        self.root = self._detached() if found is None else found

    def close(self) -> None:
        """Close the detached mount, which is its end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def format(self, event: str) -> EventFormat:
        """Return the format of `SYSTEM/EVENT`; TracingError where this kernel has no such event."""
        try:
            return event_format.parse(self._text(f"events/{event}/format"))
        except FileNotFoundError:
            name = event.replace("/", ":")
            raise TracingError(f"this kernel has no event {name}; Linux 4.16 or newer has it") from None
        except OSError as error:
            raise refusal(error) from error

    def page_format(self) -> PageFormat:
        """Return how this kernel lays out the pages of its buffers."""
        try:
            return PageFormat.of(event_format.parse(self._text("events/header_page")))
        except OSError as error:
            raise refusal(error) from error

    def _text(self, name: str) -> str:
        return (self.root / name).read_text(encoding="ascii", errors="replace")

    def _detached(self) -> Path:
        try:
            self._descriptor = detached_mount.open_detached("tracefs")
        except OSError as error:
            raise refusal(error) from error
        return detached_mount.path_of(self._descriptor)


class TraceInstance:
    """One instance with a buffer for each CPU. Not for several threads at once."""

    def __init__(self, tracefs: Tracefs, page_bytes: int) -> None:
        """Make the instance, and remove what dead processes left; TracingError where the kernel refuses.

        Nothing is recorded before an event is turned on.
        """
        remove_stale(tracefs.root)
        self.path = tracefs.root / "instances" / _own_name()
        self._held: list[int] = []
        self._streams: list[int] = []
        self._pages = np.empty((_PAGES_AT_ONCE, page_bytes), np.uint8)
        try:
            self.path.mkdir()
        except OSError as error:
            raise refusal(error) from error
        atexit.register(self.close)
        try:
            self._set_up()
        except OSError as error:
            self.close()
            raise refusal(error) from error

    def enable(self, event: str, condition: str) -> None:
        """Turn an event on, for what fits a filter of the kernel's language; TracingError where it cannot."""
        try:
            self._write(f"events/{event}/filter", condition)
            self._write(f"events/{event}/enable", "1")
        except FileNotFoundError:
            raise TracingError(f"this kernel has no event {event.replace('/', ':')}") from None
        except OSError as error:
            raise refusal(error) from error

    def disable_all(self) -> None:
        """Turn all events off, and drop what is in the buffers: it costs the host nothing any more."""
        self._write("events/enable", "0")
        self._write("trace", "")

    def read(self) -> NDArray[np.uint8]:
        """Return the pages that are there, of shape (pages, bytes), as a view until the next call.

        A full array says that there may be more.
        """
        count = 0
        for stream in self._streams:
            while count < len(self._pages):
                try:
                    size = os.readv(stream, [self._pages[count]])
                except BlockingIOError:
                    break
                if not size:
                    break
                self._pages[count, size:] = 0
                count += 1
        # Another CPU comes first the next time, so that a busy one does not starve the rest.
        self._streams.append(self._streams.pop(0))
        return self._pages[:count]

    @property
    def room(self) -> int:
        """Return how many pages one read may take."""
        return len(self._pages)

    def close(self) -> None:
        """Turn the events off and remove the instance."""
        atexit.unregister(self.close)
        for descriptor in self._streams + self._held:
            os.close(descriptor)
        self._streams, self._held = [], []
        if self.path.exists():
            self._write("events/enable", "0")
            self.path.rmdir()

    def _set_up(self) -> None:
        cpus = sorted(self.path.glob("per_cpu/cpu[0-9]*"))
        self._write("trace_clock", "mono")
        size_kib = max(_LEAST_KIB, min(_MOST_KIB, _BUFFERS_KIB // len(cpus)))
        self._write("buffer_size_kb", str(size_kib))
        # A killed process closes it too: recording stops, and the buffers are given back.
        self._write("trace_options", "disable_on_free")
        # Names of processes are not asked for: the kernel would note one at each change of process.
        self._write("trace_options", "norecord-cmd")
        self._held.append(os.open(self.path / "free_buffer", os.O_WRONLY | os.O_CLOEXEC))
        for cpu in cpus:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            self._streams.append(os.open(cpu / "trace_pipe_raw", flags))

    def _write(self, name: str, text: str) -> None:
        # Truncated: that empties `trace`. Not created: the kernel would call a missing file forbidden.
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)


def remove_stale(root: Path) -> list[str]:
    """Remove the instances of watches that are no more; return their names.

    One that cannot be removed is in use after all: by a process that another PID namespace hides from us.
    """
    removed = []
    for path in sorted((root / "instances").glob(f"{_PREFIX}*")):
        match = _NAME.fullmatch(path.name)
        if match is None or start_time(int(match[1])) == int(match[2]):
            continue
        try:
            path.rmdir()
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOENT):
                raise refusal(error) from error
        else:
            removed.append(path.name)
    return removed


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the boot (proc(5)); None: there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may hold anything.
    return int(text.rpartition(")")[2].split()[19])


def refusal(error: OSError) -> TracingError:
    """Return in words why the kernel refuses."""
    if error.errno in (errno.EACCES, errno.EPERM):
        if os.geteuid():
            return TracingError("the kernel's tracing is for root only")
        return TracingError("the kernel refuses tracing also to root (lockdown, or a container)")
    if error.errno == errno.EROFS:
        return TracingError("tracefs is mounted read-only, as in a container; watch from its host")
    if error.errno in (errno.ENODEV, errno.ENOSYS, errno.ENOENT):
        return TracingError("this kernel has no tracefs, or one that is too old")
    return TracingError(f"tracefs: {error.strerror or error}")


def _own_name() -> str:
    pid = os.getpid()
    return f"{_PREFIX}{pid}-{start_time(pid)}-{next(_serial)}"


def _mounted(mounts: Path) -> list[Path]:
    """Return where tracefs is mounted; none where that cannot be read."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = [line.split(" ") for line in lines]
    return [Path(row[1]) for row in rows if len(row) > 2 and row[2] == "tracefs"]


def _is_usable(root: Path) -> bool:
    return os.access(root / "instances", os.W_OK | os.X_OK)
