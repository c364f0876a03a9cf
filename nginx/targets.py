"""Resolve the target of a pass directive: an upstream {} by its name, or an address without a pool.

Source: ngx_http_upstream_add() and ngx_http_upstream_init_request() in src/http/ngx_http_upstream.c.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from nginx import templates
from nginx.inheritance import Level
from nginx.tree import Directive
from nginx.upstreams import Upstream
from nginx.values import Unknown, Value, Values, format_value, pieces

PROTOCOLS = {
    "proxy_pass": "http",
    "fastcgi_pass": "fastcgi",
    "grpc_pass": "grpc",
    "memcached_pass": "memcached",
    "uwsgi_pass": "uwsgi",
    "scgi_pass": "scgi",
    "tunnel_pass": "tunnel",
}
_IMPLIED = "$host:$request_port"  # what `tunnel_pass;` without an argument passes to
_HOSTS_OF_CLIENTS = frozenset({"host", "http_host"})
STREAM = "stream"
"""The protocol of proxy_pass in stream {}: whatever the sessions hold."""
NEVER_REUSED = frozenset({"uwsgi", "scgi", "tunnel", STREAM})
"""The protocols whose connections nginx never pools."""
_PATHS = frozenset(
    {"request_uri", "uri", "document_uri", "fastcgi_script_name", "fastcgi_path_info", "is_args"}
)
_SCHEME = re.compile(r"([a-z]+)://", re.IGNORECASE)
HOLE = "\ufffc"  # stands for an unknown piece while an address is split
_DEFAULT_PORTS = {False: "80", True: "443"}
_IP = re.compile(r"\[.*\]|\d+(?:\.\d+){3}")


class TargetKind(Enum):
    """What a target names."""

    UPSTREAM = "upstream"
    ADDRESS = "address"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a pass directive can mean."""

    text: str
    """The address as it would be evaluated, unknown parts as variables."""
    kind: TargetKind
    upstream: Upstream | None = None
    """The upstream {}, for that kind."""
    candidates: tuple[Upstream, ...] = ()
    """For an unknown target, the upstreams that it may be."""
    depends_on: str = ""
    """For an unknown target, what would have to be known."""
    is_tls: bool | None = False
    """It is reached through TLS; None if that is unknown."""
    authority: str = ""
    host: str = ""
    has_port: bool = False
    is_unix: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the text holds its address, so that no request decides it."""
        return bool(self.authority) and HOLE not in self.authority

    @property
    def server(self) -> str:
        """What `server` in an upstream {} accepts for it; the default port there is 80, also for TLS."""
        if self.is_unix:
            return "unix:" + self.authority.removeprefix("unix:").partition(":")[0]
        return self.authority if self.has_port or not self.is_tls else f"{self.host}:443"

    @property
    def host_field(self) -> str:
        """The Host that nginx sends for it (ngx_http_proxy_set_vars())."""
        if self.is_unix:
            return "localhost"
        default = f":{_DEFAULT_PORTS[bool(self.is_tls)]}"
        return self.authority.removesuffix(default) if self.has_port else self.host


_GIVEN_ELSEWHERE = Target(
    "", TargetKind.UNKNOWN, depends_on="what gives the target its value: it is empty as far as the text shows"
)


@dataclass(frozen=True, slots=True)
class UpstreamNames:
    """The upstreams of a configuration by name in lower case, and an include that may hold more."""

    upstreams: Mapping[str, Upstream]
    missing: Directive | None

    @classmethod
    def of(cls, http: Level, changed_by: Directive | None = None) -> "UpstreamNames":
        """Collect the upstreams of http {}, and what changes them at run time."""
        lines = http.all("upstream")
        blocks = [Upstream(line, changed_by) for line in lines if line.block is not None and line.args]
        missing = http.last("include")
        return cls({block.name.lower(): block for block in reversed(blocks)}, missing)

    def resolve(self, values: Values) -> list[Target]:
        """Return what a pass directive can mean, given what its parameter can be."""
        return [
            self._target(value) if value else _GIVEN_ELSEWHERE for value in sorted(values, key=format_value)
        ]

    def _target(self, value: Value) -> Target:
        scheme, authority, holes = _split_address(value)
        text = format_value(value)
        is_tls = None if HOLE in scheme else scheme.lower() in {"https", "grpcs", "suwsgi"}
        if authority.startswith("unix:"):
            return Target(
                text, TargetKind.ADDRESS, is_tls=is_tls, is_unix=True, host=authority, authority=authority
            )
        host, has_port = _host_and_port(authority)
        if HOLE in host and not has_port:
            return self._unknown(text, host, holes, is_tls)
        found = self.upstreams.get(host.lower())
        if found is not None and not has_port:
            return Target(text, TargetKind.UPSTREAM, found, is_tls=is_tls, host=host)
        rendered = self._rendered_names(host) if not has_port else ()
        if rendered:
            reason = f"whether {rendered[0].name} ({rendered[0].directive.place}) is filled in as {host}"
            return Target(text, TargetKind.UNKNOWN, candidates=rendered, depends_on=reason, is_tls=is_tls)
        if self.missing is not None and not has_port and may_name_upstream(host):
            file = f"{self.missing.args[0]} ({self.missing.place}, missing here)"
            reason = f'whether {file} has an upstream "{host}"'
            return Target(text, TargetKind.UNKNOWN, depends_on=reason, is_tls=is_tls, host=host)
        return Target(
            text, TargetKind.ADDRESS, is_tls=is_tls, host=host, has_port=has_port, authority=authority
        )

    def _rendered_names(self, host: str) -> tuple[Upstream, ...]:
        """Return the upstreams whose names are filled in before nginx reads them and may then be this one."""
        marked = templates.has_placeholder
        filled_in = [block for name, block in self.upstreams.items() if "$" in name and marked([block.name])]
        return tuple(each for each in filled_in if fnmatchcase(host.lower(), _as_pattern(each.name)))

    def _unknown(self, text: str, host: str, holes: list[Unknown], is_tls: bool | None) -> Target:
        pattern = re.sub(r"[\[\]?]", "?", host.lower()).replace(HOLE, "*")
        names = [name for name in self.upstreams if fnmatchcase(name, pattern)]
        if {hole.name for hole in holes} <= _HOSTS_OF_CLIENTS:
            names = [name for name in names if "." in name]  # no client requests a host by a single word
        candidates = tuple(self.upstreams[name] for name in names)
        may_be_rendered = any(hole.name == templates.VARIABLE for hole in holes)
        if not candidates and self.missing is None and not may_be_rendered:
            return Target(text, TargetKind.ADDRESS, is_tls=is_tls, host=host)
        about = "; ".join(f"{hole} ({hole.why})" for hole in dict.fromkeys(holes))
        return Target(
            text, TargetKind.UNKNOWN, candidates=candidates, depends_on=f"the host in {about}", is_tls=is_tls
        )


def _as_pattern(name: str) -> str:
    """Return a pattern for what a name with parts to fill in may become."""
    return "".join("*" if is_hole else text for text, is_hole in pieces(name)).lower()


def target_text(directive: Directive) -> str:
    """Return the target of a pass directive as written, or what it implies."""
    return directive.args[0] if directive.args else _IMPLIED


def _split_address(value: Value) -> tuple[str, str, list[Unknown]]:
    """Return scheme, authority (with holes for unknown pieces) and what the holes are."""
    text, holes = "", []
    for piece in value:
        if isinstance(piece, str):
            text += piece
        elif _is_path(piece.name) and _SCHEME.sub("", text):
            break  # $request_uri and the like begin with "/": the authority ends here
        else:
            text += HOLE
            holes.append(piece)
    match = _SCHEME.match(text)
    if match is not None:
        scheme, rest = match[1], text[match.end() :]
    elif text.startswith(HOLE + "://"):
        scheme, rest = HOLE, text[len(HOLE) + 3 :]
    else:
        scheme, rest = (HOLE if text.startswith(HOLE) else ""), text
    authority = rest if rest.startswith("unix:") else re.split(r"[/?]", rest, maxsplit=1)[0]
    return scheme, authority, holes


def _is_path(name: str) -> bool:
    return name in _PATHS or name.isdigit() or name.endswith(("_uri", "_path"))


def _host_and_port(authority: str) -> tuple[str, bool]:
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:.*)?", authority)
    if match is None:
        return authority, ":" in authority
    return match[1], match[2] is not None


def may_name_upstream(host: str) -> bool:
    """Return whether a host may be an upstream {} of a file that is not here.

    Upstreams are called by single words; an address or a dotted name is what it looks like.
    """
    return "." not in host and host.lower() != "localhost" and _IP.fullmatch(host) is None
