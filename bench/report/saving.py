"""Save what was made, a page or a picture: whole or not at all, and never in place of a device or a pipe."""

import contextlib
import os
import stat
from pathlib import Path

from bench.errors import WriteError, write_error

_REMEDY = "choose another path with -o"


def save(path: Path, content: bytes, what: str = "cannot be written") -> None:
    """Write `content` to `path`; WriteError, which says `what`, where that cannot be done."""
    try:
        if path.is_dir():
            raise WriteError(path, None, "is a folder; name a file with -o")
        if path.exists() and not path.is_file():
            _write_into(path, content)
        else:
            _replace_whole(content, Path(os.path.realpath(path)))
    except OSError as error:
        raise write_error(path, error, _REMEDY, what) from error


def make_folder(folder: Path, what: str = "cannot be written") -> None:
    """Create a folder with those above it, unless it is there; WriteError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error, _REMEDY, what) from error


def _write_into(path: Path, content: bytes) -> None:
    """Write into a device, or a pipe that somebody reads; to wait until somebody does might take for ever."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.set_blocking(descriptor, True)
        file.write(content)


def _replace_whole(content: bytes, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
