"""Read files as a process sees them: below its root, with its symbolic links, and only what it may read.

A link in a container that names /etc/x means the container's. Through /proc/PID/root the kernel would follow
it to this host's, so that each link is read and followed here, step by step. A process of an ordinary user
may call itself what it likes: root reads no file for it that it may not read itself.
Sources: path_resolution(7), proc(5), open(2) about O_PATH.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

_MOST_LINKS = 40
"""As many as the kernel follows in one path (MAXSYMLINKS in include/linux/namei.h)."""
_MOST_MATCHES = 2000
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class FileReader:
    """Whose rights decide: a user with his groups. Root may read everything."""

    uid: int
    gids: frozenset[int]

    @classmethod
    def of_process(cls, pid: int) -> "FileReader":
        """Return the user and the groups of a process; OSError where it is gone."""
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
        fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        uids, gids = fields["Uid"], fields["Gid"]  # real, effective, saved, of the file system
        return cls(int(uids[3]), frozenset({int(gids[3]), *map(int, fields["Groups"])}))

    def may(self, right: int, status: os.stat_result) -> bool:
        """Return whether the mode of a file grants a right: 4 to read it, 1 to search it."""
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.gids else 0
        return bool(status.st_mode >> shift & right)


class RootedFiles:
    """The files below a root, such as /proc/PID/root; all paths are absolute there."""

    def __init__(self, root: Path, reader: FileReader) -> None:
        """Open the root; OSError where that is not allowed."""
        self._reader = reader
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the root."""
        os.close(self._root)

    def read(self, path: str, most_bytes: int) -> tuple[bytes, os.stat_result]:
        """Return what a regular file holds, and its status.

        OSError where it is none, is larger than `most_bytes`, or may not be read.
        """
        found = self._find(path)
        try:
            status = os.fstat(found)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", path)
            self._check(4, status, path)
            with open(f"/proc/self/fd/{found}", "rb") as file:
                content = file.read(most_bytes + 1)
        finally:
            os.close(found)
        if len(content) > most_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {most_bytes >> 20} MiB", path)
        return content, status

    def exists(self, path: str) -> bool:
        """Return whether there is a file, or a folder, as far as that may be seen."""
        try:
            os.close(self._find(path))
        except OSError:
            return False
        return True

    def matches(self, pattern: str) -> list[str]:
        """Return the paths that a pattern of glob(3) matches, in its order.

        OSError where a folder may not be read; one that is missing has no matches.
        """
        found = [""]
        for part in filter(None, pattern.split("/")):
            if _WILD.isdisjoint(part):
                found = [f"{folder}/{part}" for folder in found]
            else:
                found = [f"{folder}/{name}" for folder in found for name in self._names(folder or "/", part)]
            if len(found) > _MOST_MATCHES:
                raise OSError(errno.E2BIG, f"more than {_MOST_MATCHES} files match", pattern)
        return [path for path in found if self.exists(path)]

    def _names(self, folder: str, pattern: str) -> Iterator[str]:
        try:
            opened = self._find(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            status = os.fstat(opened)
            if not stat.S_ISDIR(status.st_mode):
                return
            self._check(4, status, folder)
            names = sorted(os.listdir(f"/proc/self/fd/{opened}"))
        finally:
            os.close(opened)
        for name in names:
            if fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith(".")):
                yield name

    def _find(self, path: str) -> int:
        """Return a descriptor (O_PATH) of what a path leads to; links are followed below the root."""
        folders = [os.dup(self._root)]
        try:
            pending, links = deque(path.split("/")), 0
            while pending:
                name = pending.popleft()
                if name == "..":
                    if len(folders) > 1:
                        os.close(folders.pop())
                    continue
                if name in {"", "."}:
                    continue
                self._check(1, os.fstat(folders[-1]), path)
                folders.append(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folders[-1]))
                if not stat.S_ISLNK(os.fstat(folders[-1]).st_mode):
                    continue
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                link = folders.pop()
                try:
                    target = os.readlink("", dir_fd=link)
                finally:
                    os.close(link)
                pending.extendleft(reversed(target.split("/")))
                while target.startswith("/") and len(folders) > 1:
                    os.close(folders.pop())
            return folders.pop()
        finally:
            for folder in folders:
                os.close(folder)

    def _check(self, right: int, status: os.stat_result, path: str) -> None:
        if not self._reader.may(right, status):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
