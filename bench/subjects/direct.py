"""No proxy at all: the clients talk to the backend, and the mode is that of their own connections."""

from __future__ import annotations

from dataclasses import dataclass

from bench.lab import Host
from bench.subjects.subject import RunningSubject, SubjectConfig, SubjectCounts


class Direct:
    """Points the clients at the first backend address; in short mode the client closes first."""

    def check(self, asked: SubjectConfig) -> None:
        """Accept everything: there is nothing to ask for."""

    def start(self, host: Host, cpus: set[int] | None, asked: SubjectConfig) -> RunningSubject:
        """Return the backend's own address: nothing is started."""
        return _Running(address=asked.upstreams[0])


@dataclass(slots=True)
class _Running:
    address: str
    version: str = "-"
    pid: int | None = None

    def count(self) -> SubjectCounts:
        return SubjectCounts()

    def stop(self) -> None:
        return None

    def restart(self) -> None:
        return None

    def reload(self) -> None:
        return None
