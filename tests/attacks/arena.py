"""Where attacks take place: the proxy on the last core; good client, upstream, attacker on the first."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import RoleError
from bench.lab import Process
from tests.attacks.good_client import TIMEOUT_S
from tests.perf import subjects
from tests.perf.stage import PYTHON, READY_TIMEOUT_S, Backend, Stage, stage
from tests.perf.subjects import Subject

Address = tuple[str, int]
Attack = Callable[[Address, threading.Event], None]
"""What misbehaves towards the proxy at an address until it is told to stop."""
_SAMPLE_S = 0.1


@dataclass(frozen=True, slots=True)
class Good:
    """What the good client was given in one window."""

    answers: int
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(slots=True)
class Watched:
    """What an attack cost the proxy: CPU, and the most that its memory grew by."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    grown_kib: float = 0.0


class Arena:
    """One stage for all attacks; each proxy that is attacked is a fresh process."""

    def __init__(self, opened: Stage, folder: Path) -> None:
        self.stage = opened
        self._folder = folder
        self._number = 0
        os.sched_setaffinity(0, opened.near)
        absent = subjects.missing(("nginx",))
        self.names = ["ours"] if absent else ["ours", "nginx-default"]

    def backend(self, *flags: str) -> Backend:
        """Start an ordinary upstream that never closes first."""
        return self.stage.backend(self.stage.near, "--close", "never", *flags)

    def upstream(self, module: str, *arguments: str) -> tuple[str, Process]:
        """Start a module of this package as an upstream; return its address and the process."""
        argv = [PYTHON, "-m", f"tests.attacks.{module}", *arguments]
        process = self.stage.start(argv, module, self.stage.near, control=True)
        address: str = process.wait_event("ready", READY_TIMEOUT_S)["listen"][0]
        return address, process

    @contextmanager
    def subject(self, name: str, upstream: str) -> Iterator[Subject]:
        """Run a fresh proxy in front of `upstream`, one that has served a few requests before."""
        self._number += 1
        folder = self._folder / f"{name}-{self._number}"
        subject = subjects.start(self.stage, name, upstream, is_short=False, folder=folder)
        try:
            self.good(subject, 0.2)
            yield subject
        finally:
            subject.process.kill()

    def good(self, subject: Subject, duration_s: float) -> Good:
        """Let the good client ask for so long; return what it was given."""
        argv = [PYTHON, "-m", "tests.attacks.good_client", subject.address, str(duration_s)]
        process = self.stage.start(argv, "good client", self.stage.near, control=True)
        event = process.wait_event("done", duration_s + 2 * TIMEOUT_S)
        process.wait(READY_TIMEOUT_S)
        del event["event"]
        if event["answers"] + event["refused"] + event["broken"] == 0:
            raise RoleError("good client", "asked for nothing")
        return Good(**event)


@contextmanager
def arena() -> Iterator[Arena]:
    """Open the arena; nothing that was started in it is left when it closes."""
    allowed = os.sched_getaffinity(0)
    with stage() as opened, TemporaryDirectory() as folder:
        try:
            yield Arena(opened, Path(folder))
        finally:
            os.sched_setaffinity(0, allowed)


@contextmanager
def attacked(subject: Subject, attack: Attack) -> Iterator[Watched]:
    """Attack in a thread, and watch the proxy meanwhile; what the attack raises is raised at the end."""
    watched, stop = Watched(), threading.Event()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        before_s, began = subject.tree.cpu_s(), time.monotonic()
        attacking = pool.submit(_attack, attack, address_of(subject), stop)
        sampling = pool.submit(_sample, subject, watched, stop)
        try:
            yield watched
        finally:
            stop.set()
        watched.wall_s = time.monotonic() - began
        watched.cpu_s = subject.tree.cpu_s() - before_s
        attacking.result()
        sampling.result()


def address_of(subject: Subject) -> Address:
    """Return where a proxy listens."""
    host, _, port = subject.address.rpartition(":")
    return host, int(port)


def uss_kib(subject: Subject) -> float:
    """Return the memory that is the proxy's alone."""
    subject.tree.refresh()
    uss_mib = subject.tree.memory().uss_mib
    if uss_mib is None:
        raise RoleError(subject.name, "does not let us see its memory; run as its owner or as root")
    return uss_mib * 1024


def step_back() -> None:
    """Let the calling thread have only what good client, upstream and proxy leave of the core."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _attack(attack: Attack, address: Address, stop: threading.Event) -> None:
    step_back()
    attack(address, stop)


def _sample(subject: Subject, watched: Watched, stop: threading.Event) -> None:
    before_kib = uss_kib(subject)
    while not stop.wait(_SAMPLE_S):
        watched.grown_kib = max(watched.grown_kib, uss_kib(subject) - before_kib)
