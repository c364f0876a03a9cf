"""Where the rounds take place: loopback, the subject on a core of its own, all else on another."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Lab, Process, open_lab

READY_TIMEOUT_S = 20.0
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Served:
    """What a backend counted so far."""

    accepted: int
    requests: int
    closed_first: int

    def since(self, before: Served) -> Served:
        """Return what came after `before`."""
        return Served(
            self.accepted - before.accepted,
            self.requests - before.requests,
            self.closed_first - before.closed_first,
        )


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend of ours that runs."""

    process: Process
    address: str

    def count(self) -> Served:
        """Return its counters."""
        self.process.send({"command": "count"})
        count = self.process.wait_event("count", READY_TIMEOUT_S)
        return Served(count["accepted"], count["requests"], count["closed_first"])


@dataclass(frozen=True, slots=True)
class RawBackend(Backend):
    """The upstream of the shapes; it has three addresses."""

    ipv6: str
    unix: str

    @property
    def addresses(self) -> dict[str, str]:
        """Return its addresses by their kind; an empty one cannot be had on this machine."""
        return {"ipv4": self.address, "ipv6": self.ipv6, "unix": self.unix}

    def shape(self, name: str, *, closes: bool = False, echoes: bool = False) -> None:
        """Have it answer with a shape, close after each response, and echo identities or not."""
        self.process.send({"command": "shape", "name": name, "closes": closes, "echoes": echoes})
        self.process.wait_event("shape", READY_TIMEOUT_S)


class Stage:
    """A loopback lab with two sets of cores: `near` for client and backend, `far` for the subject."""

    def __init__(self, lab: Lab) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.lab = lab
        self.near = {cores[0]}
        self.far = {cores[-1]}

    @property
    def is_cramped(self) -> bool:
        """Return whether client and subject share a core, since there is only one."""
        return self.near == self.far

    def start(self, argv: list[str], name: str, cores: set[int], *, control: bool = False) -> Process:
        """Start a program on `cores`."""
        return self.lab.hosts["proxy"].start(argv, name=name, cpus=cores, control=control)

    def backend(self, cores: set[int], *flags: str) -> Backend:
        """Start a backend and wait until it listens."""
        argv = [PYTHON, "-m", "backends", "--listen", "127.0.0.1:0", "--control", *flags]
        process = self.start(argv, "backend", cores, control=True)
        return Backend(process, process.wait_event("ready", READY_TIMEOUT_S)["listen"][0])

    def raw_backend(self, folder: Path, cores: set[int]) -> RawBackend:
        """Start the server of the shapes, and wait until it listens."""
        argv = [PYTHON, "-m", "tests.perf.raw_backend", "--unix", str(folder / "upstream")]
        process = self.start(argv, "backend", cores, control=True)
        return RawBackend(process, *process.wait_event("ready", READY_TIMEOUT_S)["listen"])


@contextmanager
def stage() -> Iterator[Stage]:
    """Open a stage; when it closes, nothing that was started on it is left."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with open_lab("loopback") as lab:
        yield Stage(lab)
