"""What each value of a job may be. Pure.

A job comes as JSON, or from a command line, and both know more numbers than a load can have: infinite ones,
NaN, and whole numbers of any length.
"""

import re
import reprlib
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_S = 1e9
"""The longest time, some thirty years."""
_MOST = 1 << 62
_MOST_WEIGHT = 1_000_000
_MOST_STREAMS = 10_000
_MOST_CONNECTIONS = 1_000_000
"""More than one address has ports for; the limit of open files is checked apart."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _whole(low: int, high: int) -> Rule:
    return Rule(
        f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high
    )


def _number(low: float, high: float) -> Rule:
    # NaN is in no range.
    return Rule(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


def _or_none(rule: Rule) -> Rule:
    return Rule(f"{rule.words}, or null", lambda value: value is None or rule.holds(value))


def _range(low: int, high: int) -> Rule:
    each = _whole(low, high)

    def holds(value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == 2
            and all(map(each.holds, value))
            and value[0] <= value[1]
        )

    return Rule(f"two whole numbers from {low} to {high}, the lower one first", holds)


def _text(words: str, pattern: str) -> Rule:
    fits = re.compile(pattern).fullmatch
    return Rule(words, lambda value: isinstance(value, str) and fits(value) is not None)


def _is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)
    except (OSError, ValueError):
        return False
    return True


COMPUTED = frozenset({"host", "content-length", "transfer-encoding", "x-bench-id", "x-bench-fill"})
"""Fields that the request builder writes by itself: a second one would make another request of it."""
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TEXT = r"[\t -~\x80-\xff]*"
_NAME, _VALUE = _text("a name", _TOKEN), _text("a value", _TEXT)
_PATH = _text("a path without spaces in Latin-1", r"/[!-~\x80-\xff]*")
_WEIGHT = _whole(1, _MOST_WEIGHT)
_STATUS_RANGE = _range(100, 599)


def _are_fields(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(field, tuple)
        and len(field) == 2
        and _NAME.holds(field[0])
        and _VALUE.holds(field[1])
        and field[0].lower() not in COMPUTED
        for field in value
    )


def _are_paths(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and all(
            isinstance(each, tuple) and len(each) == 2 and _PATH.holds(each[0]) and _WEIGHT.holds(each[1])
            for each in value
        )
    )


def _are_statuses(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(map(_STATUS_RANGE.holds, value))


_YES_OR_NO = Rule("true or false", lambda value: isinstance(value, bool))
_SECONDS = _number(0, MOST_S)
_POSITIVE = _number(1e-6, 1e9)
_RATE = Rule(
    f"{_POSITIVE.words}, or 0",
    lambda value: _POSITIVE.holds(value) or (type(value) in (int, float) and value == 0),
)

JOB: Mapping[str, Rule] = {
    "host": Rule("an IP address", _is_address),
    "port": _whole(1, 65_535),
    "host_field": _text("the value of a field", _TEXT),
    "paths": Rule("a list of paths without spaces in Latin-1 with their weights", _are_paths),
    "method": _text("a method", _TOKEN),
    "headers": Rule("a list of names and values of fields that frame nothing", _are_fields),
    "body": Rule("bytes in base64", lambda value: isinstance(value, bytes)),
    "connections": _whole(0, _MOST_CONNECTIONS),
    "rate": _or_none(_RATE),
    "rate_end": _or_none(_RATE),
    "arrivals": Rule("constant or poisson", lambda value: value in ("constant", "poisson")),
    "rate_phase": _number(0, 1),
    "warmup_s": _SECONDS,
    "duration_s": _SECONDS,
    "requests": _or_none(_whole(0, _MOST)),
    "client_mode": Rule("keepalive or short", lambda value: value in ("keepalive", "short")),
    "requests_per_connection": _or_none(_whole(1, _MOST)),
    "connect_timeout_s": _SECONDS,
    "request_timeout_s": _SECONDS,
    "total_timeout_s": _SECONDS,
    "drain_timeout_s": _SECONDS,
    "statuses": Rule("a list of two statuses each, the lower one first", _are_statuses),
    "echo": _YES_OR_NO,
    "body_bytes": _or_none(_range(0, _MOST)),
    "pattern": _YES_OR_NO,
    "http2": _YES_OR_NO,
    "streams": _whole(1, _MOST_STREAMS),
    "tls": _YES_OR_NO,
    "tls_verify": _YES_OR_NO,
    "tls_authority": _or_none(Rule("certificates in PEM", lambda value: isinstance(value, str))),
    "tls_name": _or_none(_text("a host name", r"[!-~]{1,253}")),
    "tls_sessions": _YES_OR_NO,
    "worker": _whole(0, _MOST),
    "seed": _whole(0, _MOST),
}
"""By key of a load worker's job."""

TOOL_JOB: Mapping[str, Rule] = {
    "tool": _text("the name of a tool", r"[a-z0-9]+"),
    "load": Rule("an object", lambda value: isinstance(value, dict)),
    "timeout_s": _SECONDS,
}
TOOL_LOAD: Mapping[str, Rule] = {
    "url": _text("a URL without spaces", r"[!-~]+"),
    "connections": _whole(1, _MOST_CONNECTIONS),
    "requests": _or_none(_whole(1, _MOST)),
    "duration_s": _or_none(_whole(1, round(MOST_S))),
    "flags": Rule(
        "a list of flags", lambda value: isinstance(value, tuple) and all(map(_VALUE.holds, value))
    ),
}
"""By key of the job of another load generator, and of its load."""

_GIVEN_APART = ("command", "event")


def read_values(
    values: Mapping[str, Any], rules: Mapping[str, Rule], needed: Iterable[str]
) -> dict[str, Any]:
    """Return the values of a job that came as JSON; raise ValueError if one cannot be, or is missing."""
    given = {key: frozen(value) for key, value in values.items() if key not in _GIVEN_APART}
    if unknown := given.keys() - rules.keys():
        raise ValueError(f"{reprlib.repr(min(unknown))} is not a key of it")
    if missing := set(needed) - given.keys():
        raise ValueError(f"{min(missing)} is missing")
    check_values(given, rules)
    return given


def check_values(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise ValueError if one of these values cannot be."""
    for key, value in values.items():
        if not rules[key].holds(value):
            raise ValueError(f"{key} = {reprlib.repr(value)} is not {rules[key].words}")


def frozen(value: Any) -> Any:
    """Return a JSON value with tuples for a list and for the lists in it."""
    if not isinstance(value, list):
        return value
    return tuple(tuple(each) if isinstance(each, list) else each for each in value)
