"""Open the source of requests that a text names, as in `nginx-status:http://127.0.0.1:8080/status`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.watch.requests.access_log import AccessLogSource
from bench.watch.requests.counting import CounterReader, CounterSource
from bench.watch.requests.envoy import EnvoyReader
from bench.watch.requests.haproxy import HAProxyReader
from bench.watch.requests.source import RequestSource, SourceError
from bench.watch.requests.stub_status import StubStatusReader

_READERS: Mapping[str, tuple[str, Callable[[str], CounterReader]]] = {
    "nginx-status": ("nginx stub_status", StubStatusReader),
    "haproxy": ("HAProxy stats", HAProxyReader),
    "envoy": ("Envoy admin", EnvoyReader),
}
_LOG = "nginx-log"
SPEC_FORMS = (
    "nginx-status:http://HOST:PORT/PATH",
    "nginx-log:FILE",
    "haproxy:SOCKET",
    "haproxy:HOST:PORT",
    "envoy:http://HOST:PORT",
    "envoy:SOCKET",
)
"""How a source may be written."""
_NO_FORMATS: Mapping[str, str] = MappingProxyType({})


def open_source(
    spec: str, log_format: str | None = None, known_formats: Mapping[str, str] = _NO_FORMATS
) -> RequestSource:
    """Return the source that `spec` names; it has been read once, and counts from there.

    Args:
        spec: KIND:WHERE, one of SPEC_FORMS.
        log_format: the format of an access log, as nginx's log_format has it.
        known_formats: the formats of the access logs of running nginx, by path.

    Raises:
        ValueError: it cannot be read; one line with the source, why, and the remedy.
    """
    kind, colon, where = spec.partition(":")
    if not colon or not where or (kind != _LOG and kind not in _READERS):
        raise ValueError(
            f"{spec!r} names no source of requests; write {', '.join(SPEC_FORMS[:-1])} or {SPEC_FORMS[-1]}"
        )
    try:
        if kind == _LOG:
            return AccessLogSource(where, log_format or known_formats.get(where))
        label, reader = _READERS[kind]
        return CounterSource(f"{label} {where}", reader(where))
    except SourceError as error:
        named = spec if spec.isprintable() else repr(spec)
        raise ValueError(f"{named}: {error}") from error
