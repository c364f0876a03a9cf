"""How the values of a plan's `load` are written: rates, header fields, URLs with weights, statuses. Pure.

Each function raises ValueError, whose text says what to write instead; `check` makes a PlanError of it.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench import units
from bench.errors import PlanError
from bench.plan import bounds

if TYPE_CHECKING:
    from bench.plan.run_plan import Load

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, section 5.6.2."""
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_URL = re.compile(r"(?:([0-9]{1,7}):)?((?:https?://|/).*)")
_TARGET = re.compile(r"[!-~]*")
_STATUSES = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_COMPUTED = {
    "content-length": "it is computed from the body",
    "transfer-encoding": "the body has a Content-Length",
    "x-bench-id": "each request has one of its own",
    "x-bench-fill": "each request has one of its own",
    "expect": "the body is sent at once",
    "upgrade": "no other protocol is spoken on the connection",
}
"""Fields that no plan can set, and why."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
MOST_WEIGHT = 1_000_000


def rates(value: float | str) -> tuple[float, float]:
    """Return the rates per second at the beginning and the end of the window: `5000`, `5k`, `1000..20000`."""
    if not isinstance(value, str):
        return float(value), float(value)
    first, dots, last = value.partition("..")
    try:
        start = units.rate_per_s(first)
        return start, units.rate_per_s(last) if dots else start
    except ValueError as error:
        raise ValueError("is no rate; write 5000, 5k, 5000/s, or 1000..20000 for a ramp") from error


def normal_rate(value: str) -> float | str:
    """Return a rate as a number, a ramp as `1000..20000`."""
    first, last = rates(value)
    return f"{first:.15g}..{last:.15g}" if ".." in value else first


def field(line: str) -> tuple[str, str]:
    """Return name and value of a header field, `NAME: VALUE` (RFC 9110, section 5)."""
    name, colon, value = line.partition(":")
    if not colon or TOKEN.fullmatch(name) is None:
        raise ValueError("is no header field; write NAME: VALUE, the name without spaces")
    value = value.strip(" \t")
    if _VALUE.fullmatch(value) is None:
        raise ValueError("holds characters that no header field may; use printable Latin-1")
    if (why := _COMPUTED.get(name.lower())) is not None:
        raise ValueError(f"cannot be set: {why}; leave it out")
    if name.lower() == "connection" and value.lower() != "keep-alive":
        raise ValueError("cannot be set: the clients set it by load.client_mode, or by mode; leave it out")
    return name, value


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, in lower case; nothing of a path."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else ""


def path(url: str) -> str:
    """Return what is requested of a server for a URL or a path: path and query."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def weighted_url(text: str) -> tuple[str, int]:
    """Return a path or URL and its weight: `/search`, `3:/search`, `3:http://HOST:PORT/search`."""
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("is no URL; write /PATH or http://HOST:PORT/PATH, with a weight in front: 3:/PATH")
    weight, url = int(match[1] or 1), match[2]
    if not 1 <= weight <= MOST_WEIGHT:
        raise ValueError(f"has a weight of {weight}; write 1 to {MOST_WEIGHT:,}")
    _check_url(url)
    return url, weight


def _check_url(url: str) -> None:
    """Raise ValueError where a URL cannot be requested as it is."""
    if _TARGET.fullmatch(url) is None:
        raise ValueError("holds a character that no URL may; write it as %XX")
    if "#" in url:
        raise ValueError("has a fragment, which is never sent; leave out # and what follows")
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from error


def check_target(url: str) -> None:
    """Raise ValueError where a URL names no server that can be loaded."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be an http:// or https:// URL")
    _check_url(url)
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("names no host; write http://HOST:PORT/PATH")
    if parts.port == 0:
        raise ValueError("names port 0, on which no server listens; write another port")
    if "@" in parts.netloc:
        raise ValueError("names a user, whom no request would name; leave it out, and send Authorization")


def statuses(text: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges that `200`, `2xx`, `200-204` or several of these with commas stand for."""
    found = []
    for part in text.split(","):
        match = _STATUSES.fullmatch(part.strip())
        if match is None:
            raise ValueError("is not understood; write 200, 2xx, 200-299 or 2xx,304")
        low = int(match[2] or f"{match[1]}00")
        high = int(match[3] or match[2] or f"{match[1]}99")
        if low > high:
            raise ValueError("has a range that ends below its start; write the lower status first")
        if low < 200:
            raise ValueError("holds a status that ends no response; write 200 to 599")
        found.append((low, high))
    return tuple(found)


def check_method(method: str) -> None:
    """Raise ValueError where a method cannot be sent."""
    if TOKEN.fullmatch(method) is None:
        raise ValueError("is no method; write GET, POST or another word without spaces")
    if method.upper() == "CONNECT":
        raise ValueError("opens a tunnel, in which no response can be checked; choose another method")
    if method not in _METHODS and method.upper() in _METHODS:
        raise ValueError(f"is written in capitals; write {method.upper()} (RFC 9110, section 9.1)")


def check(load: "Load", target: str | None) -> None:
    """Raise PlanError where `target`, or a value of `load`, is not understood, or a URL is of another server.

    The server is that of `target`; None: one that is started.
    """
    if target is not None:
        _check_value("subject.target", target, check_target)
    _check_value("load.method", load.method, check_method)
    _check_value("load.expect_status", load.expect_status, statuses)
    for line in load.headers:
        _check_value("load.headers", line, field)
    for url in load.urls:
        _check_value("load.urls", url, weighted_url)
        _check_value("load.urls", url, lambda each: _check_origin(each, target))
    if load.rate is not None:
        _check_value("load.rate", load.rate, rates)
        _check_rates(load.rate)


def _check_value(key: str, value: Any, read: Callable[[Any], object]) -> None:
    try:
        read(value)
    except ValueError as error:
        raise PlanError(f"plan: {key} = {value!r} {error}") from error


def _check_origin(url: str, target: str | None) -> None:
    """Raise ValueError where a URL is on another server than the one under load."""
    asked = origin(weighted_url(url)[0])
    if asked and target is None:
        raise ValueError("names a server; write a path, /PATH, or load a server with --target URL")
    if asked and target is not None and asked != origin(target):
        raise ValueError(f"is not on the server of {target}; write a path, /PATH, or run it apart")


def _check_rates(rate: float | str) -> None:
    if not isinstance(rate, str):
        bounds.check_above_zero("plan: load.rate", rate)
    elif max(rates(rate)) == 0:
        raise PlanError(f"plan: load.rate = {rate!r} never sends a request; end or begin it above 0")
    if max(rates(rate)) > bounds.MOST_PER_S:
        shown = rate if isinstance(rate, str) else f"{rate:g}"
        raise PlanError(f"plan: load.rate = {shown} is more than {bounds.MOST_PER_S:,} requests per second")
