"""Notice that a running nginx was reloaded, restarted, or had its files changed: a handful of look-ups.

A reload starts workers right behind reading the files; a new program (USR2) is a worker of the old one first.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.observe.process_tree import children

FileMark = tuple[int, int, int] | None
"""Inode, size and time of change of a file; None: this user may not see it, or it is not there."""


@dataclass(frozen=True, slots=True)
class NginxMarks:
    """What shows that an nginx is the one that was looked at, with the configuration that was read."""

    pid: int
    started: str | None
    """When its master started, as the kernel counts (proc(5)); None: it ended."""
    workers: frozenset[int]
    files: Mapping[str, FileMark]
    """By path on this host."""

    @property
    def have_changed(self) -> bool:
        """Return whether it ended, has processes that it had not, or files that are others."""
        now = take_marks(self.pid, self.files)
        return now.started != self.started or not now.workers <= self.workers or now.files != self.files


def take_marks(pid: int, files: Iterable[str]) -> NginxMarks:
    """Return the marks of a master; `files` are paths on this host."""
    return NginxMarks(pid, _started(pid), frozenset(children(pid)), {path: _mark(path) for path in files})


def _started(pid: int) -> str | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return None


def _mark(path: str) -> FileMark:
    with suppress(OSError):
        status = os.stat(path)
        return status.st_ino, status.st_size, status.st_ctime_ns
    return None
