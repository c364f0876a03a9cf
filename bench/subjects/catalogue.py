"""The subjects by name, and the one that is no proxy: the clients talk to the backend."""

from dataclasses import dataclass

from bench.lab import Host
from bench.subjects.asyncio_proxy import AsyncioProxy
from bench.subjects.caddy import Caddy
from bench.subjects.envoy import Envoy
from bench.subjects.haproxy import HAProxy
from bench.subjects.nghttpx import Nghttpx
from bench.subjects.nginx import Nginx
from bench.subjects.subject import RunningSubject, SubjectAdapter, SubjectConfig, SubjectCounts


class Direct:
    """Points the clients at the first backend address; in short mode the client closes first."""

    def check(self, config: SubjectConfig) -> None:
        """Accept everything: nothing is started that could refuse."""

    def start(self, host: Host, cpus: set[int] | None, config: SubjectConfig) -> RunningSubject:
        """Return the backend's own address: nothing is started."""
        return _Backend(address=config.upstreams[0])


@dataclass(slots=True)
class _Backend:
    """What the clients reach where there is no proxy."""

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


SUBJECTS: dict[str, type[SubjectAdapter]] = {
    "asyncio": AsyncioProxy,
    "direct": Direct,
    "nginx": Nginx,
    "haproxy": HAProxy,
    "envoy": Envoy,
    "caddy": Caddy,
    "nghttpx": Nghttpx,
}
