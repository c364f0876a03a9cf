"""Requests that may reach a pass location, likeliest first. Pure; whether one does, traffic tells."""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.errors import PlanError
from bench.prove import regex_examples
from bench.prove.constraints import Wish, Wishing
from bench.prove.inventory import Scene, Site, Spot
from bench.prove.rewrite import ENTRANCE, entrance
from nginx.inheritance import Level
from nginx.tree import Directive

_MOST = 48
_SOME_HOST = "bench.example"
_FIELD = re.compile(r"(?:^|\s)([!#$%&'*+\-.^_`|~0-9A-Za-z]+):\s*")
_GRPC = (("Content-Type", "application/grpc"), ("TE", "trailers"))
_EMPTY_MESSAGE = bytes(5)
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


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
    is_entrance: bool = False
    """It comes in through a location that this run added."""
    wants_file: bool = False
    """It asks for a file that this run added, without which it would not come through."""

    def __str__(self) -> str:
        scheme = "https" if self.is_tls else "http"
        fields = "".join(f" {name}: {value}" for name, value in self.fields if (name, value) not in _GRPC)
        return f"{self.method} {scheme}://{self.host}{self.path}{fields}"


def parse(text: str) -> Request:
    """Returns the request that `METHOD /path Name: value ...` asks for; PlanError where it makes no sense."""
    method, _, rest = text.strip().partition(" ")
    path, _, fields = rest.strip().partition(" ")
    if not re.fullmatch(r"[A-Z]+", method) or not re.fullmatch(r"/[!-~]*", path):
        raise PlanError(f"--request {text!r} is no request; write it as 'GET /path Host: www.example'")
    start, *pieces = _FIELD.split(f" {fields}") if fields else [""]
    if start.strip() or any(ord(each) < 0x20 or ord(each) > 0x7E for each in fields):
        raise PlanError(f"--request {text!r}: {fields!r} are no fields; write them as 'Host: www.example'")
    named = [(name, value.strip()) for name, value in zip(pieces[::2], pieces[1::2], strict=True)]
    host = next((value for name, value in named if name.lower() == "host"), "")
    others = tuple((name, value) for name, value in named if name.lower() != "host")
    return Request(method, path, host, fields=others)


def candidates(spot: Spot, scene: Scene, given: Sequence[Request], client: str = "1.1") -> list[Request]:
    """Returns the requests to try for one location, of clients that speak this version of HTTP.

    Those of `auto` try HTTP/2 first where a listener speaks it.
    """
    hosts, schemes = _hosts(spot.site), _schemes(spot.site)
    asked = [
        replace(request, host=request.host or hosts[0], is_tls=is_tls)
        for request in given
        for is_tls in schemes
    ]
    derived = itertools.islice(_derived(spot, scene, hosts, schemes), _MOST)
    found = list(dict.fromkeys([*asked, *derived]))
    over_http2 = [replace(request, is_http2=True) for request in found]
    if client == "auto" and spot.site.says_http2:
        return [*over_http2, *found]
    return over_http2 if client == "2" else found


def _derived(spot: Spot, scene: Scene, hosts: Sequence[str], schemes: Sequence[bool]) -> Iterator[Request]:
    wishing = Wishing(scene.model.variables)
    target = wishing.for_target(spot.location.target)
    wishes = [target.along(wish) for wish in itertools.islice(wishing.for_level(spot.location.level), 8)]
    paths = list(dict.fromkeys(_paths(spot, scene)))
    for wish, is_tls, path in itertools.product(wishes, schemes, paths):
        yield _request(spot, wish, path, hosts[0], is_tls)
    for host, is_tls, path in itertools.product(hosts[1:], schemes, paths[:2]):
        yield _request(spot, wishes[0], path, host, is_tls)


def _request(spot: Spot, wish: Wish, path: str, host: str, is_tls: bool) -> Request:
    is_entrance = entrance(spot) is not None and path == ENTRANCE.format(number=spot.number)
    where = path if is_entrance or wish.path is None else _quoted(wish.path)
    query = f"{'&' if '?' in where else '?'}{wish.query}" if wish.query else ""
    is_grpc = spot.location.protocol == "grpc"
    method = wish.method or ("POST" if is_grpc else _ordinary_method(spot))
    body = _EMPTY_MESSAGE if is_grpc else (b"" if method in _BODILESS else b"bench")
    fields = (*_GRPC, *wish.fields) if is_grpc else wish.fields
    return Request(method, where + query, wish.host or host, is_tls, fields, body, is_entrance=is_entrance)


def _ordinary_method(spot: Spot) -> str:
    """Returns GET, or HEAD where that is sent on: who asks by GET waits for the content that is announced."""
    method = spot.location.level.inherited("proxy_method")
    return "HEAD" if method is not None and method.args == ("HEAD",) else "GET"


# Where


def _schemes(site: Site) -> list[bool]:
    """Returns whether to come with TLS: first as most of its own clients would."""
    sockets = [line.args for line in site.listens if line.args]
    is_tls = bool(sockets) and all("ssl" in args or re.search(r"(^|:)443$", args[0]) for args in sockets)
    return [is_tls, not is_tls]


def _hosts(site: Site) -> list[str]:
    found = [host for name in site.names for host in _hosts_of(name)]
    return list(dict.fromkeys(found))[:4] or [_SOME_HOST]


def _hosts_of(name: str) -> list[str]:
    if name.startswith("~"):
        return [text for text in regex_examples.examples(name[1:]) if re.fullmatch(r"[\w.-]+", text)]
    if name in {"", "_", "*"} or "$" in name:
        return []
    return [re.sub(r"^\*\.|^\.", "www.", re.sub(r"\.\*$", ".example", name))]


# The path


def _paths(spot: Spot, scene: Scene) -> Iterator[str]:
    level = spot.location_level
    if level is None:
        yield from ("/", "/bench")
        return
    yield from _paths_of(level)
    if entrance(spot) is not None:
        yield from _feeding(spot, scene)
        yield ENTRANCE.format(number=spot.number)


def _feeding(spot: Spot, scene: Scene) -> Iterator[str]:
    """Yields paths of the locations that may hand requests over to a named or internal one."""
    level = spot.location_level
    assert level is not None
    assert level.opener is not None
    name = level.opener.args[-1]
    server = level.enclosing("server")
    for other in scene.model.levels:
        if other.kind == "location" and other is not level and other.enclosing("server") is server:
            lines = [other.inherited(each) for each in ("try_files", "error_page")]
            if any(line is not None and name in _last_words(line) for line in lines):
                yield from itertools.islice(_paths_of(other), 2)


def _last_words(line: Directive) -> Iterable[str]:
    return (word.lstrip("=") for word in line.args[-1:])


def _paths_of(level: Level) -> Iterator[str]:
    outer = level.parent.enclosing("location") if level.parent is not None else None
    within = next((path for path in _paths_of(outer)), "/") if outer is not None else ""
    words = level.opener.args if level.opener is not None else ()
    if not words:
        return
    modifier, pattern = (words[0], words[-1]) if len(words) > 1 else ("", words[0])
    if pattern.startswith("@"):
        return
    if modifier in {"~", "~*"} or (not modifier and pattern.startswith("~")):
        found = regex_examples.examples(
            pattern.lstrip("~*") if not modifier else pattern,
            is_caseless=modifier == "~*",
            within=_folder(within or "/"),
        )
        yield from (_quoted(text if text.startswith("/") else f"/{text}") for text in found)
        return
    pattern = pattern if modifier else re.sub(r"^(=|\^~)", "", pattern)
    yield _quoted(pattern)
    if modifier != "=":
        yield _quoted(pattern if pattern.endswith("/") else f"{pattern}/") + "bench"


def _folder(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _quoted(path: str) -> str:
    """Returns a path as a request writes it: what nginx matches is what comes after decoding."""
    return urllib.parse.quote(path, safe="/~!$&'()*+,;=:@-._")
