"""Derive requests that may reach a pass location, likeliest first. Pure; traffic shows whether one does."""

import itertools
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.errors import PlanError
from bench.prove import regex_examples
from bench.prove.constraints import EXAMPLE_HOST, ConstraintFinder, Constraints
from bench.prove.inventory import Inventory, Location, ServerBlock
from bench.prove.rewrite import INTERNAL_PATH, internal_redirect
from nginx.inheritance import Level

_MAX_DERIVED = 48
_MAX_PARENTS = 4
_FIELD = re.compile(r"(?:^|\s)([!#$%&'*+\-.^_`|~0-9A-Za-z]+):\s*")
_GRPC_FIELDS = (("Content-Type", "application/grpc"), ("TE", "trailers"))
_EMPTY_GRPC_MESSAGE = bytes(5)
_BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client, without its Connection field."""

    method: str
    path: str
    host: str
    is_tls: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_http2: bool = False
    uses_added_location: bool = False
    """Whether it goes through a location that this run added."""
    uses_added_file: bool = False
    """Whether it needs a file that this run added."""
    is_subrequest: bool = False
    """Whether it reaches its location by a subrequest of another one."""

    def __str__(self) -> str:
        scheme = "https" if self.is_tls else "http"
        fields = "".join(
            f" {name}: {value}" for name, value in self.fields if (name, value) not in _GRPC_FIELDS
        )
        return f"{self.method} {scheme}://{self.host}{self.path}{fields}"


def parse(text: str) -> Request:
    """Return the request that `METHOD /path Name: value ...` describes; PlanError if it describes none."""
    method, _, rest = text.strip().partition(" ")
    path, _, fields = rest.strip().partition(" ")
    if not re.fullmatch(r"[A-Z]+", method) or not re.fullmatch(r"/[!-~]*", path):
        raise PlanError(f"--request {text!r} is not a request; write it as 'GET /path Host: www.example'")
    start, *pieces = _FIELD.split(f" {fields}") if fields else [""]
    if start.strip() or any(ord(each) < 0x20 or ord(each) > 0x7E for each in fields):
        raise PlanError(
            f"--request {text!r}: {fields!r} are not header fields; write them as 'Host: www.example'"
        )
    named = [(name, value.strip()) for name, value in zip(pieces[::2], pieces[1::2], strict=True)]
    host = next((value for name, value in named if name.lower() == "host"), "")
    others = tuple((name, value) for name, value in named if name.lower() != "host")
    return Request(method, path, host, fields=others)


def candidates(
    location: Location, inventory: Inventory, given: Sequence[Request], client: str = "1.1"
) -> list[Request]:
    """Return the requests to try for one location over this version of HTTP.

    `auto` tries HTTP/2 first where a listener accepts it.
    """
    hosts, schemes = _hosts(location.server), _schemes(location.server)
    given = [
        replace(request, host=request.host or hosts[0], is_tls=is_tls)
        for request in given
        for is_tls in schemes
    ]
    derived = itertools.islice(_derived(location, inventory, hosts, schemes), _MAX_DERIVED)
    found = list(dict.fromkeys([*_leading(location, inventory, hosts, schemes), *given, *derived]))
    over_http2 = [replace(request, is_http2=True) for request in found]
    if client == "auto" and location.server.accepts_http2:
        return [*over_http2, *found]
    return over_http2 if client == "2" else found


def _derived(
    location: Location, inventory: Inventory, hosts: Sequence[str], schemes: Sequence[bool]
) -> Iterator[Request]:
    finder, passing = ConstraintFinder(inventory.model.variables), location.pass_location
    target = finder.for_target(passing.target)
    options = [target.merged_with(each) for each in itertools.islice(finder.for_level(passing.level), 8)]
    paths = list(dict.fromkeys(_paths(location, inventory)))
    for constraints, is_tls, path in itertools.product(options, schemes, paths):
        yield _request(location, constraints, path, hosts[0], is_tls)
    for host, is_tls, path in itertools.product(hosts[1:], schemes, paths[:2]):
        yield _request(location, options[0], path, host, is_tls)


def _leading(
    location: Location, inventory: Inventory, hosts: Sequence[str], schemes: Sequence[bool]
) -> Iterator[Request]:
    """Yield requests to other locations that reach this one by a subrequest."""
    for parent in itertools.islice(_parents(location, inventory), _MAX_PARENTS):
        derived = itertools.islice(_derived(parent, inventory, hosts, schemes), _MAX_PARENTS)
        yield from (replace(request, is_subrequest=True) for request in derived)


def has_parents(location: Location, inventory: Inventory) -> bool:
    """Return whether other locations send subrequests to one."""
    return next(_parents(location, inventory), None) is not None


def _parents(location: Location, inventory: Inventory) -> Iterator[Location]:
    for other in inventory.locations:
        if other.server is location.server and other is not location and _asks(other, location):
            yield other


def _asks(parent: Location, location: Location) -> bool:
    """Return whether a location sends subrequests (auth_request, mirror) to another one."""
    level = location.enclosing_location
    if level is None:
        return False
    modifier, pattern = _parse_location(level)
    lines = [parent.pass_location.level.inherited(name) for name in ("auth_request", "mirror")]
    paths = [line.args[0].partition("?")[0] for line in lines if line is not None and line.args]
    return any(_is_matched(modifier, pattern, path) for path in paths)


def _is_matched(modifier: str, pattern: str, path: str) -> bool:
    if modifier in {"~", "~*"}:
        compiled = regex_examples.compiled(pattern, modifier == "~*")
        return compiled is not None and compiled.search(path) is not None
    return path == pattern if modifier == "=" else modifier != "@" and path.startswith(pattern)


def _request(location: Location, constraints: Constraints, path: str, host: str, is_tls: bool) -> Request:
    uses_added_location = internal_redirect(location) is not None and path == INTERNAL_PATH.format(
        number=location.number
    )
    target = path if uses_added_location or constraints.path is None else _quoted(constraints.path)
    query = f"{'&' if '?' in target else '?'}{constraints.query}" if constraints.query else ""
    is_grpc = location.pass_location.protocol == "grpc"
    method = constraints.method or ("POST" if is_grpc else _ordinary_method(location))
    body = _EMPTY_GRPC_MESSAGE if is_grpc else (b"" if method in _BODILESS_METHODS else b"bench")
    fields = (*_GRPC_FIELDS, *constraints.fields) if is_grpc else constraints.fields
    return Request(
        method,
        target + query,
        constraints.host or host,
        is_tls,
        fields,
        body,
        uses_added_location=uses_added_location,
    )


def _ordinary_method(location: Location) -> str:
    """Return GET, or HEAD where that is sent upstream: a GET would wait for the announced content."""
    method = location.pass_location.level.inherited("proxy_method")
    return "HEAD" if method is not None and method.args == ("HEAD",) else "GET"


# Scheme and host


def _schemes(server: ServerBlock) -> list[bool]:
    """Return whether to use TLS, first as most of its own clients would."""
    sockets = [line.args for line in server.listens if line.args]
    is_tls = bool(sockets) and all("ssl" in args or re.search(r"(^|:)443$", args[0]) for args in sockets)
    return [is_tls, not is_tls]


def _hosts(server: ServerBlock) -> list[str]:
    found = [host for name in server.names for host in _hosts_of(name)]
    return list(dict.fromkeys(found))[:4] or [EXAMPLE_HOST]


def _hosts_of(name: str) -> list[str]:
    if name.startswith("~"):
        return [text for text in regex_examples.examples(name[1:]) if re.fullmatch(r"[\w.-]+", text)]
    if name in {"", "_", "*"} or "$" in name:
        return []
    return [re.sub(r"^\*\.|^\.", "www.", re.sub(r"\.\*$", ".example", name))]


# The path


def _paths(location: Location, inventory: Inventory) -> Iterator[str]:
    level = location.enclosing_location
    if level is None:
        yield from ("/", "/bench")
        return
    yield from _location_paths(level)
    if internal_redirect(location) is not None:
        yield from _paths_leading_to(location, inventory)
        yield INTERNAL_PATH.format(number=location.number)


def _paths_leading_to(location: Location, inventory: Inventory) -> Iterator[str]:
    """Yield paths of the locations that may pass requests to a named or internal one."""
    level = location.enclosing_location
    assert level is not None
    assert level.opener is not None
    name = level.opener.args[-1]
    server = level.enclosing("server")
    for other in inventory.model.levels:
        if other.kind == "location" and other is not level and other.enclosing("server") is server:
            lines = [other.inherited(each) for each in ("try_files", "error_page")]
            if any(line is not None and line.args and line.args[-1].lstrip("=") == name for line in lines):
                yield from itertools.islice(_location_paths(other), 2)


def _location_paths(level: Level) -> Iterator[str]:
    """Yield paths that match a location {}, likeliest first; none for a named one."""
    modifier, pattern = _parse_location(level)
    if modifier in {"~", "~*"}:
        texts = regex_examples.examples(pattern, is_caseless=modifier == "~*", within=_enclosing_path(level))
        yield from (_quoted(text if text.startswith("/") else f"/{text}") for text in texts)
    elif pattern and modifier != "@":
        yield _quoted(pattern)
        if modifier != "=":
            yield _quoted(f"{pattern.removesuffix('/')}/bench")


def _parse_location(level: Level) -> tuple[str, str]:
    """Return modifier ("@" for a named location) and pattern of a location {}, which may be one word."""
    args = level.opener.args if level.opener is not None else ()
    if len(args) > 1:
        return args[0], args[-1]
    match = re.fullmatch(r"(=|\^~|~\*?|@|)(.*)", args[0] if args else "", re.DOTALL)
    assert match is not None
    return match[1], match[2]


def _enclosing_path(level: Level) -> str:
    """Return a path of the location {} around a location {}, with a slash at its end."""
    outer = level.parent.enclosing("location") if level.parent is not None else None
    path = next(_location_paths(outer), "/") if outer is not None else "/"
    return path if path.endswith("/") else f"{path}/"


def _quoted(path: str) -> str:
    """Return a path as a request contains it: nginx decodes it before it matches."""
    return urllib.parse.quote(path, safe="/~!$&'()*+,;=:@-._")
