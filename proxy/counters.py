"""The counters of the proxy, named as in docs/pipes.md, and their sum over workers."""

from collections.abc import Iterable
from typing import Any


class Counters:
    """The counters of one worker; each attribute is a key of the `done` event, or of its `errors`."""

    CLIENT_ERRORS = ("bad_request", "head_too_large", "body_too_large", "timeout", "too_many", "aborted")
    UPSTREAM_ERRORS = ("address_exhausted", "refused", "reset", "timeout", "protocol", "pool")

    __slots__ = (
        "accepted", "client", "ejected", "first_exhausted_ns", "lost", "opened", "replaced", "requests",
        "reused", "upstream",
    )  # fmt: skip

    def __init__(self) -> None:
        self.accepted = 0
        self.requests = 0
        self.opened = 0
        self.reused = 0
        self.lost = 0
        self.ejected = 0
        self.replaced = 0
        self.first_exhausted_ns: int | None = None
        self.client = dict.fromkeys(self.CLIENT_ERRORS, 0)
        self.upstream = dict.fromkeys(self.UPSTREAM_ERRORS, 0)

    def to_event(self, event: str) -> dict[str, Any]:
        """Return the counters as an event of this name."""
        return {
            "event": event,
            "role": "proxy",
            "accepted": self.accepted,
            "requests": self.requests,
            "opened": self.opened,
            "reused": self.reused,
            "errors": {"client": dict(self.client), "upstream": dict(self.upstream)},
            "lost": self.lost,
            "ejected": self.ejected,
            "replaced": self.replaced,
            "first_exhausted_ns": self.first_exhausted_ns,
        }


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
