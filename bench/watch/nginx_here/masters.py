"""Find the nginx that runs here: its master processes, how they were called, when they read their files.

The title of a master holds its arguments with spaces between them (ngx_init_setproctitle() and
ngx_master_process_cycle() in src/os/unix), so that an argument ends where the next flag begins.
"""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_PROC = Path("/proc")
_TITLE = "nginx: master process "
_WORKER = "nginx: worker process"
_ENDING = "is shutting down"
_WITH_VALUE = "pceg"
_FLAGS = frozenset("?hvVtTqspceg")
"""The letters that ngx_get_options() in src/core/nginx.c knows."""
_ENDS = frozenset("?hvVtTs")
"""Those with which it does one thing, and ends."""


@dataclass(frozen=True, slots=True)
class NginxArguments:
    """How nginx was called; None: not given, the build decides."""

    program: str
    """As it was called: a path, or a name to look up in PATH."""
    prefix: str | None = None
    conf: str | None = None
    error_log: str | None = None
    directives: str | None = None
    """What -g adds to the configuration."""

    def to_list(self) -> list[str]:
        """Return the arguments that say which configuration is meant."""
        given = {"-p": self.prefix, "-c": self.conf, "-e": self.error_log, "-g": self.directives}
        return [each for flag, value in given.items() if value is not None for each in (flag, value)]


@dataclass(frozen=True, slots=True)
class NginxMaster:
    """One nginx: its master process, or its only one."""

    pid: int
    arguments: NginxArguments
    workers: int
    """Worker processes that take requests; 1 where there is no master."""
    read_at_s: float
    """When it last read its configuration, in seconds since 1970, at the latest."""


def find_masters(pids: Collection[int] | None = None) -> list[NginxMaster]:
    """Return the nginx of this host, by pid; of `pids` only those that, or whose workers, are among them."""
    called: dict[int, tuple[NginxArguments, list[int]]] = {}
    for pid in sorted(int(name) for name in os.listdir(_PROC) if name.isdigit()):
        try:
            arguments = parse_command_line((_PROC / f"{pid}/cmdline").read_bytes())
            if arguments is not None:
                called[pid] = arguments, _children(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended, or /proc hides it (hidepid in proc(5))
    # A worker has the title of its master until it has its own. In an upgrade of the program (USR2) a master
    # is another one's child too, and has workers.
    below = {child for _, children in called.values() for child in children}
    untitled = {pid for pid in below & called.keys() if not called[pid][1]}
    found = []
    for pid, (arguments, children) in called.items():
        if pid not in untitled and (pids is None or not {pid, *children}.isdisjoint(pids)):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                found.append(_master(pid, arguments, children))
    return found


def parse_command_line(raw: bytes) -> NginxArguments | None:
    """Return how nginx was called, given /proc/PID/cmdline of its master; None if it is another process."""
    text = raw.decode("utf-8", "surrogateescape")
    title = text.rstrip("\0 ")
    if title.startswith(_TITLE):
        return _parse(title.removeprefix(_TITLE).split(" "))
    words = text.removesuffix("\0").split("\0")
    # With `master_process off` the only process keeps its arguments as they were; -t and others end at once.
    if PurePosixPath(words[0]).name != "nginx" or any(_is_flag(word) and word[1] in _ENDS for word in words):
        return None
    return _parse(words)


def _parse(words: list[str]) -> NginxArguments:
    given: dict[str, str] = {}
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if not _is_flag(word):
            continue
        for at, letter in enumerate(word[1:], 2):
            if letter not in _WITH_VALUE:
                continue
            # As one word, -c/etc/nginx.conf, or as two.
            value = [word[at:]] if word[at:] else rest[:1]
            del rest[: 0 if word[at:] else 1]
            while rest and not _is_flag(rest[0]):
                value.append(rest.pop(0))
            given[letter] = " ".join(value).strip()
            break
    return NginxArguments(words[0], given.get("p"), given.get("c"), given.get("e"), given.get("g"))


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and word[1] in _FLAGS


def _master(pid: int, arguments: NginxArguments, children: list[int]) -> NginxMaster:
    """Return a master with what its workers show.

    A reload starts new workers right behind reading: the oldest of those that take requests tells when.
    """
    started_s = [at_s for child in children if (at_s := _worker_started_at_s(child)) is not None]
    return NginxMaster(pid, arguments, len(started_s) or 1, min(started_s, default=_started_at_s(pid)))


def _children(pid: int) -> list[int]:
    return [int(each) for each in (_PROC / f"{pid}/task/{pid}/children").read_text("ascii").split()]


def _worker_started_at_s(pid: int) -> float | None:
    """Return when a worker was started; None where it is none, ends or has ended."""
    try:
        title = (_PROC / f"{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape")
        return _started_at_s(pid) if title.startswith(_WORKER) and _ENDING not in title else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def _started_at_s(pid: int) -> float:
    """Return when a process started (field 22 of its stat, proc(5)), in seconds since 1970."""
    fields = (_PROC / f"{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    after_boot_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + after_boot_s
