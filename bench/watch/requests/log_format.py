r"""Read an nginx log_format as the pattern of its lines, of which only what counts requests is kept. Pure.

nginx escapes what clients send: `"` becomes \x22 by default and \" with escape=json, so that a value in
quotes ends at the first plain quote. A value without quotes ends where the text behind it begins; one that
holds this text itself makes a line that does not fit, and those are counted apart.
Sources: ngx_http_log_script_add() and ngx_http_log_escape() in src/http/modules/ngx_http_log_module.c;
ngx_http_upstream_addr_variable() and its neighbours in src/http/ngx_http_upstream.c.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bench.watch.requests.source import SourceError

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"'
    ' "$http_user_agent"'
)
"""The format of an access_log that names none."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_NONE = "(?:-|)"
"""What stands for no value: a hyphen, and nothing with escape=json or escape=none."""
_ADDRESS = r'(?:unix:[^,"\s]+|\[[0-9A-Fa-f:.]+\](?::\d+)?|[^\s,:"\\\[\]]+(?::\d+)?)'
_STATUS = r"(?:\d{3}|-)"
_TIMES = r"[-\d., :]*"
_SEPARATOR = "(?:, | : )"
"""Between the servers that were tried one after the other, and between those of internal redirects."""
_QUOTED = r'(?:[^"\\\n]|\\[^\n])*+'
_BEFORE_KNOWN = r"[^\n]{0,256}?"
"""A value right before another one, with no text between them: short, since each length is tried."""
_KEPT: Mapping[str, str] = MappingProxyType(
    {
        "upstream_addr": f"({_ADDRESS}(?:{_SEPARATOR}{_ADDRESS})*|{_NONE})",
        "upstream_status": f"({_STATUS}(?:{_SEPARATOR}{_STATUS})*|{_NONE})",
        "connection_requests": r"(?:(1)(?!\d)|\d++)",
        "server_port": r"(\d*+)",
    }
)
"""Variables whose value is kept. Of connection_requests it is enough to know the first ones."""
_KNOWN: Mapping[str, str] = MappingProxyType(
    {
        "status": r"\d++",
        "connection": r"\d++",
        "time_local": r"[^\s\]]++ [+-]\d{4}",
        "upstream_connect_time": _TIMES,
        "upstream_header_time": _TIMES,
        "upstream_response_time": _TIMES,
        "upstream_queue_time": _TIMES,
        "upstream_response_length": _TIMES,
        "upstream_bytes_sent": _TIMES,
        "upstream_bytes_received": _TIMES,
        "upstream_cache_status": "[A-Z-]*+",
    }
)
"""Variables whose form is known, so that a value may hold the text that stands behind it."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a line says about its request's connections; empty: the format or the line does not say it."""

    upstream_addr: str = ""
    upstream_status: str = ""
    server_port: str = ""
    is_first: bool = False
    """It is the first request of its client's connection."""


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A format that can be read: the pattern of a line, and the variable of each of its groups."""

    pattern: re.Pattern[bytes]
    groups: tuple[str, ...]

    def has(self, variable: str) -> bool:
        """Return whether lines hold a variable, of those that are kept."""
        return variable in self.groups

    def find_lines(self, text: bytes) -> list[tuple[bytes, ...]]:
        """Return the groups of each line that fits, in whole lines; `describe` says what they mean."""
        return self.pattern.findall(text.removesuffix(b"\n"))

    def describe(self, groups: tuple[bytes, ...]) -> LogLine:
        """Return what the groups of a line mean."""
        found = dict(zip(self.groups, (each.decode("utf-8", "replace") for each in groups), strict=False))
        return LogLine(
            found.get("upstream_addr", ""),
            found.get("upstream_status", ""),
            found.get("server_port", ""),
            found.get("connection_requests") == "1",
        )


def parse_format(text: str) -> LogFormat:
    """Return how lines of a format are read; `combined` names nginx's own.

    Raises:
        SourceError: it names no variable, or one line of it is several lines of the file.
    """
    parts = list(_parts(COMBINED if text == "combined" else text))
    if not any(part.is_variable for part in parts):
        raise SourceError(f"has no variable in its format {text!r}", "write it as log_format has it")
    if "\n" in text:
        raise SourceError("has a format of several lines", "log one line for each request")
    kept = [at for at, part in enumerate(parts) if part.is_variable and part.text in _KEPT]
    if kept:
        # Behind the last one that is kept, and the text that ends it, any line fits.
        parts = parts[: kept[-1] + 2]
    builder = _PatternBuilder(parts)
    pattern = builder.build()
    # Two empty groups more: findall then yields tuples, whatever the format holds.
    return LogFormat(re.compile(f"^{pattern}[^\n]*()()$".encode(), re.MULTILINE), tuple(builder.groups))


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    is_variable: bool


def _parts(text: str) -> Iterator[_Part]:
    at = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > at:
            yield _Part(text[at : match.start()], False)
        yield _Part(match[1] or match[2], True)
        at = match.end()
    if at < len(text):
        yield _Part(text[at:], False)


@dataclass(slots=True)
class _PatternBuilder:
    parts: list[_Part]
    groups: list[str] = field(default_factory=list)

    def build(self) -> str:
        found = ""
        at = 0
        while at < len(self.parts):
            part = self.parts[at]
            following = self.parts[at + 1] if at + 1 < len(self.parts) else None
            at += 1
            if not part.is_variable:
                found += re.escape(part.text)
            elif part.text in _KEPT and part.text not in self.groups:
                self.groups.append(part.text)
                found += _KEPT[part.text]
            elif part.text in _KNOWN:
                found += f"(?:{_KNOWN[part.text]}|{_NONE})"
            elif following is None:
                found += r"[^\n]*"
            elif following.is_variable:
                found += _BEFORE_KNOWN if following.text in {*_KEPT, *_KNOWN} else ""
            elif following.text.startswith('"'):
                found += _QUOTED
            else:
                # Atomic, so that a line that does not fit costs no more than its length.
                found += rf"(?>[^\n]*?{re.escape(following.text)})"
                at += 1
        return found
