"""A role's process: how it is started, commanded (docs/reference/pipes.md), read and stopped.

Two threads a process read its output; nothing here knows what the events mean.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import psutil

from bench.errors import RESOURCE_REMEDIES, RoleError

Event = dict[str, Any]
OnEvent = Callable[[Event], bool]
"""Called with an event on the reader's thread; returns whether it is handled, and so not kept."""

READY_TIMEOUT_S = 30.0
"""How long a role may take until it is ready."""
COUNT_TIMEOUT_S = 10.0
"""How long a role may take to tell its counts."""
_TAIL_LINES = 200
_STDERR_LINE_BYTES = 4096
GRACE_S = 5.0
"""How long a role may take from SIGTERM to its end."""
_DRAIN_S = 0.5
"""How long pipes are read after the end of their process: its children may hold them open."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to start, and how to connect to it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    stderr_copy: IO[bytes] | None = None
    """Where its stderr goes too, whole; closed at its end."""
    control: bool = True
    """Whether it speaks our protocol on stdin and stdout; else stdin is empty and stdout is text."""
    on_event: OnEvent | None = None


def spawn(start: ProcessSpec, arguments: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start the process in the namespaces of the calling thread; RoleError where it cannot start."""
    try:
        return subprocess.Popen(
            list(start.argv),
            stdin=subprocess.PIPE if start.control else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if start.env is None else dict(start.env),
            **arguments,
        )
    except OSError as error:
        remedy = RESOURCE_REMEDIES.get(error.errno or 0, "")
        raise RoleError(start.name, f"cannot start {start.argv[0]}: {error.strerror}{remedy}") from error


class Process:
    """A running role. States: running, ended (`returncode` is set, every pipe read to its end).

    `pid` is the pid that /proc and psutil show here; in its PID namespace a role has another.
    """

    def __init__(self, start: ProcessSpec, popen: subprocess.Popen[bytes], leads_group: bool) -> None:
        self.name = start.name
        self.pid = popen.pid
        self.stdout_lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self.stderr_lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._popen = popen
        self._leads_group = leads_group
        self._on_event = start.on_event
        self._events: deque[Event] = deque()
        self._protocol_error: str | None = None
        self._is_at_end = False
        self._changed = threading.Condition()
        assert popen.stdout is not None
        assert popen.stderr is not None
        handle = self._handle_event if start.control else self.stdout_lines.append
        self._readers = (
            threading.Thread(target=self._read, args=(popen.stdout, handle), name=f"{self.name} stdout"),
            threading.Thread(
                target=self._read_stderr, args=(popen.stderr, start.stderr_copy), name=f"{self.name} stderr"
            ),
        )
        for reader in self._readers:
            reader.daemon = True
            reader.start()

    def __repr__(self) -> str:
        return f"<Process {self.name} {self.pid} {'running' if self.returncode is None else 'ended'}>"

    @property
    def returncode(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    @property
    def exit_message(self) -> str:
        """Return the last line that it wrote to stderr, or nothing."""
        return next((line for line in reversed(self.stderr_lines) if line.strip()), "")

    def send(self, command: Mapping[str, Any]) -> None:
        """Send one command; RoleError where the role is gone."""
        name = command.get("command")
        if self._popen.stdin is None:
            raise RoleError(self.name, "accepts no commands")
        if self._popen.stdin.closed:
            raise self._ended_error(f"cannot be sent {name}: it has ended")
        try:
            self._popen.stdin.write(json.dumps(command).encode() + b"\n")
            self._popen.stdin.flush()
        except OSError as error:
            raise self._ended_error(f"cannot be sent {name}: {error.strerror}") from error

    def wait_event(self, name: str, timeout_s: float) -> Event:
        """Return the oldest event called `name`; RoleError where the role ends or is silent for `timeout_s`.

        Events of other names stay.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for index, event in enumerate(self._events):
                    if event.get("event") == name:
                        del self._events[index]
                        return event
                if self._protocol_error is not None:
                    raise RoleError(self.name, self._protocol_error, self.exit_message)
                if self._is_at_end:
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    raise RoleError(self.name, f"not {name} within {timeout_s:g} s", self.exit_message)
        raise self._ended_error(f"ended before it was {name}")

    def events(self, name: str) -> list[Event]:
        """Remove and return the events called `name` that have come so far, oldest first."""
        with self._changed:
            found = [event for event in self._events if event.get("event") == name]
            self._events = deque(event for event in self._events if event.get("event") != name)
        return found

    def wait(self, timeout_s: float) -> int:
        """Return the exit code once it has ended by itself; RoleError where it has not within `timeout_s`."""
        try:
            code = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RoleError(self.name, f"still runs after {timeout_s:g} s", self.exit_message) from error
        self._drain()
        return code

    def stop(self, grace_s: float = GRACE_S) -> int:
        """Stop it and all that it started: SIGTERM, then after `grace_s` SIGKILL; return its exit code."""
        if self.returncode is not None:
            return self._ended()
        tree = self._tree()
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(grace_s)
        except subprocess.TimeoutExpired:
            tree |= self._tree()
        return self._end(tree)

    def kill(self) -> int:
        """Kill it and all that it started; return its exit code (negative: the signal)."""
        return self._ended() if self.returncode is not None else self._end(self._tree())

    def ended(self) -> RoleError | None:
        """Return how it ended by itself; None while it runs."""
        return None if self.returncode is None else self._ended_error("ended")

    def _ended(self) -> int:
        """Return the exit code of a process that ended before, whose pid may be another's by now.

        What it started ends with its lab.
        """
        self._drain()
        return self._popen.wait()

    def _end(self, tree: set[psutil.Process]) -> int:
        if self._leads_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.kill()
        for member in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        code = self._popen.wait()
        self._drain()
        return code

    def _tree(self) -> set[psutil.Process]:
        try:
            return set(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return set()

    def _drain(self) -> None:
        """Close stdin and wait until the readers are at the end of the output."""
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # a command may wait unread in our buffer
                self._popen.stdin.close()
        for reader in self._readers:
            reader.join(_DRAIN_S)

    def _ended_error(self, reason: str) -> RoleError:
        """Return the error of a role that is ending, with its exit code and its exit message."""
        try:
            code = self._popen.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return RoleError(self.name, f"{reason}; it closed its stdout and still runs", self.exit_message)
        self._drain()
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        return RoleError(self.name, f"{reason} ({how})", self.exit_message)

    def _read(self, pipe: IO[bytes], handle: Callable[[str], None]) -> None:
        with pipe:
            for line in pipe:
                handle(line.decode(errors="replace").rstrip("\n"))
        with self._changed:
            self._is_at_end = True
            self._changed.notify_all()

    def _read_stderr(self, pipe: IO[bytes], copy: IO[bytes] | None) -> None:
        with pipe, copy or contextlib.nullcontext():
            for line in iter(lambda: pipe.readline(_STDERR_LINE_BYTES), b""):
                self.stderr_lines.append(line.decode(errors="replace").rstrip("\n"))
                if copy is not None:
                    copy.write(line)

    def _handle_event(self, line: str) -> None:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            event = None
        if isinstance(event, dict) and self._on_event is not None and self._on_event(event):
            return
        with self._changed:
            if isinstance(event, dict):
                self._events.append(event)
            else:
                self._protocol_error = f"printed a line that is no event: {line[:80]!r}"
            self._changed.notify_all()
