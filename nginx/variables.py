"""Compute what each variable can be when a request reaches a location: maps, `set`, `if`, built-in ones.

The question is about ordinary requests (no Upgrade field) of a client that keeps its connection
(HTTP/1.1 with keep-alive, or HTTP/2); so $http_upgrade is empty and $http_connection is empty or
keep-alive.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nginx import templates
from nginx.inheritance import Level
from nginx.map_and_if import evaluate_if, list_values, map_values
from nginx.tree import Directive
from nginx.values import EMPTY, Unknown, Values, expand, literal, unknown


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KNOWN: dict[str, Values] = {
    "http_upgrade": EMPTY,
    "http_connection": literal("", "keep-alive"),
    "scheme": literal("http", "https"),
    "is_args": literal("", "?"),
}
_OF_REQUEST = re.compile(r"(?:http|arg|cookie|sent_http|sent_trailer|upstream|ssl|proxy|geoip2?|jwt)_\w+|\d+")
_BUILT_IN = _names(
    """args binary_remote_addr body_bytes_sent bytes_sent connection connection_requests connection_time
    content_length content_type date_gmt date_local document_root document_uri fastcgi_path_info
    fastcgi_script_name gzip_ratio host hostname http2 http3 https invalid_referer limit_conn_status
    limit_rate limit_req_status memcached_key modern_browser ancient_browser msec msie nginx_version pid
    pipe proxy_host proxy_port proxy_protocol_addr proxy_protocol_port proxy_protocol_server_addr
    proxy_protocol_server_port query_string quic realip_remote_addr realip_remote_port realpath_root
    remote_addr remote_port remote_user request request_body request_body_file request_completion
    request_filename request_id request_length request_method request_port request_time request_uri
    secure_link secure_link_expires server_addr server_name server_port server_protocol
    session_log_binary_id session_log_id session_time slice_range spdy status tcpinfo_rtt tcpinfo_rttvar
    tcpinfo_snd_cwnd tcpinfo_rcv_space time_iso8601 time_local uid_got uid_reset uid_set uri
    is_request_port host_and_port internal"""
)
# Directives that give a variable a value which only the running server knows.
_COMPUTED = _names(
    """auth_request_set js_set js_var perl_set set_by_lua set_by_lua_block set_by_lua_file auth_jwt_claim_set
    auth_jwt_header_set set_random set_escape_uri set_unescape_uri set_decode_base64 set_encode_base64
    set_if_empty set_md5 set_sha1 set_secure_random_alphanum set_secure_random_lcalpha set_hashed_upstream
    set_quote_sql_str set_quote_json_str set_local_today set_hmac_sha1 keyval lua_set opentelemetry_propagate
    set_misc userid_set set_from_accept_language eval array_split array_join array_map"""
)
_COMPUTED_PREFIXES = ("geoip_", "js_", "perl_")
_LONGEST_CHAIN = 32
_REDIRECTING = ("try_files", "rewrite", "error_page", "auth_request", "mirror")
_LUA = re.compile(r"(?:server_rewrite|rewrite|access|content)_by_lua(?:_block|_file)?")
"""Code that runs before a request is passed on."""
_CAPTURE = re.compile(r"\(\?P?['<](\w+)['>]")
_LUA_VARIABLE = re.compile(r"\bngx\.var\.(\w+)\s*=[^=]|\bngx\.var\[['\"](\w+)['\"]\]\s*=[^=]")


@dataclass(slots=True)
class Definitions:
    """Every variable that a configuration defines, by the kind of its definition."""

    blocks: dict[str, Directive] = field(default_factory=dict)
    """The map {}, geo {} or split_clients {} of a variable."""
    computed: dict[str, Directive] = field(default_factory=dict)
    """The directive that gives a variable a value at run time."""
    sets: dict[str, dict[int, list[tuple[Level, Directive]]]] = field(default_factory=dict)
    """The `set` lines of a variable, by the identity of the server {} around them."""
    set_to: dict[str, set[str]] = field(default_factory=dict)
    """What those lines set it to, as written."""
    captures: set[str] = field(default_factory=set)
    """The named groups of regular expressions."""
    is_whole: bool = False
    """Whether nothing is missing."""

    def is_defined(self, name: str) -> bool:
        """Return whether nginx or the configuration defines a variable."""
        ours = name in self.blocks or name in self.computed or name in self.sets or name in self.captures
        return ours or name in _KNOWN or name in _BUILT_IN or _OF_REQUEST.fullmatch(name) is not None


def find_definitions(levels: list[Level], is_whole: bool) -> Definitions:
    """Return the variables that a configuration defines."""
    found = Definitions(is_whole=is_whole)
    for level in levels:
        for directive in level.block:
            _DEFINE.get(directive.name, _define_computed)(found, level, directive)
    return found


def _define_set(found: Definitions, level: Level, directive: Directive) -> None:
    if directive.args:
        name, *values = directive.args
        by_server = found.sets.setdefault(_name(name), {})
        by_server.setdefault(id(level.enclosing("server")), []).append((level, directive))
        found.set_to.setdefault(_name(name), set()).update(values)


def _define_block(found: Definitions, level: Level, directive: Directive) -> None:
    if directive.args:
        found.blocks.setdefault(_name(directive.args[-1]), directive)
        found.captures.update(_captures(entry.name for entry in directive.block or ()))


def _define_captures(found: Definitions, level: Level, directive: Directive) -> None:
    found.captures.update(_captures(directive.args))


def _captures(words: Iterable[str]) -> Iterator[str]:
    """Yield the named groups in regular expressions."""
    return (name for word in words for name in _CAPTURE.findall(word))


def _define_computed(found: Definitions, level: Level, directive: Directive) -> None:
    """Add the variables that a directive gives a value at run time."""
    name, names = directive.name, []
    if name == "geoip2":
        names = [_name(entry.name) for entry in directive.block or ()]
    elif name in _COMPUTED or name.startswith(_COMPUTED_PREFIXES):
        names = [_name(arg) for arg in directive.args if arg.startswith("$")]
    if directive.lua:
        names += [first or second for first, second in _LUA_VARIABLE.findall(directive.lua)]
    found.computed.update(dict.fromkeys(names, directive))


_DEFINE = (
    {"set": _define_set}
    | dict.fromkeys(("map", "geo", "split_clients"), _define_block)
    | dict.fromkeys(("location", "if", "server_name", "rewrite"), _define_captures)
)
"""How the variables of a directive are found; all others may compute some."""


def _name(word: str) -> str:
    return word.lstrip("$").strip("{}")


def is_clients(name: str) -> bool:
    """Return whether a client writes a variable's value: a field, a cookie or an argument of its request."""
    return name in {"args", "query_string"} or name.startswith(("http_", "arg_", "cookie_"))


class Scope:
    """What variables can be in one location; `level` is the block that holds the pass directive."""

    def __init__(self, defined: Definitions, level: Level) -> None:
        self._defined = defined
        self._level = level
        self._within = {id(outer.opener) for outer in level.up()}
        self._evaluating: list[str] = []
        self._assigned: dict[str, Values] = {}
        self._cached: dict[str, Values] = {}
        self.undefined: set[str] = set()
        server, location = level.enclosing("server"), level.enclosing("location")
        # The rewrite directives of the server run first, then those of the innermost location; those of
        # an outer location do not run (ngx_http_rewrite_merge_loc_conf() inherits none).
        for ran in (server, location):
            if ran is not None:
                self._run(ran.rewrites)
        if level.parent is None:
            self._run(level.rewrites)

    def values(self, template: str) -> Values:
        """Return what a parameter can be."""
        return expand(template, self.variable)

    def variable(self, name: str) -> Values:
        """Return what a variable can be."""
        if name not in self._cached:
            self._cached[name] = self._variable(name)
        return self._cached[name]

    def _variable(self, name: str) -> Values:
        defined = self._defined
        if name in defined.computed and (name not in self._assigned or defined.computed[name].lua):
            by = defined.computed[name]
            return unknown(name, f"{by.name} at {by.place} computes it")
        value = self._assigned.get(name, _KNOWN.get(name))
        if value == EMPTY and (by_code := _code_at(self._level)) is not None:
            return unknown(name, f"{by_code.name} at {by_code.place} may set what is empty before it")
        if value is not None:
            return value
        if name == "server_name":
            return self._server_name()
        if name in defined.blocks:
            return self._of_block(name, defined.blocks[name])
        return self._set_elsewhere(name) if name in defined.sets else self._unknown(name)

    def _server_name(self) -> Values:
        """Return the server's first name, which is what $server_name is, or nothing if it has none."""
        server = self._level.enclosing("server")
        line = server.all("server_name")[0] if server is not None and server.all("server_name") else None
        first = line.args[0] if line is not None and line.args else ""
        if server is None or first.startswith("~"):
            return self._unknown("server_name")
        return self.values(first) if "$" in first else literal(first)

    def _unknown(self, name: str) -> Values:
        if name in self._defined.captures or name.isdigit():
            return unknown(name, "a pattern takes it from the request")
        if self._defined.is_defined(name):
            return frozenset({(Unknown(name, "each request has its own", is_clients(name)),)})
        if name == templates.VARIABLE:
            return unknown(name, "the template decides when it is rendered")
        self.undefined.add(name)
        return unknown(name, "it is defined nowhere in what was read")

    def _of_block(self, name: str, block: Directive) -> Values:
        if name in self._evaluating or len(self._evaluating) > _LONGEST_CHAIN:
            return unknown(name, f"the map at {block.place} refers to itself")
        self._evaluating.append(name)
        found = (map_values if block.name == "map" else list_values)(block, self.variable)
        if any(True for _ in block.children("include")):
            found |= unknown(name, f"{next(block.children('include')).args[0]} is missing")
        self._evaluating.pop()
        return found

    def _set_elsewhere(self, name: str) -> Values:
        """Return what other locations of this server can have set a variable to, or nothing.

        A request keeps what a location set when it is redirected internally to another one, and only then.
        """
        found = EMPTY
        for level, directive in self._defined.sets[name].get(id(self._level.enclosing("server")), ()):
            if directive.args[1:] == ("",) and (by_code := _code_at(level)) is not None:
                return unknown(name, f"{by_code.name} at {by_code.place} may set it, for requests of its own")
            if (
                any(map(level.inherited, _REDIRECTING))
                and len(directive.args) > 1
                and name not in self._evaluating
            ):
                self._evaluating.append(name)
                found |= self.values(directive.args[1])
                self._evaluating.pop()
        return found

    def _run(self, block: Iterable[Directive]) -> None:
        """Run the rewrite directives of a block in their order, as far as they set variables."""
        for directive in block:
            if directive.name == "set" and len(directive.args) == 2:
                self._assigned[_name(directive.args[0])] = self.values(directive.args[1])
                self._cached.clear()
            elif directive.name == "if" and directive.block is not None:
                self._run_if(directive)

    def _run_if(self, directive: Directive) -> None:
        inside = id(directive) in self._within
        taken = True if inside else evaluate_if(directive.args, self.variable)
        block = directive.block or ()
        if taken is False or (not inside and any(_ends_request(child) for child in block)):
            return
        before = dict(self._assigned)
        self._run(block)
        if taken is None:
            self._cached.clear()
            for name, values in self._assigned.items():
                self._assigned[name] = values | before.get(name, EMPTY)


def _code_at(level: Level) -> Directive | None:
    """Return a line with Lua code in force at a level before a request is passed on: it may set variables."""
    names = (name for outer in level.up() for name in outer.by_name if _LUA.fullmatch(name))
    return next((level.inherited(name) for name in names), None)


def _ends_request(directive: Directive) -> bool:
    redirects = directive.name == "rewrite" and directive.args[-1:] in {("redirect",), ("permanent",)}
    return directive.name == "return" or redirects
