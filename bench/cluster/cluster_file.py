"""The cluster file: where the scheduler is, with which certificate, and how to get into its namespaces.

`bench cluster up` holds a lock (flock(2)) on it for as long as its cluster runs, and removes it at the end.
"""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import LabError, PlanError, ResultsError, write_error
from bench.lab import syscalls
from bench.plan.cluster_plan import scheduler_problem

_KIND = "bench-cluster"
_START = "start one with `bench cluster up`"
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The namespaces of the coordinator: those of the process `pid`, by the inodes in /proc/PID/ns."""

    pid: int
    user: int
    net: int


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """What the file says. The paths are those of PEM files; None without TLS."""

    scheduler: str
    """Address of Dask's scheduler: tls://HOST:PORT or tcp://HOST:PORT."""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    namespaces: Namespaces | None = None
    """Where the scheduler can be reached, with --local; None: from this machine's own network."""


def default_path() -> Path:
    """Return where `bench cluster up` writes its file: the user's state folder (XDG Base Directory).

    PlanError where the user has none.
    """
    given = os.environ.get("XDG_STATE_HOME")
    try:
        root = Path(given) if given else Path.home() / ".local" / "state"
    except RuntimeError as error:  # a user of no line in passwd(5), as in a container
        raise PlanError(
            f"-o: the user {os.getuid()} has no home for the cluster file; name a file with -o FILE, or set"
            " HOME"
        ) from error
    return root / "keepalive-bench" / "cluster" / "cluster.json"


def read(path: Path) -> ClusterFile:
    """Return what the file says; ResultsError where it cannot be read, or is none."""
    try:
        with path.open("rb") as opened:
            text = opened.read(_MOST_BYTES)
            is_held = bool(text) or not _is_free(opened.fileno())
    except FileNotFoundError as error:
        raise ResultsError(path, None, f"there is no cluster file; {_START}") from error
    except OSError as error:
        raise _unreadable(path, error, "name a file that `bench cluster up` wrote") from error
    if not is_held:
        raise ResultsError(
            path, None, f"is empty, and no `bench cluster up` runs that will fill it; {_START}"
        )
    if not text:
        raise ResultsError(
            path, None, "its cluster is not ready; wait until `bench cluster up` prints its path"
        )
    try:
        file = _parse(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResultsError(
            path, None, "is no cluster file; name one that `bench cluster up` of this version wrote"
        ) from error
    try:
        has_ended = file.key is not None and not file.key.exists()
    except OSError as error:
        raise _unreadable(path, error, _START, f"its key {file.key}") from error
    if has_ended:
        raise ResultsError(path, None, f"its cluster has ended; {_START}")
    return file


def _is_free(descriptor: int) -> bool:
    """Return whether no process holds the lock of a cluster file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unreadable(path: Path, error: OSError, remedy: str, what: str = "") -> ResultsError:
    """Return the error of a file that is there and cannot be read; who reads it may run code (0600)."""
    if isinstance(error, PermissionError):
        remedy = "run as the user who started its cluster"
    return ResultsError(path, None, f"{what} cannot be read: {error.strerror}; {remedy}".lstrip())


def _parse(found: dict[str, Any]) -> ClusterFile:
    if found.pop("kind") != _KIND:
        raise ValueError("of another kind")
    paths = {
        name: Path(found[name]) if found[name] is not None else None for name in ("ca", "certificate", "key")
    }
    namespaces = None if found["namespaces"] is None else Namespaces(**found["namespaces"])
    file = ClusterFile(**{**found, **paths, "namespaces": namespaces})
    if "://" not in file.scheduler or scheduler_problem(file.scheduler):
        raise ValueError("no address of a scheduler")
    given = {path is not None for path in paths.values()}
    if len(given) > 1 or (file.scheduler.startswith("tls:") and given != {True}):
        raise ValueError("not all of the certificates")
    return file


class Claim:
    """A cluster file that is ours while its cluster runs. States: claimed, written, ended."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, file: ClusterFile) -> None:
        """Write what the file says, in one piece; WriteError where the system refuses."""
        values = {"kind": _KIND, **asdict(file)}
        text = json.dumps(values, indent=1, default=str) + "\n"
        try:
            os.pwrite(self._descriptor, text.encode(), 0)
        except OSError as error:
            raise write_error(self.path, error, "name another file with -o FILE") from error


@contextmanager
def claim(path: Path) -> Iterator[Claim]:
    """Create the file, empty, of mode 0600, and remove it at the end of the block.

    Folders that are missing are made, of mode 0700. What a cluster that has ended left behind is written
    over. ResultsError where its cluster still runs, or where the file is something else.
    """
    descriptor = _open_and_lock(path)
    try:
        os.fchmod(descriptor, 0o600)
        os.truncate(descriptor, 0)
        try:
            yield Claim(path, descriptor)
        finally:
            if _is_at(path, descriptor):
                path.unlink()
    finally:
        os.close(descriptor)


def _open_and_lock(path: Path) -> int:
    while True:
        descriptor = _open(path)
        try:
            _lock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever held it may have removed it since we opened it.
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether `path` is still the file behind `descriptor`."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    try:
        _make_folders(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise write_error(path, error, "name another file with -o FILE") from error


def _make_folders(folder: Path) -> None:
    """Make `folder` and what is missing above it, each of mode 0700."""
    if not folder.exists():
        _make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _lock(path: Path, descriptor: int) -> None:
    """Lock the file; ResultsError where another holds it, or where it is not ours to write over."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise write_error(path, error, "name another file with -o FILE", "cannot be locked") from error
        reason = (
            "its cluster still runs; end that `bench cluster up` with Ctrl-C, or name another file with -o"
        )
        raise ResultsError(path, None, reason) from error
    found = os.fstat(descriptor)
    head = os.pread(descriptor, 64, 0) if stat.S_ISREG(found.st_mode) else b"?"
    if head and _KIND.encode() not in head:
        raise ResultsError(path, None, "exists and is no cluster file; name another with -o FILE")


def namespaces_of(pid: int) -> Namespaces:
    """Return the namespaces of a process; OSError where there is none, or it belongs to another user."""
    user, net = (os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in ("user", "net"))
    return Namespaces(pid, user, net)


def enter(file: ClusterFile) -> None:
    """Move this process to where it can reach the scheduler, into the namespaces of a `--local` cluster.

    Call it while the process has one thread (setns(2)): before numpy and Dask are imported. The user stays
    what it is. LabError where the cluster has ended or belongs to another user.
    """
    if file.namespaces is None:
        return
    if (threads := syscalls.count_threads()) > 1:
        raise LabError(
            f"cluster: {threads} threads run already, and only a process of one thread can enter the"
            " namespaces of a cluster; call bench.cluster.cluster_file.enter() before numpy and the like"
        )
    pid = file.namespaces.pid
    try:
        if namespaces_of(pid) != file.namespaces:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        # Who has the rights already keeps his user namespace: in that of another his own files are nobody's.
        if not syscalls.may_make_namespaces():
            _join(f"/proc/{pid}/ns/user", syscalls.CLONE_NEWUSER)
        _join(f"/proc/{pid}/ns/net", syscalls.CLONE_NEWNET)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise LabError(f"cluster: {file.scheduler}: its cluster has ended; {_START}") from error
    except OSError as error:
        raise LabError(
            f"cluster: {file.scheduler}: cannot enter its namespaces (process {pid}): {error.strerror}; run"
            " as the user who started it"
        ) from error


def _join(path: str, flag: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(descriptor, flag)
    finally:
        os.close(descriptor)
