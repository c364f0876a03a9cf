"""Say what a verdict takes for granted of the servers, where nothing was given or measured."""

from collections.abc import Collection, Iterator

from nginx.rules.rule import CheckSettings


def assumptions(settings: CheckSettings) -> Iterator[str]:
    """Yield what `reused` assumes about all servers, and how to replace that by what is known."""
    if settings.backend_idle_s is None:
        known = settings.upstream_idle_s or settings.measured
        yield (
            f"{_others(known)} are taken to keep idle connections for longer than nginx does (60 s, or its "
            "keepalive_timeout): else a POST, PATCH or LOCK now and then gets a 502; measure their time with "
            "--probe, or give it with --backend-idle"
        )
    if settings.backend_max_connections is None:
        yield (
            f"{_others(settings.upstream_max_connections)} are taken to accept more connections than all "
            "workers keep: one process or thread per connection (Apache prefork, Starman, Puma) needs "
            "--backend-max-connections"
        )


def _others(given: Collection[object]) -> str:
    """Return which servers are meant: all, or those of upstreams about which nothing is given."""
    return "other servers" if given else "servers"
