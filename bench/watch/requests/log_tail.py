"""Read what is appended to a log, from its end on, also when it is rotated or truncated."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bench.watch.requests.source import SourceError, reason_of
from nginx.files import open_file

MOST_BYTES = 8 << 20
"""Read at once: some 40,000 lines, which Python counts within a tenth of a second."""
LONGEST_LINE_BYTES = 1 << 16
"""nginx writes no longer ones unless its buffers for headers were enlarged."""
_MOST_FILES = 4
"""Followed at once, where a log is rotated more often than it is read."""
_SILENT_READS = 2
"""After so many reads without a line a file that was renamed is closed: all workers write the new one."""


class LogTail:
    """One log. While it is rotated two files are open: the old one is read until nothing comes any more."""

    def __init__(self, path: Path) -> None:
        """Open the log and go to its end; SourceError where it cannot be read."""
        self._path = path
        try:
            self._files = [_FollowedFile(open_file(path), from_end=True)]
        except OSError as error:
            remedy = "name the file of an access_log"
            if isinstance(error, PermissionError):
                remedy = "run as root, or as a member of the group that may read it"
            raise SourceError(reason_of(error), remedy) from error

    def read(self) -> tuple[bytes, tuple[str, ...]]:
        """Return the whole lines since the last read, and what is missing of them, a sentence each."""
        notes = list(self._follow())
        text = b""
        for file in list(self._files):
            text += file.read(MOST_BYTES - len(text), notes)
        while len(self._files) > 1 and self._is_done(self._files[0]):
            self._files.pop(0).close()
        return text, tuple(f"{self._path} {note}" for note in notes)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _is_done(self, file: "_FollowedFile") -> bool:
        is_replaced = file.silent_reads >= _SILENT_READS and self._files[-1].size() > 0
        return is_replaced or len(self._files) > _MOST_FILES

    def _follow(self) -> Iterator[str]:
        """Open the file that has taken the place of the last one, if there is one."""
        try:
            if not self._files[-1].is_same(os.stat(self._path)):
                self._files.append(_FollowedFile(open_file(self._path)))
        except FileNotFoundError:
            return  # renamed, and nginx has not opened the new one yet
        except OSError as error:
            yield f"has a new file, which {reason_of(error)}"


class _FollowedFile:
    """One file, and how far it has been read; a line without its end waits for it."""

    def __init__(self, file: BinaryIO, *, from_end: bool = False) -> None:
        self._file = file
        self._half = b""
        self._at = self.size() if from_end else 0
        # What is left of a line that is being written is no whole line.
        self._is_within_line = self._at > 0 and os.pread(file.fileno(), 1, self._at - 1) != b"\n"
        self.silent_reads = 0

    def size(self) -> int:
        """Return the size in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def is_same(self, other: os.stat_result) -> bool:
        """Return whether a path still leads to this file."""
        return os.path.samestat(os.fstat(self._file.fileno()), other)

    def read(self, most_bytes: int, notes: list[str]) -> bytes:
        """Return the whole lines up to its end, and add to the notes what is missing of them."""
        size = self.size()
        if size < self._at:
            notes.append("was truncated: what was written between the last look and then is missing")
            self._move_to(0, is_within_line=False)
        if size - self._at > most_bytes:
            skipped = size - self._at - most_bytes
            notes.append(f"grows faster than it is read: {skipped:,} bytes of it are missing")
            self._move_to(size - most_bytes, is_within_line=True)
        new = os.pread(self._file.fileno(), size - self._at, self._at)
        self._at += len(new)
        self.silent_reads = 0 if new else self.silent_reads + 1
        if self._is_within_line:
            _, newline, new = new.partition(b"\n")
            self._is_within_line = not newline
        whole, newline, self._half = (self._half + new).rpartition(b"\n")
        if len(self._half) > LONGEST_LINE_BYTES:
            notes.append(f"has a line of more than {LONGEST_LINE_BYTES >> 10} KiB, which is left out")
            self._half, self._is_within_line = b"", True
        return whole + newline

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _move_to(self, position: int, *, is_within_line: bool) -> None:
        self._at, self._half, self._is_within_line = position, b"", is_within_line
