"""The folder for the files of a lab's roles, and those that dead labs have left.

The first process of a lab removes it at the end (init.py), also where `bench` is killed. Where both are
killed at once, as a service manager or a batch system does with all that a job has started, it stays. So its
owner holds a lock (flock(2)) on it for life, and the next lab removes what none holds.
"""

import errno
import fcntl
import functools
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "bench-lab-"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that has none: there nothing is removed."""
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{16}}")


def new_path() -> Path:
    """Return the path of a folder that is not there yet."""
    # Not by tempfile.gettempdir(), which tries places out with files of its own: killed just then, one stays.
    return Path(os.environ.get("TMPDIR") or "/tmp", f"{_PREFIX}{secrets.token_hex(8)}")


class ScratchFolder:
    """The folder of one lab. States: not there yet, made, removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._is_being_made = threading.Lock()

    def make(self) -> Path:
        """Create the folder, unless it is there, and return it; OSError where the system refuses.

        The first one of a process removes what dead labs left beside it.
        """
        with self._is_being_made:
            while self._descriptor is None:
                self.path.mkdir(mode=0o700, exist_ok=True)
                try:
                    self._descriptor = _lock(self.path, fcntl.LOCK_SH)
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
                    break
                remove_stale(self.path.parent)
        return self.path

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@functools.cache
def remove_stale(parent: Path) -> None:
    """Remove the folders in `parent` that are ours and that no process holds."""
    with suppress(OSError), os.scandir(parent) as entries:
        found = [Path(each.path) for each in entries if _NAME.fullmatch(each.name)]
        for path in found:
            with _held_alone(path) as is_ours:
                if is_ours:
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _held_alone(path: Path) -> Iterator[bool]:
    """Hold the lock of a folder for a block where no other process does; yield whether it is held."""
    try:
        descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, gone meanwhile, or another user's
        yield False
        return
    try:
        yield descriptor is not None and os.fstat(descriptor).st_uid == os.getuid()
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(path: Path, operation: int) -> int | None:
    """Open the folder and lock it; None where it was removed before that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, operation)
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
