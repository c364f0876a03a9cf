"""Count the requests of clients by nginx's stub_status, whose reading is itself one of them.

Source: ngx_http_stub_status_handler() in src/http/modules/ngx_http_stub_status_module.c. The counters are
nginx's as a whole: they live through a reload, and begin anew with a restart.
"""

import re

from bench import units
from bench.watch.model import Direction
from bench.watch.requests.counting import CountedHop, CounterReading, Counts
from bench.watch.requests.http_get import PageReader, http_address
from bench.watch.requests.source import SourceError

# Tengine adds the time that requests took behind the names of the columns.
_PAGE = re.compile(
    rb"Active connections:\s*\d+\s+server accepts handled requests(?: request_time)?\s+(\d+) (\d+) (\d+)[ \n]"
)
_LARGEST_BYTES = 1 << 20
_CLIENTS = CountedHop(Direction.INCOMING)


class StubStatusReader:
    """Asks nginx for its counters over one connection."""

    def __init__(self, url: str) -> None:
        """Take the address of the page; SourceError where it is none."""
        address, parts = http_address(url, 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._pages = PageReader(address)
        self._own_before = Counts(0, 0)
        self._dropped: int | None = None

    def read(self) -> CounterReading:
        """Return the counters, and what reading them has added."""
        page = self._pages.get(self._path, _LARGEST_BYTES)
        accepts, handled, requests = parse_page(page)
        own_so_far = Counts(self._pages.sent, self._pages.opened)
        own, self._own_before = own_so_far - self._own_before, own_so_far
        notes = self._dropped_notes(accepts - handled)
        return CounterReading({_CLIENTS: Counts(requests, accepts)}, {_CLIENTS: own}, notes=notes)

    def close(self) -> None:
        """Close the connection."""
        self._pages.close()

    def _dropped_notes(self, dropped: int) -> tuple[str, ...]:
        last, self._dropped = self._dropped, dropped
        if last is None or dropped <= last:
            return ()
        lost = units.plural(dropped - last, "connection")
        return (f"nginx has dropped {lost}: worker_connections allows no more",)


def parse_page(page: bytes) -> tuple[int, int, int]:
    """Return accepts, handled and requests of the page; SourceError where it is another one."""
    match = _PAGE.search(page)
    if match is None:
        remedy = "name the location that has `stub_status;`"
        raise SourceError("answers with another page than that of stub_status", remedy)
    return int(match[1]), int(match[2]), int(match[3])
