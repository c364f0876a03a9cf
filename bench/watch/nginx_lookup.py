"""Look for nginx on this host beside the watch: its configuration may be long, and no answer waits for it."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.watch.nginx_here import NginxHere, NginxLocation

_LONGEST_S = 2.0
"""Of the first answer's three seconds, that the formats of access logs may take."""


class NginxLookup:
    """The nginx of a scope, as soon as they are known. States: looking, done, closed."""

    def __init__(self, pids: Collection[int] | None, netns_inode: int | None, may_dump: bool) -> None:
        self._thread = ThreadPoolExecutor(1, "nginx")
        self._found = self._thread.submit(_find, pids, netns_inode, may_dump)

    def __enter__(self) -> "NginxLookup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def wait(self) -> Mapping[str, str]:
        """Return the formats of the access logs by path, if they are known within two seconds."""
        try:
            found = self._found.result(_LONGEST_S)
        except TimeoutError:
            return {}
        return {path: text for nginx in found for path, text in nginx.log_formats.items()}

    @property
    def locations(self) -> "tuple[NginxLocation, ...]":
        """Return what the configurations say, once they are read."""
        return tuple(location for nginx in self._known for location in nginx.locations)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what could not be read, once that is known."""
        return tuple(note for nginx in self._known for note in nginx.notes)

    @property
    def _known(self) -> "tuple[NginxHere, ...]":
        return self._found.result() if self._found.done() else ()


def _find(pids: Collection[int] | None, netns_inode: int | None, may_dump: bool) -> "tuple[NginxHere, ...]":
    # The rules take as long to import as all else: while the watch waits for its first look.
    from bench.watch.nginx_here import find_nginx  # noqa: PLC0415

    return find_nginx(pids, netns_inode, may_dump=may_dump)
