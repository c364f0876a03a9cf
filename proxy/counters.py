"""The counters of the proxy, named as in docs/reference/pipes.md, and their sum over workers."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

_CLIENT_ERRORS = ("bad_request", "head_too_large", "body_too_large", "timeout", "too_many", "aborted", "tls")
_UPSTREAM_ERRORS = ("address_exhausted", "refused", "reset", "timeout", "protocol", "pool")

_KIND_OF_STATUS = {
    408: "timeout",
    413: "body_too_large",
    414: "head_too_large",
    431: "head_too_large",
    503: "too_many",
    507: "body_too_large",
}


@dataclass(slots=True)
class Counters:
    """The counters of one worker; each attribute is a key of the `done` event, or of its `errors`."""

    accepted: int = 0
    requests: int = 0
    opened: int = 0
    reused: int = 0
    lost: int = 0
    ejected: int = 0
    replaced: int = 0
    first_exhausted_ns: int | None = None
    client: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_CLIENT_ERRORS, 0))
    upstream: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_UPSTREAM_ERRORS, 0))

    def count_client_error(self, status: int) -> None:
        """Count an error of a client by the status that it is answered with."""
        self.client[_KIND_OF_STATUS.get(status, "bad_request")] += 1

    def to_event(self, event: str) -> dict[str, Any]:
        """Return the counters as an event of this name."""
        counts = asdict(self)
        errors = {side: counts.pop(side) for side in ("client", "upstream")}
        return {"event": event, "role": "proxy", **counts, "errors": errors}


def merge(events: Iterable[dict[str, Any]]) -> Counters:
    """Add up the counters of several workers; the first exhaustion is the earliest."""
    total = Counters()
    moments: list[int] = []
    for event in events:
        for name in ("accepted", "requests", "opened", "reused", "lost", "ejected"):
            setattr(total, name, getattr(total, name) + event[name])
        for side, counts in (("client", total.client), ("upstream", total.upstream)):
            for name in counts:
                counts[name] += event["errors"][side][name]
        if event["first_exhausted_ns"] is not None:
            moments.append(event["first_exhausted_ns"])
    total.first_exhausted_ns = min(moments, default=None)
    return total
