"""The root that a process sees files from: this host's, that of a container, or of chroot(2)."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.observe.rooted_files import FileReader, RootedFiles

_OWN = Path("/")


@dataclass(frozen=True, slots=True)
class ProcessRoot:
    """A root, opened; closed with `files`."""

    path: Path
    """Where it lies on this host; that of this process, where it is the same folder."""
    files: RootedFiles
    reader: FileReader
    """Whose rights the process has."""
    cwd: str | None
    """The folder that the process is in, as it sees it; None where that may not be seen."""
    link: Path
    """The link of /proc to it, which leads through its mounts."""

    @property
    def is_own(self) -> bool:
        """Whether it is the root of this process too."""
        return self.path == _OWN

    def is_same_file(self, path: str) -> bool:
        """Return whether a path leads to the same file from here: other mounts may hide it."""
        try:
            return self.is_own and os.path.samefile(path, f"{self.link}{path}")
        except OSError:
            return self.is_own

    def on_host(self, path: str) -> str:
        """Return where a path of the process lies on this host."""
        return path if self.is_same_file(path) else f"{self.link}{path}"


def open_root(pid: int) -> ProcessRoot | None:
    """Return the root of a process; None where this user may not look into it, and it may not be ours.

    Raises:
        FileNotFoundError, ProcessLookupError: the process has ended.
    """
    reader = FileReader.of_process(pid)
    there = Path(f"/proc/{pid}/root")
    try:
        is_own = os.path.samestat(os.stat(there), os.stat(_OWN))
        files = RootedFiles(there, reader)
    except PermissionError:
        if not _mounts_own_root(pid):
            return None
        return ProcessRoot(_OWN, RootedFiles(_OWN, reader), reader, None, there)
    path = _OWN if is_own else there
    return ProcessRoot(path, files, reader, _cwd(pid, os.readlink(there)), there)


def _cwd(pid: int, root: str) -> str:
    """Return the folder that a process is in, below its root; links of /proc show both from our root."""
    cwd = os.readlink(f"/proc/{pid}/cwd")
    if cwd == root or not PurePosixPath(cwd).is_relative_to(root):
        return "/" if cwd == root else cwd
    return f"/{PurePosixPath(cwd).relative_to(root)}"


def _mounts_own_root(pid: int) -> bool:
    """Return whether a process has the same file system at its root; everybody may read that (proc(5)).

    After chroot(2) nothing is mounted at its root, unless that is a mount point.
    """
    own, other = _root_mount("self"), _root_mount(str(pid))
    return own is not None and own == other


def _root_mount(pid: str) -> tuple[str, str] | None:
    """Return the device of the mount at / and its folder there; the last one covers the others."""
    found = None
    for line in Path(f"/proc/{pid}/mountinfo").read_text("utf-8", "replace").splitlines():
        _, _, device, folder, point, *_ = line.split(" ")
        if point == "/":
            found = device, folder
    return found
