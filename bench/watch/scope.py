"""What of this host a watch looks at: a network namespace, and all its processes or some of them.

Sockets and files of /proc belong to the namespace of the thread that opens them (setns(2), proc(5)), so that
a thread of its own lives in the namespace of the scope.
"""

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from bench.errors import LabError, PlanError
from bench.lab import syscalls
from bench.watch.containers import family_of_container
from bench.watch.processes import Family, family_of_name, family_of_pid

P = ParamSpec("P")
R = TypeVar("R")

_NAMED = Path("/run/netns")
"""Where iproute2 keeps namespaces that have a name (ip-netns(8))."""
_OWN = Path("/proc/thread-self/ns/net")
_OWNERS_AT_MOST = 20_000
"""Processes that are asked for their namespace, to learn whether a scope has one for itself."""


class Scope:
    """A network namespace, and those of its processes that are asked for. States: open, closed.

    `thread` lives in the namespace; None: so does this process.
    """

    def __init__(
        self,
        name: str,
        netns_inode: int | None,
        *,
        thread: ThreadPoolExecutor | None = None,
        path: Path | None = None,
        family: Family | None = None,
        elsewhere: int = 0,
    ) -> None:
        self.name = name
        """In words, as in "network namespace blue"."""
        self.netns_inode = netns_inode
        """The kernel's number of the namespace (namespaces(7)); None where this system has none."""
        self._thread = thread
        self._path = path
        self._family = family
        self._elsewhere = elsewhere

    @property
    def pids(self) -> frozenset[int] | None:
        """Return the processes as of the last refresh; None: all of the namespace."""
        return None if self._family is None else self._family.pids

    def refresh(self) -> tuple[str, ...]:
        """Look for processes that began or ended; return what is less than it was, a sentence each."""
        notes: list[str] = []
        if self._family is not None:
            notes += self._family.refresh()
        if self._elsewhere:
            notes.append(
                f"{self.name}: {self._elsewhere} of them live in other network namespaces, which are not"
                " watched: name one by --pid"
            )
        if self._path is not None and _inode(self._path) != self.netns_inode:
            notes.append(f"{self.name} was removed: what is left in it is still watched")
        return tuple(notes)

    def is_alone(self) -> bool:
        """Return whether all processes of the namespace belong to the scope, as far as this user sees."""
        family = self._family
        if family is None:
            return True
        others = [
            int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in family.pids
        ]
        if len(others) > _OWNERS_AT_MOST:
            return False
        for pid in others:
            with suppress(FileNotFoundError, ProcessLookupError):
                try:
                    is_here = os.stat(f"/proc/{pid}/ns/net").st_ino == self.netns_inode
                    if is_here and not family.has(pid):
                        return False
                except PermissionError:
                    return False
        return True

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` in the namespace and return its result."""
        if self._thread is None:
            return function(*args, **kwargs)
        return self._thread.submit(function, *args, **kwargs).result()

    def close(self) -> None:
        """Leave the namespace."""
        if self._thread is not None:
            self._thread.shutdown()

    def __enter__(self) -> "Scope":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_scope(
    *,
    netns: str | None = None,
    pid: int | None = None,
    process: str | None = None,
    container: str | None = None,
) -> Scope:
    """Open what one of the flags names; without any it is this host, as this process sees it.

    PlanError where there is no such thing, LabError where this user may not look into it.
    """
    flags = {"--netns": netns, "--pid": pid, "--process": process, "--container": container}
    given = [flag for flag, value in flags.items() if value is not None]
    if len(given) > 1:
        raise PlanError(f"{' and '.join(given)}: a watch looks at one thing; give one of them")
    if given and not str(flags[given[0]]).strip():
        raise PlanError(
            f"{given[0]} {flags[given[0]]!r}: it is empty; name what is to be watched, or leave it out"
        )
    if netns is not None:
        return _open_namespace(netns)
    if pid is not None:
        return _open_family(f"--pid {pid}", family_of_pid(pid))
    if process is not None:
        return _open_family(f"--process {process}", family_of_name(process))
    if container is not None:
        return _open_family(f"--container {container}", family_of_container(container))
    return Scope("this host", _inode(_OWN))


def open_processes(what: str, pids: Collection[int]) -> Scope:
    """Open processes, called `what`, and all below them; PlanError where they have ended."""
    return _open_family(what, Family(what, pids))


@contextmanager
def inside_namespace(name: str | None) -> Iterator[None]:
    """Let this thread, and those that it starts, live in the network namespace that `--netns` names.

    The thread is where it was before once the block ends; None: it stays. PlanError where there is no such
    namespace, LabError where this user may not enter it.
    """
    if name is None:
        yield
        return
    path, inode = _find_namespace(name)
    if inode == _inode(_OWN):
        yield
        return
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _refusals(f"--netns {name}", path):
            _set_namespace(path)
        try:
            yield
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)


def _open_namespace(name: str) -> Scope:
    path, inode = _find_namespace(name)
    flag, what = f"--netns {name}", f"network namespace {name}"
    return Scope(what, inode, thread=_enter(path, inode, flag), path=path)


def _find_namespace(name: str) -> tuple[Path, int]:
    """Return the file of a namespace and its number; PlanError where there is none."""
    if not name.strip():
        raise PlanError(f"--netns {name!r}: it is empty; name a network namespace, or leave it out")
    path = Path(name) if "/" in name else _NAMED / name
    try:
        return path, os.stat(path).st_ino
    except PermissionError as error:
        raise LabError(f"--netns {name}: this user may not look at it; use sudo") from error
    except OSError as error:
        remedy = "`lsns -t net` lists paths" if "/" in name else "`ip netns` lists names"
        raise PlanError(f"--netns {name}: there is no such network namespace; {remedy}") from error


def _open_family(flag: str, family: Family) -> Scope:
    """Open the namespace in which processes live: this one, or that of the first of them."""
    places: dict[int, int] = {}
    is_hidden = False
    for pid in sorted(family.pids):
        try:
            places[pid] = os.stat(f"/proc/{pid}/ns/net").st_ino
        except PermissionError:  # another user's
            is_hidden = True
        except OSError:  # it has just ended
            continue
    own = _inode(_OWN)
    if own in places.values() or (is_hidden and not places):
        # Where a process lives whose namespace is not shown is mostly here.
        return Scope(family.what, own, family=family, elsewhere=sum(each != own for each in places.values()))
    if not places:
        raise PlanError(f"{flag}: its process ended, or is not to be seen from here; see `ps -e`")
    pid, inode = next(iter(places.items()))
    thread = _enter(Path(f"/proc/{pid}/ns/net"), inode, flag)
    elsewhere = sum(each != inode for each in places.values())
    return Scope(family.what, inode, thread=thread, family=family, elsewhere=elsewhere)


def _enter(path: Path, inode: int, flag: str) -> ThreadPoolExecutor | None:
    """Return a thread that lives in the namespace behind `path`; None where this process does."""
    if inode == _inode(_OWN):
        return None
    thread = ThreadPoolExecutor(1, thread_name_prefix="scope")
    try:
        with _refusals(flag, path):
            thread.submit(_set_namespace, path).result()
    except BaseException:
        thread.shutdown()
        raise
    return thread


@contextmanager
def _refusals(flag: str, path: Path) -> Iterator[None]:
    """Raise LabError for what this user may not, PlanError for what is no network namespace."""
    try:
        yield
    except PermissionError as error:
        raise LabError(f"{flag}: only root may enter another network namespace; use sudo") from error
    except OSError as error:
        raise PlanError(f"{flag}: {path} is no network namespace; `lsns -t net` lists them") from error


def _set_namespace(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
    finally:
        os.close(fd)


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
