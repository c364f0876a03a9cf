"""Open and read what a user names, without waiting for what may never come and without reading on and on.

A path may name a pipe without a writer, a device without an end, a socket or a folder. OSError says so.
"""

import errno
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

PIPE_PATIENCE_S = 30.0
"""How long a pipe may be silent: what writes to it may ask another machine first."""
_CHUNK_BYTES = 1 << 16
_KINDS = {
    stat.S_IFIFO: "it is a named pipe (FIFO)",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading; OSError where it is anything else. Never waits."""
    return _open(path, (stat.S_IFREG,))


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """Return what a file or a pipe holds, such as that of `<(command)` in a shell.

    OSError where it is neither, holds more than `most_bytes`, or is a pipe that stays silent.
    """
    with _open(path, (stat.S_IFREG, stat.S_IFIFO)) as file:
        is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        raw = _read_pipe(file, most_bytes) if is_pipe else file.read(most_bytes + 1)
    if len(raw) > most_bytes:
        size = f"{most_bytes >> 20} MiB" if most_bytes >= 1 << 20 else f"{most_bytes:,} bytes"
        raise OSError(errno.EFBIG, f"it is larger than {size}")
    return raw


def _open(path: Path, wanted: tuple[int, ...]) -> BinaryIO:
    # To open a device may already do something to it, so it is looked at first; then once more, since
    # another file may have taken its place.
    _check(os.stat(path).st_mode, wanted)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor).st_mode, wanted)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb", buffering=-1 if wanted == (stat.S_IFREG,) else 0)


def _check(mode: int, wanted: tuple[int, ...]) -> None:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind not in wanted:
        raise OSError(errno.EINVAL, f"{_KINDS[kind]}, not a file")


def _read_pipe(file: BinaryIO, most_bytes: int) -> bytes:
    read = bytearray()
    ready = select.poll()
    ready.register(file, select.POLLIN)
    while len(read) <= most_bytes:
        if not ready.poll(PIPE_PATIENCE_S * 1000):
            raise OSError(
                errno.ETIMEDOUT, f"it is a pipe, and nothing came from it within {PIPE_PATIENCE_S:g} s"
            )
        chunk = os.read(file.fileno(), _CHUNK_BYTES)
        if not chunk:
            break
        read += chunk
    return bytes(read)
