"""Look for nginx on this host beside the watch: its configuration may be long, and no answer waits for it.

What runs may change meanwhile: a reload, a restart, another nginx. That is noticed, and what runs then is
read and judged anew.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from types import TracebackType
from typing import TYPE_CHECKING

from bench.watch.scope import Scope

if TYPE_CHECKING:
    from bench.watch.nginx_here import NginxHere, NginxLocation

_LONGEST_S = 2.0
"""Of the first answer's three seconds, that the formats of access logs may take."""
_OFTEN_S = 1.0
"""From one look whether what is known has changed to the next: a dozen files and processes each."""
_SELDOM_S = 30.0
"""Likewise whether there is another nginx: a file for each process of the host."""


class NginxLookup:
    """The nginx of a scope, as soon as they are known. States: looking, done, closed."""

    def __init__(self, scope: Scope, may_dump: bool) -> None:
        self._scope, self._may_dump = scope, may_dump
        self._thread = ThreadPoolExecutor(1, "nginx")
        self._known: tuple[NginxHere, ...] = ()
        self._looking: Future[tuple[NginxHere, ...]] | None = self._thread.submit(self._find)
        self._searching: Future[frozenset[int]] | None = None
        self._looked_s = self._searched_s = 0.0
        self._changed_s: float | None = None
        """When a change was noticed last, in seconds of the watch."""

    def __enter__(self) -> "NginxLookup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def wait(self) -> Mapping[str, str]:
        """Return the formats of the access logs by path, if they are known within two seconds."""
        try:
            found = self._known if self._looking is None else self._looking.result(_LONGEST_S)
        except TimeoutError:
            return {}
        return {path: text for nginx in found for path, text in nginx.log_formats.items()}

    def look_again(self, t_s: float) -> None:
        """Read anew what has changed; `t_s` is the time of the watch, from its start."""
        if self._looking is not None:
            if self._looking.done():
                self._known, self._looking = self._looking.result(), None
            return
        if self._has_changed(t_s) or self._is_another_here(t_s):
            self._changed_s = t_s
            self._looking = self._thread.submit(self._find)

    def _has_changed(self, t_s: float) -> bool:
        """Return whether one that is known has changed; no answer more often than is cheap."""
        if t_s < self._looked_s + _OFTEN_S:
            return False
        self._looked_s = t_s
        return any(each.marks is not None and each.marks.have_changed for each in self._known)

    def _is_another_here(self, t_s: float) -> bool:
        """Return whether a search found others than those that are known; begin one now and then."""
        if self._searching is not None and self._searching.done():
            found, self._searching = self._searching.result(), None
            return found != {each.pid for each in self._known}
        if self._searching is None and t_s >= self._searched_s + _SELDOM_S:
            self._searched_s = t_s
            self._searching = self._thread.submit(self._find_pids)
        return False

    @property
    def locations(self) -> "tuple[NginxLocation, ...]":
        """Return what the configurations say, once they are read."""
        return tuple(location for nginx in self._known for location in nginx.locations)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what could not be read, once that is known, and since when it is another configuration."""
        notes = tuple(note for nginx in self._known for note in nginx.notes)
        if self._changed_s is None:
            return notes
        state = "is being read anew" if self._looking is not None else "was read anew"
        return (
            *notes,
            f"the processes or files of nginx changed {self._changed_s:.0f} s after the start: its"
            f" configuration {state}, and connections from before are those of the old one",
        )

    def _find(self) -> "tuple[NginxHere, ...]":
        # The rules take as long to import as all else: while the watch waits for its first look.
        from bench.watch.nginx_here import find_nginx  # noqa: PLC0415

        return find_nginx(self._scope.pids, self._scope.netns_inode, may_dump=self._may_dump)

    def _find_pids(self) -> frozenset[int]:
        from bench.watch.nginx_here import find_pids  # noqa: PLC0415

        return find_pids(self._scope.pids, self._scope.netns_inode)
